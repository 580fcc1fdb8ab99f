from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from llamabench.audit import compare_rows, draw_places, pick
from llamabench.records import Exchange, Item, ItemRow, OutcomeKind


def row(
    id: str, logprobs: tuple[float, ...], *, values: dict[str, float] | None = None, outcome: OutcomeKind = "scored"
) -> ItemRow:
    answers = tuple({"text": "x", "logprob": logprob, "n_tokens": 4} for logprob in logprobs)
    return ItemRow("bbq", id, "g", "c", outcome, {}, values or {}, None, (Exchange("p", answers),))


def test_the_largest_difference_is_named() -> None:
    audit = compare_rows(
        "bbq", [(row("a", (-3.0, -4.0)), row("a", (-3.0, -4.1))), (row("b", (-8.0,)), row("b", (-7.6,)))]
    )
    assert (audit.n_items, audit.n_failed, audit.n_continuations, audit.n_changed) == (2, 0, 3, 0)
    assert audit.largest_difference == pytest.approx(0.4)
    assert audit.largest_per_token == pytest.approx(0.1)
    assert audit.worst_item == "b"


@pytest.mark.parametrize(
    ("before", "after", "n_changed"),
    [(1.0, 0.0, 1), (2.0, -1.0, 1), (0.5, 1.0, 1), (1.0, 1.0, 0), (0.31, 0.32, 0), (1.0, 0.9999, 0)],
)
def test_an_answer_changes_where_a_decision_does(before: float, after: float, n_changed: int) -> None:
    stored, exact = row("a", (-1.0,), values={"pick": before}), row("a", (-1.0,), values={"pick": after})
    audit = compare_rows("bbq", [(stored, exact)])
    assert audit.n_changed == n_changed
    assert audit.changed_items == ("a",) * n_changed


def test_failures_are_counted_and_compared_with_nothing() -> None:
    failed = dataclasses.replace(row("a", ()), outcome="errored")
    audit = compare_rows("bbq", [(failed, failed), (row("b", (-1.0,)), dataclasses.replace(failed, id="b"))])
    assert (audit.n_items, audit.n_failed, audit.n_changed) == (2, 2, 1)
    assert audit.largest_difference is None
    assert audit.worst_item is None


def test_places_are_drawn_without_repeats_in_order() -> None:
    places = draw_places(50, 20, np.random.default_rng(0))
    assert len(set(places)) == 20
    assert list(places) == sorted(places)
    assert max(places) < 50
    assert draw_places(3, 20, np.random.default_rng(0)) == (0, 1, 2)


def test_items_are_picked_by_place() -> None:
    items = [Item(str(n), "g", "c", (), {}) for n in range(6)]
    assert [item.id for item in pick(items, (1, 4))] == ["1", "4"]
    assert list(pick(items, ())) == []
