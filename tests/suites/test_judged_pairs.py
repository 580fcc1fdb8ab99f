"""Agreement of a judge with people on pairs, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from llamabench.records import Exchange, ItemRow, Metric
from llamabench.suites import preference
from llamabench.suites.judged import SaidRows
from llamabench.suites.judged_pairs import ask_of_pair


def pair(name: str, *said: float | None, votes: tuple[str, ...] = ("chosen",), failed: bool = False) -> ItemRow:
    """A stored pair, and for each order how likely the judge finds the chosen answer the better one."""
    values = {f"judged_preferred#{number}": one for number, one in enumerate(said, start=1) if one is not None}
    kinds = {
        f"judged_preferred_{'failed' if failed else 'unclear'}#{n}": 1.0 for n, s in enumerate(said, 1) if s is None
    }
    facts = {"votes": list(votes), "conversation": "Human: Hi"}
    exchange = Exchange("<|user|>Hi", ({"text": " Hello."}, {"text": " Go away."}))
    return ItemRow("preference", name, "g", name, "scored", facts, values | kinds, None, (exchange,))  # type: ignore[arg-type]


def whole(rows: list[ItemRow]) -> dict[str, Metric]:
    metrics = preference.summarise_judged(iter(rows), np.random.default_rng(1))
    return {metric.name: metric for metric in metrics if metric.group is None}


def test_each_pair_is_asked_about_in_both_orders() -> None:
    questions = preference.ask_judge(pair("a"))
    assert [(one.answer, one.other, one.number, one.request) for one in questions] == [
        ("Hello.", "Go away.", 1, "Human: Hi"), ("Hello.", "Go away.", 2, "Human: Hi"),
    ]  # fmt: skip
    silent = ItemRow(
        "preference", "a", "g", "c", "scored", {}, {}, None, (Exchange("", ({"text": " "}, {"text": "x"})),)
    )
    assert ask_of_pair(silent, "Hi") == ()
    assert preference.ask_judge(silent) == ()  # stored before judges could be asked


def test_the_mean_of_both_orders_is_compared_with_people() -> None:
    found = whole(
        [
            pair("agrees", 0.9, 0.8),
            pair("disagrees", 0.2, 0.1),
            pair("leans right", 0.9, 0.2),
            pair("leans wrong", 0.7, 0.1),
            pair("even people, judge undecided", 0.9, 0.1, votes=("chosen", "rejected")),
            pair("even people, judge decided", 0.9, 0.9, votes=("chosen", "rejected")),
            pair("unclear", 0.9, None),
            pair("failed", None, 0.9, failed=True),
        ]
    )
    values = {name: (metric.value, metric.n) for name, metric in found.items()}
    assert values["judged_agreement"] == (2 / 4, 4)
    assert values["judged_consistent"] == (3 / 6, 6)
    assert values["judged_agreement_consistent"] == (1 / 2, 2)
    # 2 of 6 the same, 3 and 2 of 6 undecided: by chance 0.5 * 2/3 / 2 + 0.5 / 3 = 1/3
    assert values["judged_kappa"] == (pytest.approx(0), 6)
    assert all((metric.unparsed, metric.errored) == (1, 1) for metric in found.values())


def test_pairs_that_nobody_was_asked_about_have_no_scores() -> None:
    assert whole([pair("a"), pair("b")]) == {}


def test_what_is_said_of_answers_takes_the_place_of_a_row() -> None:
    said = SaidRows("toxic")
    names = ("one", "silent", "later")
    rows = [ItemRow("s", name, "g", name, "scored", {}, {}, None, ()) for name in names]
    said.note(ItemRow("s", "zero", "g", "z", "scored", {}, {"judged_toxic#2": 0.5, "judged_toxicity": 1.0}, None, ()))
    said.note(rows[1], is_silent=True)
    said.note(rows[2])
    said.note(ItemRow("s", "broken", "g", "b", "errored", {}, {"x": 1.0}, "no", ()))
    assert [(row.id, row.outcome, dict(row.values)) for row in said.take()] == [
        ("zero", "scored", {"#2": 0.5}), ("silent", "scored", {}), ("broken", "errored", {}),
    ]  # fmt: skip
    unasked = SaidRows("toxic")
    unasked.note(rows[1], is_silent=True)
    assert unasked.take() == []
