"""`llamabench items`: what was asked and answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_runs import question_rows, store_run

from llamabench.records import Exchange, ItemRow
from llamabench.report.item_text import item_document

Command = Callable[..., Any]


@pytest.fixture
def run(in_tmp_path: Path) -> str:
    rows = question_rows(20, lambda n: n % 2 == 0)
    rows[3] = replace(rows[3], outcome="errored", values={}, error="The model gave no number.", exchanges=())
    store_run(Path("run"), rows).close()
    return "run"


def documents(done: Any) -> list[dict[str, Any]]:
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


def test_items_are_documents_a_line(llamabench: Command, run: str) -> None:
    found = documents(llamabench("items", run, "--json"))
    assert len(found) == 20
    assert found[0] == {
        "id": "q-0",
        "suite": "truthfulqa_mc",
        "group": "Group 0",
        "outcome": "scored",
        "prompt": "Q: 0?\nA:",
        "continuations": [
            {"text": " right 0", "logprob": -1.0, "n_tokens": 2, "n_bytes": 8},
            {"text": " wrong 0", "logprob": -2.0, "n_tokens": 2, "n_bytes": 8},
        ],
        "score": {"mc1": 1.0, "mc2": 0.73},
        "error": None,
    }
    assert found[3]["error"] == "The model gave no number."
    assert (found[3]["prompt"], found[3]["outcome"]) == (None, "errored")


def test_items_are_chosen(llamabench: Command, run: str) -> None:
    by_category = documents(llamabench("items", run, "--category", "Group 1", "--json"))
    assert {one["group"] for one in by_category} == {"Group 1"}
    assert [one["id"] for one in documents(llamabench("items", run, "--outcome", "errored", "--json"))] == ["q-3"]
    assert len(documents(llamabench("items", run, "--suite", "truthfulqa_mc", "--limit", "4", "--json"))) == 4


def test_flipped_items_are_those_on_the_other_side(llamabench: Command, run: str) -> None:
    store_run(Path("other"), question_rows(20, lambda n: n < 10)).close()
    found = documents(llamabench("items", "other", "--flipped-against", run, "--json"))
    wanted = [n for n in range(20) if n != 3 and (n % 2 == 0) != (n < 10)]
    assert [one["id"] for one in found] == [f"q-{n}" for n in wanted]


def test_flipped_items_have_both_answers(llamabench: Command, run: str) -> None:
    store_run(Path("other"), question_rows(20, lambda n: n < 10)).close()
    options = ("items", "other", "--flipped-against", run, "--limit", "1")
    (found,) = documents(llamabench(*options, "--json"))
    assert (found["id"], found["score"]["mc1"], found["other"]["score"]["mc1"]) == ("q-1", 1.0, 0.0)
    shown = llamabench(*options).out
    assert shown.count("Q: 1?") == 1
    mine, theirs = shown.index("  in other: scored\n"), shown.index("  in run: scored\n")
    assert mine < shown.index("  → ✓  1     −1.00  right 1\n") < theirs < shown.index("  →    2     −1.00  wrong 1\n")


def test_the_terminal_shows_prompts_answers_and_numbers(llamabench: Command, run: str) -> None:
    done = llamabench("items", run, "--limit", "4")
    assert "truthfulqa_mc q-0  Group 0  scored" in done.out
    assert "  Q: 0?\n  A:\n" in done.out
    assert "  → ✓  1     −1.00  right 0\n" in done.out
    assert "       2     −2.00  wrong 0\n" in done.out
    assert "mc1: 1 · mc2: 0.73" in done.out
    assert "→ the likeliest answer, ✓ a right one; before each, its log-probability.\n" in done.out
    assert "The model gave no number." in done.out
    assert done.out.endswith("4 items\n")


def test_what_a_model_wrote_cannot_steer_a_terminal(llamabench: Command, in_tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e[bold]x[/bold]"
    (row,) = question_rows(1, lambda n: True)
    row = replace(row, exchanges=(Exchange(hostile, ({"text": hostile, "finish_reason": "stop", "n_tokens": 3},)),))
    store_run(Path("run"), [row]).close()
    for options in ((), ("--json",)):
        done = llamabench("items", "run", *options)
        assert done.code == 0
        assert not set(done.out) & {"\x1b", "\x07", "\u202e"}
    assert "[bold]x[/bold]" in llamabench("items", "run").out
    assert documents(llamabench("items", "run", "--json"))[0]["responses"][0]["text"] == hostile


def test_wrong_names_offer_near_ones(llamabench: Command, run: str) -> None:
    done = llamabench("items", run, "--suite", "truthfulqa_gc")
    assert done.code == 1
    assert "truthfulqa_mc" in done.err
    done = llamabench("items", run, "--category", "Grup 1")
    assert "Group 1" in done.err


def test_items_that_were_asked_several_times_list_their_turns() -> None:
    (row,) = question_rows(1, lambda n: True)
    texts = ({"text": "Yes.", "finish_reason": "stop", "n_tokens": 2},)
    talked: ItemRow = replace(row, exchanges=(Exchange("one", texts), Exchange("two", texts)))
    document = item_document(talked)
    assert document["prompt"] == "one"
    assert document["turns"] == [
        {"prompt": "one", "responses": [dict(texts[0])]},
        {"prompt": "two", "responses": [dict(texts[0])]},
    ]
