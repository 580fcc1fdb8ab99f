"""Numbers of items in words."""

from __future__ import annotations

from dataclasses import replace

from stored_runs import question_rows

from llamabench.report.value_words import describe_values


def describe(suite: str, **values: float) -> dict[str, str]:
    (row,) = question_rows(1, lambda n: True)
    return dict(describe_values(replace(row, suite=suite, values=values)))


def test_answers_count_from_one() -> None:
    assert describe("bbq", pick=2, correct=1, pick_norm=0, correct_norm=0) == {
        "picked": "answer 3",
        "right": "yes",
        "picked per character": "answer 1",
        "right per character": "no",
    }
    assert describe("bbq", pick=-1)["picked"] == "none, for a tie"


def test_letters_are_letters() -> None:
    assert describe("bbq_letters", letter=1, pick=2, correct=0) == {"picked": "B", "right": "no"}
    assert describe("bbq_letters", letter=-1, pick=-1)["picked"] == "none, for a tie"


def test_other_numbers_keep_their_names() -> None:
    assert describe("truthfulqa_mc", mc2=0.123456) == {"mc2": "0.1235"}
    assert describe("preference", margin_per_token=-0.5, agree_sum=1) == {
        "margin per token": "-0.5",
        "agrees with people": "yes",
    }
    assert "found" not in describe("bold", **{"found#1": 1.0})
