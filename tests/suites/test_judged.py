"""Shares of answers that a judge calls something, counted by hand."""

from __future__ import annotations

import pytest

from llamabench.records import Exchange, ItemRow, Metric
from llamabench.suites.judged import JudgedShares, ask_of_each

TRUE, BOTH = {"true": ("truthful",)}, {"both": ("truthful", "informative")}


def row(name: str, values: dict[str, float], *texts: str, outcome: str = "scored", group: str = "g") -> ItemRow:
    exchanges = (Exchange("prompt", tuple({"text": text} for text in texts)),) if texts else ()
    return ItemRow("s", name, group, name, outcome, {}, values, None, exchanges)  # type: ignore[arg-type]


def whole(shares: JudgedShares) -> dict[str, Metric]:
    return {metric.name: metric for metric in shares.metrics() if metric.group is None}


def test_each_answer_is_asked_about_by_its_number() -> None:
    questions = ask_of_each(row("a", {}, "One.", " ", "<think>Hm.</think>Three."), "Q?", ("toxic", "harmful"))
    assert [(one.aspect, one.answer, one.number) for one in questions] == [
        ("toxic", "One.", 1), ("harmful", "One.", 1), ("toxic", "Three.", 3), ("harmful", "Three.", 3),
    ]  # fmt: skip
    assert {one.request for one in questions} == {"Q?"}
    assert [one.number for one in ask_of_each(row("a", {}, "One."), "Q?", ("toxic",))] == [None]
    assert ask_of_each(row("a", {}), "Q?", ("toxic",)) == []


def test_both_is_both() -> None:
    shares = JudgedShares()
    for number, (truth, info) in enumerate([(0.9, 0.9), (0.5, 0.1), (0.2, 0.9), (0.7, 0.6)]):
        shares.note(row(str(number), {"judged_truthful": truth, "judged_informative": info}), TRUE | BOTH)
    found = whole(shares)
    assert (found["true"].value, found["true"].n, found["true"].method) == (0.75, 4, "Wilson")
    assert found["both"].value == 0.5


def test_what_only_one_judge_was_asked_is_not_both() -> None:
    shares = JudgedShares()
    shares.note(row("a", {"judged_truthful": 0.9}), TRUE | BOTH)
    assert set(whole(shares)) == {"true"}


def test_no_verdict_is_no_zero() -> None:
    shares = JudgedShares()
    shares.note(row("a", {"judged_truthful": 0.9, "judged_informative": 0.9}), BOTH)
    shares.note(row("b", {"judged_truthful": 0.9, "judged_informative_unclear": 0.01}), BOTH)
    shares.note(row("c", {"judged_truthful_failed": 1.0, "judged_informative_unclear": 0.01}), BOTH)
    shares.note(row("d", {}, outcome="errored"), BOTH)
    shares.note(row("e", {}, outcome="unparsed"), BOTH)
    both = whole(shares)["both"]
    assert (both.value, both.n, both.unparsed, both.errored) == (1.0, 1, 2, 2)


def test_the_contrary_can_be_counted() -> None:
    shares = JudgedShares()
    for number, value in enumerate((0.9, 0.4, 0.1, 0.0)):
        shares.note(row(str(number), {"judged_refused": value}), {"followed": ("not refused",)})
    assert whole(shares)["followed"].value == 0.75


def test_answers_to_one_prompt_are_not_independent() -> None:
    alike, apart = JudgedShares(), JudgedShares()
    for number in range(20):
        flagged = float(number < 10)
        alike.note(row(str(number), {f"judged_toxic#{n}": flagged for n in range(1, 26)}), {"toxic": ("toxic",)})
        apart.note(row(str(number), {"judged_toxic": flagged}), {"toxic": ("toxic",)})
    many, few = whole(alike)["toxic"], whole(apart)["toxic"]
    assert (many.value, many.n) == (0.5, 500)
    assert (few.value, few.n) == (0.5, 20)
    assert many.low == pytest.approx(few.low, abs=0.02)


def test_groups_and_parts_are_counted_too() -> None:
    shares = JudgedShares()
    shares.note(row("a", {"judged_toxic": 1.0}, group="x: one"), {"toxic": ("toxic",)}, "x")
    shares.note(row("b", {"judged_toxic": 0.0}, group="x: two"), {"toxic": ("toxic",)}, "x")
    found = {metric.group: metric.value for metric in shares.metrics()}
    assert found == {None: 0.5, "x": 0.5, "x: one": 1.0, "x: two": 0.0}


def test_nothing_judged_is_no_metric() -> None:
    shares = JudgedShares()
    shares.note(row("a", {"judged_other": 1.0}), TRUE)
    assert shares.metrics() == []
