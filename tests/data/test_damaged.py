"""Data that are damaged: the message names the file and the line, and nothing is imported, not even what is sound."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llamabench.data.cache import import_source, list_installed
from llamabench.errors import DataError

XSTEST = "id,prompt,type,label,focus,note\n"
SAFE = "{0},How do I kill it?,homonyms,safe,kill,\n"
HARMBENCH = "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
JBB = "Index,Goal,Target,Behavior,Category,Source\n"
RTP = {"challenging": False, "prompt": {"text": "So it"}, "continuation": {"text": " goes."}}
AUTO_J = {"scenario": "jokes", "label": 0, "prompt": "Hi", "response 1": "A", "response 2": "B"}
LLMBAR = {"input": "Hi", "output_1": "A", "output_2": "B", "label": 1}
PANDALM = {"idx": 0, "instruction": "Hi", "input": "", "response1": "A", "response2": "B", "motivation_app": "Mail"}
VOTES = {"annotator1": 1, "annotator2": 1, "annotator3": 0}
PKU = {"prompt": "Hi", "response_0": "A", "response_1": "B", "better_response_id": 0, "safer_response_id": 1}
OWN = {"prompt": "Hi", "chosen": "A", "rejected": "B"}
TALK = "\n\nHuman: Hi\n\nAssistant: Hello."
TRUTH = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers\n"


class Case(NamedTuple):
    """A damaged file of a data set, and what is said of it; FILE stands for its path."""

    source: str
    file: str
    content: str | bytes
    message: str


def lines(*rows: dict[str, Any] | str) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def rtp(**change: Any) -> str:
    return lines(RTP, {**RTP, **change})


CASES: dict[str, Case] = {
    "a csv with a missing column": Case(
        "xstest",
        "xstest_prompts.csv",
        "id,prompt,type,focus,note\n1,Hi,homonyms,kill,\n",
        "FILE: no column label in the header (found: id, prompt, type, focus, note).",
    ),
    "a csv that is empty": Case(
        "xstest",
        "xstest_prompts.csv",
        "",
        "FILE: no column id, prompt, type, label, focus, note in the header (found: nothing).",
    ),
    "a csv without rows": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST,
        "FILE has 0 rows, xstest_prompts.csv of XSTest has 450. "
        "Get it again from https://github.com/paul-rottger/exaggerated-safety",
    ),
    "a row with too few fields": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + SAFE.format(1) + "2,How?\n",
        "FILE, line 3: 2 fields, the header has 6.",
    ),
    "a row with too many fields": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + "1,How, please?,homonyms,safe,kill,\n",
        "FILE, line 2: 7 fields, the header has 6.",
    ),
    "a quote that is never closed": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + SAFE.format(1) + '2,"How?,homonyms,safe,kill,\n',
        "FILE, near line 3, cannot be read: unexpected end of data.",
    ),
    "an unknown label": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + "1,How?,homonyms,harmless,kill,\n",
        'FILE, line 2: the field "label" should be safe or unsafe, found "harmless".',
    ),
    "a label that does not fit": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + "1,How?,contrast_homonyms,safe,kill,\n",
        'FILE, line 2: the label "safe" does not fit the type "contrast_homonyms".',
    ),
    "an id that stands twice": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST + SAFE.format(1) * 2,
        'FILE, line 3: the id "xstest-1" stands twice.',
    ),
    "another encoding": Case(
        "xstest",
        "xstest_prompts.csv",
        (XSTEST + SAFE.format(1)).encode() + "2,Où?,homonyms,safe,kill,\n".encode("latin-1"),
        "FILE, line 3: not UTF-8 text (byte 0xf9). Save the file as UTF-8.",
    ),
    "UTF-16, as some spreadsheets save": Case(
        "xstest",
        "xstest_prompts.csv",
        XSTEST.encode("utf-16"),
        "FILE, line 1: not UTF-8 text (byte 0xff). Save the file as UTF-8.",
    ),
    "an empty category": Case(
        "harmbench",
        "harmbench_behaviors_text_val.csv",
        HARMBENCH + "Do it,standard,,,,do_it\n",
        'FILE, line 2: the field "SemanticCategory" should be text that is not empty, found "".',
    ),
    "an unknown function": Case(
        "harmbench",
        "harmbench_behaviors_text_val.csv",
        HARMBENCH + "Do it,usual,illegal,,,do_it\n",
        'FILE, line 2: the field "FunctionalCategory" should be standard or contextual or copyright, found "usual".',
    ),
    "a contextual behaviour without context": Case(
        "harmbench",
        "harmbench_behaviors_text_val.csv",
        HARMBENCH + "Do it,contextual,illegal,context,,do_it\n",
        'FILE, line 2: the field "ContextString" should be text that is not empty, found "".',
    ),
    "an index that is no number": Case(
        "jailbreakbench",
        "harmful-behaviors.csv",
        JBB + "one,Do it,Sure,Doing,Crime,Original\n",
        'FILE, line 2: the field "Index" should be a whole number, found "one".',
    ),
    "an empty goal": Case(
        "advbench",
        "harmful_behaviors.csv",
        "goal,target\n,Sure\n",
        'FILE, line 2: the field "goal" should be text that is not empty, found "".',
    ),
    "a table with its columns exchanged": Case(
        "strongreject",
        "strongreject_dataset.csv",
        "category,prompt\nFraud,Do it\n",
        "FILE: no column source, forbidden_prompt in the header (found: category, prompt).",
    ),
    "a jsonl with one broken line": Case(
        "realtoxicityprompts",
        "nontoxic.jsonl",
        lines(RTP, '{"challenging": fal'),
        "FILE, line 2: not valid JSON: Expecting value: line 1 column 17 (char 16).",
    ),
    "a score that is none": Case(
        "realtoxicityprompts",
        "nontoxic.jsonl",
        rtp(prompt={"text": "So", "toxicity": 3}),
        "FILE, line 2: a score should be from 0 to 1, found toxicity 3.0.",
    ),
    "a flag that is none": Case(
        "realtoxicityprompts",
        "nontoxic.jsonl",
        rtp(challenging="no"),
        'FILE, line 2: the field "challenging" should be true or false, found "no".',
    ),
    "a prompt without text": Case(
        "realtoxicityprompts",
        "nontoxic.jsonl",
        rtp(prompt={"text": " "}),
        'FILE, line 2: the field "text" should be text that is not empty, found " ".',
    ),
    "an empty group": Case(
        "bold", "gender_prompt.json", '{"American_actors": {}}', 'FILE: the group "American_actors" is empty.'
    ),
    "a prompt that is no text": Case(
        "bold",
        "gender_prompt.json",
        '{"American_actors": {"A": [1]}}',
        'FILE: the field "A" should be a list of texts, found [1].',
    ),
    "a file that is no object": Case("bold", "gender_prompt.json", "[1]", "FILE is not a JSON object."),
    "a file cut in the middle": Case(
        "bold",
        "gender_prompt.json",
        '{"American_actors": {"A": ["So',
        "FILE is not valid JSON: Unterminated string starting at: line 1 column 28 (char 27).",
    ),
    "an archive cut in the middle": Case(
        "hh-rlhf",
        "test.jsonl.gz",
        gzip.compress(lines({"chosen": TALK, "rejected": TALK}).encode())[:-12],
        "FILE cannot be read: Compressed file ended before the end-of-stream marker was reached.",
    ),
    "a label of Auto-J": Case(
        "auto-j",
        "testdata_pairwise.jsonl",
        lines(AUTO_J, {**AUTO_J, "label": 3}),
        "FILE, line 2: the label should be 0, 1 or 2, found 3.",
    ),
    "a label of LLMBar": Case(
        "llmbar",
        "Natural/dataset.json",
        json.dumps([LLMBAR, {**LLMBAR, "label": 0}]),
        "FILE, entry 2: the label should be 1 or 2, found 0.",
    ),
    "a vote of PandaLM": Case(
        "pandalm",
        "testset-v1.json",
        json.dumps([{**PANDALM, **VOTES, "annotator2": 3}]),
        "FILE, entry 1: a vote should be 0, 1 or 2, found 1, 3, 0.",
    ),
    "a vote that is missing": Case(
        "pandalm",
        "testset-v1.json",
        json.dumps([PANDALM]),
        'FILE, entry 1: the field "annotator1" is missing '
        "(found: idx, instruction, input, response1, response2, motivation_app).",
    ),
    "an answer that is not there": Case(
        "pku-saferlhf",
        "Alpaca-7B/test.jsonl",
        lines(PKU, {**PKU, "safer_response_id": 2}),
        "FILE, line 2: safer_response_id should be 0 or 1, found 2.",
    ),
    "a preference that means nothing": Case(
        "pairs",
        "mine.jsonl",
        lines(OWN, {**OWN, "preferred": ["chosen", "first"]}),
        "FILE, line 2: preferred should be chosen, rejected, tie or a list of these, found ['chosen', 'first'].",
    ),
    "a weight below nothing": Case(
        "pairs", "mine.jsonl", lines({**OWN, "weight": -1}), "FILE, line 1: the weight should be 0 or more, found -1.0."
    ),
    "a weight that is no number": Case(
        "pairs",
        "mine.jsonl",
        '{"prompt": "Hi", "chosen": "A", "rejected": "B", "weight": NaN}\n',
        'FILE, line 1: the field "weight" should be a number, found NaN.',
    ),
    "an answer without a prompt": Case(
        "pairs",
        "mine.jsonl",
        lines({"chosen": "A", "rejected": "B"}),
        'FILE, line 1: there is no "prompt", no "messages", and the answers are no transcripts.',
    ),
    "a pair whose id stands twice": Case(
        "pairs",
        "mine.jsonl",
        lines({**OWN, "id": 7}, {**OWN, "id": "7"}),
        'FILE, line 2: the id "7" stands twice.',
    ),
    "a table of TruthfulQA without answers": Case(
        "truthfulqa",
        "TruthfulQA.csv",
        TRUTH + "Adversarial,Law,Why?,Because,Because; ;,;\n",
        'FILE, line 2: there is no answer in "Incorrect Answers".',
    ),
    "a type of TruthfulQA": Case(
        "truthfulqa",
        "TruthfulQA.csv",
        TRUTH + "Easy,Law,Why?,Because,Because,No\n",
        'FILE, line 2: the field "Type" should be Adversarial or Non-Adversarial, found "Easy".',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_damage_is_named_with_its_place_and_nothing_is_imported(
    name: str, tmp_path: Path, own_data_folder: Path
) -> None:
    case = CASES[name]
    path = tmp_path / case.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    with pytest.raises(DataError) as caught:
        import_source(case.source, tmp_path)
    assert str(caught.value) == case.message.replace("FILE", str(path))
    assert list_installed() == ()
    assert list(own_data_folder.rglob("*")) == []


def test_one_damaged_edition_keeps_the_sound_ones_out(tmp_path: Path, own_data_folder: Path) -> None:
    rows = [f"Do {i},standard,illegal,,,do_{i}\n" for i in range(400)]
    (tmp_path / "harmbench_behaviors_text_all.csv").write_text(HARMBENCH + "".join(rows))
    (tmp_path / "harmbench_behaviors_text_val.csv").write_text(HARMBENCH + "".join(rows[:79]))
    with pytest.raises(DataError, match=r"text_val.csv has 79 rows, .* has 80"):
        import_source("harmbench", tmp_path)
    assert list(own_data_folder.rglob("*")) == []


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    rows = "".join(SAFE.format(i) for i in range(450))
    (tmp_path / "xstest_prompts.csv").write_bytes(b"\xef\xbb\xbf" + (XSTEST + rows).replace("\n", "\r\n").encode())
    (installed,) = import_source("xstest", tmp_path)
    assert installed.n_items == 450


def test_one_file_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(lines(OWN))
    (tmp_path / "broken.jsonl").write_text("{")
    assert import_source("pairs", path)[0].n_items == 1
    monkeypatch.chdir(tmp_path)
    assert import_source("pairs", Path("mine.jsonl"))[0].n_items == 1
    with pytest.raises(
        DataError, match=re.escape("does not hold XSTest: looked for xstest_prompts.csv; found mine.jsonl")
    ):
        import_source("xstest", path)


def test_a_disk_that_is_full_leaves_nothing(
    tmp_path: Path, own_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamabench.data import installing

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "mine.jsonl").write_text(lines(OWN))
    for name in ("copy_rows", "write_manifest"):
        original: Callable[..., Any] = getattr(installing, name)
        monkeypatch.setattr(installing, name, fail)
        with pytest.raises(DataError, match="own cannot be copied to .*: No space left on device"):
            import_source("pairs", tmp_path)
        monkeypatch.setattr(installing, name, original)
        assert list_installed() == ()
    assert import_source("pairs", tmp_path)[0].n_items == 1
