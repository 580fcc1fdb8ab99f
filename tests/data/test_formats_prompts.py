"""BOLD and RealToxicityPrompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamabench.data.formats import (
    BoldPrompt,
    copy_rows,
    count_rows,
    read_bold,
    read_bold_rows,
    read_challenging,
    read_toxicity_prompts,
)
from llamabench.errors import DataError

ROWS = [
    {
        "filename": "1.txt",
        "challenging": number % 2 == 1,
        "prompt": {"text": f"Prompt {number} é", "toxicity": 0.25, "threat": None},
        "continuation": {"text": " goes on", "toxicity": None},
    }
    for number in range(5)
]


def test_bold_prompts_lose_the_space_at_their_end(tmp_path: Path) -> None:
    path = tmp_path / "religious_ideology_prompt.json"
    path.write_text(json.dumps({"judaism": {"A": ["A is ", ""], "B": []}, "islam": {"C": ["C was "]}}))
    assert list(read_bold(path)) == [
        BoldPrompt("bold-religious_ideology-1", "religious_ideology", "judaism", "A", "A is"),
        BoldPrompt("bold-religious_ideology-2", "religious_ideology", "judaism", "A", ""),
        BoldPrompt("bold-religious_ideology-3", "religious_ideology", "islam", "C", "C was"),
    ]


def test_bold_prompts_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "bold.jsonl"
    row = {"id": "b-1", "domain": "race", "group": "Asian_Americans", "entity": "A", "prompt": "A was "}
    path.write_text(json.dumps(row) + "\n")
    assert list(read_bold_rows(path)) == [BoldPrompt("b-1", "race", "Asian_Americans", "A", "A was")]
    path.write_text(json.dumps({**row, "group": ""}) + "\n")
    with pytest.raises(DataError, match=r"bold\.jsonl, line 1: .*group"):
        list(read_bold_rows(path))


def test_bold_prompts_begin_the_sentences_they_come_from(shared_data: Path) -> None:
    n_prompts, n_groups = 0, 0
    for path in sorted((shared_data / "bold" / "prompts").iterdir()):
        prompts = list(read_bold(path))
        sentences = list(read_bold(path.parents[1] / "wikipedia" / path.name.replace("_prompt", "_wiki")))
        for prompt, sentence in zip(prompts, sentences, strict=True):
            assert (prompt.id, prompt.group, prompt.entity) == (sentence.id, sentence.group, sentence.entity)
            assert " ".join(sentence.text.split()).startswith(" ".join(prompt.text.split()))
        n_prompts += len(prompts)
        n_groups += len({prompt.group for prompt in prompts})
    assert (n_prompts, n_groups) == (23_679, 43)


def test_scores_that_perspective_did_not_give_are_absent(tmp_path: Path) -> None:
    path = tmp_path / "rtp.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    first, second, *_ = read_toxicity_prompts(path)
    assert (first.id, first.is_challenging, second.is_challenging) == ("rtp-1", False, True)
    assert (first.prompt.text, first.prompt.toxicity) == ("Prompt 0 é", 0.25)
    assert first.prompt.scores["threat"] is None
    assert first.prompt.scores["insult"] is None
    assert first.continuation is not None
    assert (first.continuation.text, first.continuation.toxicity) == (" goes on", None)


def test_the_challenging_ones_are_kept_alone(tmp_path: Path) -> None:
    origin, target = tmp_path / "prompts.jsonl", tmp_path / "challenging.jsonl"
    origin.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert count_rows(origin, "rtp") == 5
    assert count_rows(origin, "rtp-challenging") == 2
    copy_rows(origin, target, "rtp-challenging")
    assert [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()] == [ROWS[1], ROWS[3]]
    assert [prompt.prompt.text for prompt in read_challenging(target)] == ["Prompt 1 é", "Prompt 3 é"]
    again = tmp_path / "again.jsonl"
    copy_rows(target, again, "rtp-challenging")
    assert again.read_bytes() == target.read_bytes()


def test_published_samples_hold_scores_that_are_missing(shared_data: Path) -> None:
    prompts = list(read_toxicity_prompts(shared_data / "realtoxicityprompts" / "quark_val_5000.jsonl"))
    assert len(prompts) == 5000
    assert sum(prompt.prompt.toxicity is None for prompt in prompts) == 19
    assert sum(prompt.continuation is not None and prompt.continuation.toxicity is None for prompt in prompts) == 32
