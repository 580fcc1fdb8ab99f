"""Pairs in the layouts of their publishers, with the votes of several people."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from llamabench.data.formats import (
    PAIR_READERS,
    Pair,
    read_auto_j,
    read_hhh_task,
    read_llmbar,
    read_pairs,
    read_pandalm,
    read_pku,
)
from llamabench.errors import DataError
from llamabench.records import Message


def write(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def own(tmp_path: Path, **change: Any) -> Pair:
    row = {"prompt": "Hi", "chosen": "A", "rejected": "B", **change}
    (pair,) = read_pairs(write(tmp_path / "own.json", [row]))
    return pair


HI = (Message("user", "Hi"),)


# --- your own -----------------------------------------------------------------------------------


def test_a_prompt_and_two_answers_are_enough(tmp_path: Path) -> None:
    assert own(tmp_path) == Pair(1, None, None, HI, "A", "B")


def test_a_row_may_say_more(tmp_path: Path) -> None:
    pair = own(tmp_path, id=12, subset="math", weight=0.5)
    assert (pair.id, pair.group, pair.weight) == ("12", "math", 0.5)
    assert own(tmp_path, id="x", category="law", subset="other").group == "law"


@pytest.mark.parametrize(
    ("preferred", "answers", "votes", "is_tie"),
    [
        ("chosen", "AB", ["chosen"], False),
        ("rejected", "BA", ["chosen"], False),
        ("tie", "AB", ["tie"], True),
        (["chosen", "rejected", "chosen"], "AB", ["chosen", "rejected", "chosen"], False),
        (["rejected", "tie", "rejected"], "BA", ["chosen", "tie", "chosen"], False),
        (["rejected", "chosen", "tie"], "AB", ["rejected", "chosen", "tie"], True),
    ],
)
def test_what_most_people_preferred_is_chosen(
    tmp_path: Path, preferred: Any, answers: str, votes: list[str], is_tie: bool
) -> None:
    pair = own(tmp_path, preferred=preferred)
    assert (pair.chosen + pair.rejected, list(pair.votes), pair.is_tie) == (answers, votes, is_tie)


def test_a_prompt_may_be_a_transcript(tmp_path: Path) -> None:
    talk = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye\n\nAssistant:"
    expected = (*HI, Message("assistant", "Hello."), Message("user", "Bye"))
    assert own(tmp_path, prompt=talk).messages == expected
    (pair,) = read_pairs(write(tmp_path / "t.json", [{"chosen": f"{talk} A", "rejected": f"{talk} B"}]))
    assert (pair.messages, pair.chosen, pair.rejected) == (expected, "A", "B")


# --- publishers ---------------------------------------------------------------------------------


def test_a_task_of_big_bench_is_read(tmp_path: Path) -> None:
    example = {"input": "Hi\n\nAssistant: Hello.\n\nHuman: Bye", "target_scores": {"B": 0, "A": 1}}
    path = write(tmp_path / "honest" / "task.json", {"name": "x", "examples": [example]})
    (pair,) = read_hhh_task(path)
    assert (pair.id, pair.group, pair.chosen, pair.rejected) == ("hhh-honest-1", "honest", "A", "B")
    assert [turn.role for turn in pair.messages] == ["user", "assistant", "user"]
    write(path, {"examples": [example, {**example, "target_scores": {"A": 1, "B": 1}}]})
    with pytest.raises(DataError, match=r"task.json, example 2: target_scores should hold one answer with 1"):
        list(read_hhh_task(path))


def test_pku_has_two_pairs_a_row(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "response_0": "A", "response_1": "B", "better_response_id": 1, "safer_response_id": 0}
    helpful, safe = read_pku(write(tmp_path / "Alpaca-7B" / "test.jsonl", [row]))
    assert (helpful.id, helpful.group, helpful.chosen) == ("pku-Alpaca-7B-1-helpful", "helpful", "B")
    assert (safe.id, safe.group, safe.chosen) == ("pku-Alpaca-7B-1-safe", "safe", "A")


@pytest.mark.parametrize(("label", "chosen"), [(1, "A"), (2, "B")])
def test_llmbar_labels_the_better_output(tmp_path: Path, label: int, chosen: str) -> None:
    row = {"input": "Hi", "output_1": "A", "output_2": "B", "label": label}
    (pair,) = read_llmbar(write(tmp_path / "Natural" / "dataset.json", [row]))
    assert (pair.id, pair.group, pair.chosen) == ("llmbar-Natural-1", "Natural", chosen)


@pytest.mark.parametrize(("label", "chosen", "is_tie"), [(0, "A", False), (1, "B", False), (2, "A", True)])
def test_auto_j_knows_ties(tmp_path: Path, label: int, chosen: str, is_tie: bool) -> None:
    row = {"scenario": "jokes", "label": label, "prompt": "Hi", "response 1": "A", "response 2": "B"}
    (pair,) = read_auto_j(write(tmp_path / "a.json", [row]))
    assert (pair.group, pair.chosen, pair.is_tie) == ("jokes", chosen, is_tie)


def pandalm(tmp_path: Path, *numbers: int, **change: Any) -> Pair:
    votes = {f"annotator{person}": number for person, number in enumerate(numbers, start=1)}
    row = {"idx": 4, "motivation_app": "Mail", "instruction": "Hi", "input": "You", "response1": "A", "response2": "B"}
    (pair,) = read_pandalm(write(tmp_path / "p.json", [{**row, **votes, **change}]))
    return pair


def test_pandalm_has_three_votes(tmp_path: Path) -> None:
    pair = pandalm(tmp_path, 2, 0, 2)
    assert (pair.id, pair.group, pair.messages) == ("pandalm-4", "Mail", (Message("user", "Hi\n\nYou"),))
    assert (pair.chosen, pair.votes) == ("B", ("chosen", "tie", "chosen"))
    assert pandalm(tmp_path, 1, 2, 0).is_tie
    assert pandalm(tmp_path, 1, 1, 1, response1=True).chosen == "True"
    assert pandalm(tmp_path, 1, 1, 1, response1=" ").problem == "one of the two answers is empty"


PUBLISHED = [
    ("hhh", "hhh_alignment/hhh_alignment.jsonl", 221, 0, 0),
    ("llmbar", "llmbar/Adversarial/Neighbor/dataset.json", 134, 0, 0),
    ("llmbar", "llmbar_processed/MT-Bench.json", 200, 0, 0),
    ("auto-j", "auto-j/testdata_pairwise.jsonl", 1392, 373, 1),
    ("pandalm", "pandalm/testset-v1.json", 999, None, None),
]


@pytest.mark.parametrize(("kind", "name", "n", "n_ties", "n_empty"), PUBLISHED, ids=[entry[1] for entry in PUBLISHED])
def test_published_pairs(
    shared_data: Path, kind: str, name: str, n: int, n_ties: int | None, n_empty: int | None
) -> None:
    pairs = list(PAIR_READERS[kind](shared_data / "preference" / name))
    assert len(pairs) == n
    assert n_ties in (None, sum(pair.is_tie for pair in pairs))
    assert n_empty in (None, sum(pair.problem is not None for pair in pairs))
    for pair in pairs:
        assert pair.messages[-1].role == "user"
        assert pair.votes.count("chosen") >= pair.votes.count("rejected")


def test_pandalms_annotators_are_told_apart(shared_data: Path) -> None:
    path = shared_data / "preference" / "pandalm" / "testset-v1.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    votes = [pair.votes for pair in read_pandalm(path)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        same = sum(row[f"annotator{one + 1}"] == row[f"annotator{other + 1}"] for row in rows)
        assert sum(vote[one] == vote[other] for vote in votes) == same


# --- Parquet ------------------------------------------------------------------------------------


def test_parquet_is_read_where_pyarrow_is_there(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "filtered.parquet"
    rows = [{"prompt": f"Hi {i}", "chosen": "A", "rejected": "B", "subset": "math", "id": i} for i in range(3)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    pairs = list(read_pairs(path))
    assert [(pair.id, pair.group) for pair in pairs] == [("0", "math"), ("1", "math"), ("2", "math")]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"filtered.parquet, after row 0, cannot be read"):
        list(read_pairs(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = tmp_path / "filtered.parquet"
    path.write_bytes(b"PAR1 and more")
    with pytest.raises(DataError, match=r"needs pyarrow\. .*-m pip install 'pyarrow>=15'$"):
        list(read_pairs(path))
