"""The starter items keep the rules that their README states."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUILTIN = ROOT / "llamabench" / "data" / "builtin"
PUBLISHED = Path(__file__).parents[3] / "shared" / "data"
FILES = ("truthfulqa", "bbq", "preference", "xstest", "realtoxicity", "bold", "redteam")
Row = dict[str, Any]

BBQ_FIELDS = ["example_id", "question_index", "question_polarity", "context_condition", "category"]
BBQ_FIELDS += ["answer_info", "additional_metadata", "context", "question"]
BBQ_FIELDS += ["ans0", "ans1", "ans2", "label", "target_loc"]
BBQ_CATEGORIES = {"Age", "Disability_status", "Gender_identity", "Nationality", "Physical_appearance"}
BBQ_CATEGORIES |= {"Race_ethnicity", "Religion", "SES", "Sexual_orientation"}
QUADRUPLE = [("neg", "ambig"), ("neg", "disambig"), ("nonneg", "ambig"), ("nonneg", "disambig")]
PREFERENCE_CATEGORIES = {"helpful", "honest", "harmless", "fair", "concise", "instruction"}

needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published data sets are not beside this checkout (../shared/data)"
)


def read_rows(name: str) -> list[Row]:
    text = (BUILTIN / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def texts_in(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys of the answer tables included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.fixture(scope="module")
def truthfulqa() -> list[Row]:
    return read_rows("truthfulqa")


@pytest.fixture(scope="module")
def bbq() -> list[Row]:
    return read_rows("bbq")


@pytest.fixture(scope="module")
def quadruples(bbq: list[Row]) -> list[list[Row]]:
    return [bbq[start : start + 4] for start in range(0, len(bbq), 4)]


@pytest.fixture(scope="module")
def preference() -> list[Row]:
    return read_rows("preference")


@pytest.fixture(scope="module")
def xstest() -> list[Row]:
    return read_rows("xstest")


@pytest.fixture(scope="module")
def realtoxicity() -> list[Row]:
    return read_rows("realtoxicity")


@pytest.fixture(scope="module")
def bold() -> list[Row]:
    return read_rows("bold")


@pytest.fixture(scope="module")
def redteam() -> list[Row]:
    return read_rows("redteam")


@pytest.fixture(scope="module")
def harmful(redteam: list[Row]) -> list[Row]:
    return [row for row in redteam if "twin_of" not in row]


@pytest.fixture(scope="module")
def twins(redteam: list[Row]) -> list[Row]:
    return [row for row in redteam if "twin_of" in row]


# --- every file ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_texts_are_clean(name: str) -> None:
    data = (BUILTIN / f"{name}.jsonl").read_bytes()
    assert data.endswith(b"}\n")
    assert b"\r" not in data
    for row in read_rows(name):
        for text in texts_in(row):
            assert text == text.strip(), text
            assert text, row
            assert "  " not in text, text
            assert not re.search(r"(?<!\S)/\w+/", text), text


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("truthfulqa", "tq"), ("preference", "pf"), ("xstest", "xs"), ("bold", "bd"), ("redteam", "rt")],
)
def test_ids_are_numbered(name: str, prefix: str) -> None:
    ids = [row["id"] for row in read_rows(name)]
    assert ids == [f"{prefix}-{number:03}" for number in range(1, len(ids) + 1)]


def test_readme_states_the_counts(
    truthfulqa: list[Row], bbq: list[Row], preference: list[Row], xstest: list[Row]
) -> None:
    readme = (BUILTIN / "README.md").read_text(encoding="utf-8")
    assert f"| {len(truthfulqa)} questions |" in readme
    assert f"| {len(bbq)} rows, {len(bbq) // 4} quadruples |" in readme
    assert f"| {len(preference)} pairs |" in readme
    assert f"| {len(xstest)} requests, {len(xstest) // 2} pairs |" in readme
    for category, n in Counter(row["category"] for row in truthfulqa).items():
        assert f"| {category} | {n} |" in readme
    for category in BBQ_CATEGORIES:
        assert category in readme
    n_multi = sum(len(row["messages"]) > 1 for row in preference)
    assert n_multi == 13
    assert "Thirteen conversations" in readme


# --- misconceptions -----------------------------------------------------------------------------


def test_truthfulqa_has_enough_questions(truthfulqa: list[Row]) -> None:
    assert len(truthfulqa) >= 70
    categories = Counter(row["category"] for row in truthfulqa)
    assert len(categories) >= 12
    assert min(categories.values()) >= 4
    questions = [plain(row["question"]) for row in truthfulqa]
    assert len(set(questions)) == len(questions)
    assert all(row["question"].endswith("?") for row in truthfulqa)


def test_truthfulqa_answers_are_consistent(truthfulqa: list[Row]) -> None:
    for row in truthfulqa:
        assert list(row) == ["id", "category", "question", "mc0_targets", "mc1_targets", "mc2_targets"]
        mc0, mc1, mc2 = row["mc0_targets"], row["mc1_targets"], row["mc2_targets"]
        assert list(mc0.values()) == [1, 0], row["id"]
        assert next(iter(mc1.values())) == 1, row["id"]
        assert sum(mc1.values()) == 1, row["id"]
        assert 3 <= list(mc1.values()).count(0) <= 5, row["id"]
        assert 2 <= sum(mc2.values()) <= 4, row["id"]
        assert list(mc2.values()) == sorted(mc2.values(), reverse=True), row["id"]
        assert list(mc0) == [next(iter(mc1)), list(mc1)[1]], row["id"]
        assert set(mc1.items()) <= set(mc2.items()), row["id"]
        assert {t for t, v in mc1.items() if v == 0} == {t for t, v in mc2.items() if v == 0}, row["id"]


def test_truthfulqa_answers_are_distinct(truthfulqa: list[Row]) -> None:
    for row in truthfulqa:
        answers = [plain(text) for text in row["mc2_targets"]]
        assert len(set(answers)) == len(answers), row["id"]
        assert not any(text.endswith(".") for text in answers), row["id"]


def test_truthfulqa_length_does_not_give_the_answer_away(truthfulqa: list[Row]) -> None:
    pairs = [(text, value) for row in truthfulqa for text, value in row["mc2_targets"].items()]
    true_chars = mean(len(text) for text, value in pairs if value == 1)
    false_chars = mean(len(text) for text, value in pairs if value == 0)
    print(f"mean characters: true {true_chars:.1f}, false {false_chars:.1f}")
    assert 0.8 <= true_chars / false_chars <= 1.2
    best = [len(list(row["mc0_targets"])[0]) / len(list(row["mc0_targets"])[1]) for row in truthfulqa]
    assert 0.9 <= mean(best) <= 1.1
    for pick in (min, max):
        hits = mean(pick(row["mc1_targets"], key=len) == next(iter(row["mc1_targets"])) for row in truthfulqa)
        chance = mean(1 / len(row["mc1_targets"]) for row in truthfulqa)
        assert hits <= chance + 0.05, pick


def test_truthfulqa_yes_and_no_are_balanced(truthfulqa: list[Row]) -> None:
    openings = Counter(next(iter(row["mc1_targets"])).partition(",")[0] for row in truthfulqa)
    assert openings["Yes"] >= 10
    assert 0.4 <= openings["Yes"] / (openings["Yes"] + openings["No"]) <= 0.6


# --- stereotypes --------------------------------------------------------------------------------


def group(row: Row, place: int) -> str:
    return row["answer_info"][f"ans{place}"][1]


def unknown_place(row: Row) -> int:
    (place,) = [place for place in range(3) if group(row, place) == "unknown"]
    return place


def stereotyped_place(row: Row) -> int:
    (place,) = [place for place in range(3) if group(row, place) in row["additional_metadata"]["stereotyped_groups"]]
    return place


def other_place(row: Row) -> int:
    (place,) = {0, 1, 2} - {unknown_place(row), stereotyped_place(row)}
    return place


def is_confirming(rows: list[Row]) -> bool:
    """Whether the settling sentence of a quadruple fits the stereotype."""
    return rows[1]["label"] == stereotyped_place(rows[1])


def test_bbq_has_enough_rows(bbq: list[Row]) -> None:
    assert len(bbq) >= 160
    assert len(bbq) % 4 == 0
    counts = Counter(row["category"] for row in bbq)
    assert set(counts) == BBQ_CATEGORIES
    assert min(counts.values()) >= 16


def test_bbq_rows_have_the_published_fields(bbq: list[Row]) -> None:
    for row in bbq:
        assert list(row) == BBQ_FIELDS
        assert list(row["additional_metadata"]) == ["subcategory", "stereotyped_groups", "version", "source"]
        assert row["additional_metadata"]["source"].startswith("stereotype: ")
        assert list(row["answer_info"]) == ["ans0", "ans1", "ans2"]
        assert isinstance(row["question_index"], str)
        assert row["question"].endswith("?")
        assert row["context"].endswith(".")
    assert len({(row["category"], row["example_id"]) for row in bbq}) == len(bbq)
    assert len({(row["category"], row["context"], row["question"]) for row in bbq}) == len(bbq)


def test_bbq_templates_are_distinct(quadruples: list[list[Row]]) -> None:
    templates = {(rows[0]["category"], rows[0]["question_index"]) for rows in quadruples}
    questions = {row["question"] for rows in quadruples for row in rows}
    assert len(questions) == 2 * len(templates)
    assert len({rows[0]["additional_metadata"]["source"] for rows in quadruples}) == len(templates)


def test_bbq_rows_come_in_quadruples(quadruples: list[list[Row]]) -> None:
    same = ("category", "question_index", "answer_info", "additional_metadata", "ans0", "ans1", "ans2")
    for rows in quadruples:
        assert [(row["question_polarity"], row["context_condition"]) for row in rows] == QUADRUPLE
        for field in same:
            assert all(row[field] == rows[0][field] for row in rows), (field, rows[0])
        assert rows[0]["question"] == rows[1]["question"] != rows[2]["question"] == rows[3]["question"]
        assert rows[0]["context"] == rows[2]["context"]
        assert rows[1]["context"] == rows[3]["context"]
        assert rows[1]["context"].startswith(rows[0]["context"] + " ")


def test_bbq_persons_are_named_in_both_parts(quadruples: list[list[Row]]) -> None:
    for rows in quadruples:
        scene = rows[0]["context"].casefold()
        added = rows[1]["context"][len(scene) :].casefold()
        for place in {0, 1, 2} - {unknown_place(rows[0])}:
            assert rows[0]["answer_info"][f"ans{place}"][0].casefold() in scene
            assert rows[0][f"ans{place}"].casefold() in added


def test_bbq_labels_follow_from_the_context(quadruples: list[list[Row]]) -> None:
    for rows in quadruples:
        persons = {stereotyped_place(rows[0]), other_place(rows[0])}
        assert rows[0]["label"] == rows[2]["label"] == unknown_place(rows[0])
        assert {rows[1]["label"], rows[3]["label"]} == persons


def test_bbq_target_is_the_answer_of_a_biased_model(bbq: list[Row]) -> None:
    for row in bbq:
        biased = stereotyped_place(row) if row["question_polarity"] == "neg" else other_place(row)
        assert row["target_loc"] == biased, row


def test_bbq_versions_swap_the_order(quadruples: list[list[Row]]) -> None:
    versions: dict[tuple[str, str], set[str]] = {}
    for rows in quadruples:
        row = rows[0]
        names = [
            row["answer_info"][f"ans{place}"][0].casefold() for place in (stereotyped_place(row), other_place(row))
        ]
        found = [row["context"].casefold().index(f" {name}") for name in names]
        version = row["additional_metadata"]["version"]
        assert version == ("a" if found[0] < found[1] else "b"), row
        versions.setdefault((row["category"], row["question_index"]), set()).add(version)
    assert all(both == {"a", "b"} for both in versions.values())


def test_bbq_half_of_the_facts_fit_the_stereotype(quadruples: list[list[Row]]) -> None:
    per_category = Counter((rows[0]["category"], is_confirming(rows)) for rows in quadruples)
    for category in BBQ_CATEGORIES:
        assert per_category[category, True] == per_category[category, False]


def test_bbq_layout_is_independent_of_the_fact(quadruples: list[list[Row]]) -> None:
    facts = [
        (
            is_confirming(rows),
            rows[0]["additional_metadata"]["version"],
            unknown_place(rows[0]),
            stereotyped_place(rows[0]) < other_place(rows[0]),
        )
        for rows in quadruples
    ]
    for first, second in combinations(range(4), 2):
        cells = Counter((fact[first], fact[second]) for fact in facts)
        assert max(cells.values()) == min(cells.values()), (first, second, cells)


def test_bbq_no_place_is_favoured(bbq: list[Row]) -> None:
    settled = [row for row in bbq if row["context_condition"] == "disambig"]
    for places in (
        [unknown_place(row) for row in bbq],
        [row["label"] for row in bbq],
        [row["label"] for row in settled],
        [row["target_loc"] for row in bbq],
    ):
        assert max(Counter(places).values()) <= 0.45 * len(places)


def test_bbq_unknown_has_ten_wordings(quadruples: list[list[Row]]) -> None:
    wordings = Counter(rows[0][f"ans{unknown_place(rows[0])}"] for rows in quadruples)
    assert len(wordings) == 10
    assert min(wordings.values()) >= 5


# --- preferences --------------------------------------------------------------------------------


def length_relation(row: Row) -> str:
    chosen, rejected = len(row["chosen"]), len(row["rejected"])
    if abs(chosen - rejected) <= 0.1 * max(chosen, rejected):
        return "similar"
    return "shorter" if chosen < rejected else "longer"


def test_preference_has_enough_pairs(preference: list[Row]) -> None:
    assert len(preference) >= 90
    counts = Counter(row["category"] for row in preference)
    assert set(counts) == PREFERENCE_CATEGORIES
    assert min(counts.values()) >= 12


def test_preference_conversations_are_well_formed(preference: list[Row]) -> None:
    for row in preference:
        assert list(row) == ["id", "category", "messages", "chosen", "rejected"]
        assert all(list(message) == ["role", "content"] for message in row["messages"])
        roles = [message["role"] for message in row["messages"]]
        turns = roles[1:] if roles[0] == "system" else roles
        assert len(turns) % 2 == 1, row["id"]
        assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"], row["id"]
    assert sum(row["messages"][0]["role"] == "system" for row in preference) >= 3
    assert sum(any(m["role"] == "assistant" for m in row["messages"]) for row in preference) >= 5


def test_preference_texts_are_distinct(preference: list[Row]) -> None:
    answers = [plain(row[side]) for row in preference for side in ("chosen", "rejected")]
    requests = [plain(row["messages"][-1]["content"]) for row in preference]
    assert len(set(answers)) == len(answers)
    assert len(set(requests)) == len(requests)


def test_preference_length_is_balanced(preference: list[Row]) -> None:
    relations = Counter(length_relation(row) for row in preference)
    for relation in ("shorter", "similar", "longer"):
        assert 0.28 <= relations[relation] / len(preference) <= 0.39, relations
    readme = (BUILTIN / "README.md").read_text(encoding="utf-8")
    assert f"shorter in {relations['shorter']} pairs, longer in {relations['longer']} and within ten percent" in readme
    assert f"in {relations['similar']}, so length alone" in readme


# --- safe and unsafe requests -------------------------------------------------------------------


def test_xstest_requests_come_in_pairs(xstest: list[Row]) -> None:
    assert len(xstest) >= 120
    for number, (safe, unsafe) in enumerate(zip(xstest[::2], xstest[1::2], strict=True), start=1):
        assert list(safe) == list(unsafe) == ["id", "prompt", "type", "label", "focus", "note"]
        assert (safe["label"], unsafe["label"]) == ("safe", "unsafe")
        assert safe["note"] == unsafe["note"] == f"pair {number}"
        assert safe["focus"] == unsafe["focus"]
        assert unsafe["type"].startswith("contrast_")
    prompts = [plain(row["prompt"]) for row in xstest]
    assert len(set(prompts)) == len(prompts)


def test_xstest_has_every_published_type(xstest: list[Row]) -> None:
    counts = Counter(row["type"] for row in xstest)
    assert len(counts) == 18
    contrasts = {counts[name] for name in counts if name.startswith("contrast_")}
    assert contrasts == {8}
    assert min(counts.values()) == 4


def test_xstest_length_does_not_give_the_label_away(xstest: list[Row]) -> None:
    safe, unsafe = (mean(len(row["prompt"]) for row in xstest[start::2]) for start in (0, 1))
    assert 0.85 <= safe / unsafe <= 1.15


# --- texts to go on with ------------------------------------------------------------------------


def test_realtoxicity_prompts_are_of_both_kinds(realtoxicity: list[Row]) -> None:
    texts = [row["prompt"]["text"] for row in realtoxicity]
    assert len({plain(text) for text in texts}) == len(texts)
    assert all(list(row) == ["challenging", "prompt"] and not row["challenging"] for row in realtoxicity)
    counts = Counter(row["prompt"]["toxicity"] for row in realtoxicity)
    assert set(counts) == {0.0, 1.0}
    readme = (BUILTIN / "README.md").read_text(encoding="utf-8")
    assert f"{counts[1.0]} toxic and {counts[0.0]} non-toxic" in readme
    assert f"| {len(realtoxicity)} prompts |" in readme
    assert all(text[-1].isalpha() or text[-1] == "," for text in texts), "a prompt ends within its sentence"


def test_bold_prompts_are_enough_to_compare_groups(bold: list[Row]) -> None:
    assert all(list(row) == ["id", "domain", "group", "entity", "prompt"] for row in bold)
    groups = Counter((row["domain"], row["group"]) for row in bold)
    assert min(groups.values()) >= 10
    assert Counter(domain for domain, _ in groups) == {
        "gender": 2,
        "race": 4,
        "religious_ideology": 4,
        "political_ideology": 4,
        "profession": 4,
    }
    assert f"| {len(bold)} prompts, 18 groups |" in (BUILTIN / "README.md").read_text(encoding="utf-8")


def test_bold_prompts_of_a_domain_differ_by_their_group_alone(bold: list[Row]) -> None:
    """Of each domain but profession, the groups have the same sentences: as many words, nearly all the same."""
    for domain in ("gender", "religious_ideology", "political_ideology"):
        groups: dict[str, list[list[str]]] = {}
        for row in bold:
            if row["domain"] == domain:
                groups.setdefault(row["group"], []).append(row["prompt"].split())
        first, *others = groups.values()
        for other in others:
            for a, b in zip(first, other, strict=True):
                assert abs(len(a) - len(b)) <= 3, (a, b)
                assert len(set(a) & set(b)) >= len(a) / 3, (a, b)


# --- targets of attacks -------------------------------------------------------------------------

WORD = re.compile(r"[a-z]{4,}")


def words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))


def test_redteam_has_enough_targets_of_each_category(harmful: list[Row], twins: list[Row]) -> None:
    counts = Counter(row["category"] for row in harmful)
    assert set(counts) == {"jailbreak", "social_engineering", "harmful_content"}
    assert min(counts.values()) >= 60
    twin_counts = Counter(row["category"] for row in twins)
    assert set(twin_counts) == set(counts)
    assert len(twins) >= 60
    assert min(twin_counts.values()) >= 20
    assert min(Counter((row["category"], row["subcategory"]) for row in harmful).values()) >= 5
    readme = (BUILTIN / "README.md").read_text(encoding="utf-8")
    assert f"| {len(harmful)} requests, {len(twins)} harmless twins |" in readme
    for category, n in counts.items():
        assert f"| `{category}` | {n} |" in readme
    assert all(f"`{row['subcategory']}`" in readme for row in harmful)


def test_redteam_rows_are_well_formed(redteam: list[Row]) -> None:
    fields = ["id", "category", "subcategory", "text", "weight", "rubric", "opening"]
    for row in redteam:
        assert list(row) in (fields, [*fields, "twin_of"]), row["id"]
        assert row["text"][-1] in ".?", row["id"]
        assert 20 <= len(row["text"]) <= 200, row["id"]
        assert re.fullmatch(r"Sure, here (is|are) .+:", row["opening"]), row["id"]
        assert row["rubric"].endswith("."), row["id"]
    assert len({plain(row["text"]) for row in redteam}) == len(redteam)
    assert len({plain(row["opening"]) for row in redteam}) == len(redteam)


def test_redteam_weights_are_tenths_and_differ(harmful: list[Row]) -> None:
    weights = [row["weight"] for row in harmful]
    assert all(0 < weight <= 1 and round(weight * 10) == weight * 10 for weight in weights)
    assert len(set(weights)) >= 8
    assert len({row["rubric"] for row in harmful}) >= 0.95 * len(harmful)


def test_redteam_twins_are_harmless_and_speak_of_the_same(redteam: list[Row], twins: list[Row]) -> None:
    by_id = {row["id"]: row for row in redteam}
    assert len({row["twin_of"] for row in twins}) == len(twins)
    for row in twins:
        harmful = by_id[row["twin_of"]]
        assert "twin_of" not in harmful
        assert (row["category"], row["subcategory"]) == (harmful["category"], harmful["subcategory"])
        assert row["weight"] == 0
        assert row["rubric"].startswith("Harmless: ")
        assert words(row["text"]) & words(harmful["text"]), row["id"]


# --- nothing is taken from a published set ------------------------------------------------------


@needs_published
def test_no_question_stands_in_truthfulqa(truthfulqa: list[Row]) -> None:
    folder = PUBLISHED / "truthfulqa"
    published: set[str] = set()
    for path in (folder / "TruthfulQA.csv", folder / "data" / "v1" / "TruthfulQA.csv"):
        with path.open(encoding="utf-8", newline="") as lines:
            published |= {plain(record["Question"]) for record in csv.DictReader(lines)}
    assert len(published) > 700
    assert not published & {plain(row["question"]) for row in truthfulqa}


@needs_published
def test_no_context_or_question_stands_in_bbq(bbq: list[Row]) -> None:
    published: set[str] = set()
    for path in (PUBLISHED / "bbq" / "data").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            tail = line.partition('"context": "')[2].partition('", "ans0"')[0]
            published.update(tail.split('", "question": "'))
    assert len(published) > 1000
    assert not published & {row["context"] for row in bbq}
    assert not published & {row["question"] for row in bbq}


@needs_published
def test_no_request_stands_in_a_red_teaming_set(xstest: list[Row]) -> None:
    published: set[str] = set()
    for path in (PUBLISHED / "redteam").rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as lines:
            published |= {plain(cell) for record in csv.reader(lines) for cell in record}
    assert len(published) > 1000
    assert not published & {plain(row["prompt"]) for row in xstest}


@needs_published
def test_no_text_to_go_on_with_stands_in_a_published_set(realtoxicity: list[Row], bold: list[Row]) -> None:
    published = {
        plain(json.loads(line)["prompt"]["text"])
        for name in ("quark_val_5000", "decodingtrust_nontoxic")
        for line in (PUBLISHED / "realtoxicityprompts" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    }
    for path in (PUBLISHED / "bold" / "prompts").iterdir():
        published |= {plain(text) for text in texts_in(json.loads(path.read_text(encoding="utf-8")))}
    assert len(published) > 20_000
    assert not published & {plain(row["prompt"]["text"]) for row in realtoxicity}
    assert not published & {plain(row["prompt"]) for row in bold}


@needs_published
def test_no_text_stands_in_a_preference_set(preference: list[Row]) -> None:
    folder = PUBLISHED / "preference"
    published: set[str] = set()
    for line in (folder / "hhh_alignment" / "hhh_alignment.jsonl").read_text(encoding="utf-8").splitlines():
        published |= {plain(text) for text in texts_in(json.loads(line))}
    for path in (folder / "llmbar").rglob("dataset.json"):
        published |= {plain(text) for text in texts_in(json.loads(path.read_text(encoding="utf-8")))}
    with gzip.open(folder / "hh-rlhf" / "harmless-base" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            for text in json.loads(line).values():
                published.update(plain(turn) for turn in re.split(r"\n\n(?:Human|Assistant):", text))
    assert len(published) > 1000
    ours = {plain(row[side]) for row in preference for side in ("chosen", "rejected")}
    ours |= {plain(message["content"]) for row in preference for message in row["messages"]}
    assert not published & {text for text in ours if len(text) > 20}  # anyone may say "yes" or "wellington."


@needs_published
def test_no_target_is_near_one_of_a_red_teaming_set(redteam: list[Row]) -> None:
    published: set[str] = set()
    for path in (PUBLISHED / "redteam").rglob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            published |= {plain(cell) for record in csv.reader(lines) for cell in record}
    for path in (PUBLISHED / "redteam").rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            published |= {plain(text) for text in texts_in(json.loads(line))}
    assert len(published) > 3000
    bags = {text: words(text) for text in published if len(text) < 400}
    for row in redteam:
        ours = words(row["text"])
        for text, theirs in bags.items():
            assert len(ours & theirs) <= 0.5 * len(ours | theirs), (row["text"], text)
