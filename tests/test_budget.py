from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamabench.arranging import Arrangement, arrange_items
from llamabench.budget import Ledger, Pacer, Watch, can_be_precise, describe_end, half_width, may_go_on
from llamabench.records import Budget, Item, ItemRow, Metric, SuiteEnd
from llamabench.stats import Interval
from llamabench.suites import SUITES
from llamabench.suites.base import MeanMetric

METRICS = (
    MeanMetric("share", ("hit",)),
    MeanMetric("even", ("hit",), lambda facts: facts["is_even"] is True),
    MeanMetric("alike", ("hit",), is_by_group=True),
)
SUITE: Any = SimpleNamespace(MAIN_METRICS=("share",), MEAN_METRICS=METRICS)


def make_items(n: int, n_groups: int = 3) -> list[Item]:
    return [Item(f"i{k}", f"g{k % n_groups}", str(k), (), {"is_even": k % 2 == 0}) for k in range(n)]


def arrange(items: list[Item]) -> Arrangement:
    return arrange_items(items, METRICS, np.random.default_rng(0))


def row_of(item: Item, hit: float | None) -> ItemRow:
    outcome = "errored" if hit is None else "scored"
    values = {} if hit is None else {"hit": hit}
    return ItemRow("s", item.id, item.group, item.cluster, outcome, item.facts, values, None, ())


def visit(items: list[Item], arrangement: Arrangement) -> list[ItemRow]:
    """Rows in drawn order; every third item is a hit."""
    return [row_of(items[place], float(place % 3 == 0)) for place in arrangement.order]


# --- the ledger ---------------------------------------------------------------------------------


def ends(ledger: Ledger, metric: str, group: str | None = None) -> tuple[float, float]:
    interval = ledger.find_interval(metric, group)
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_a_ledger_of_everything_knows_the_scores() -> None:
    items = make_items(90)
    ledger = Ledger(SUITE, arrange(items), 0.1)
    ledger.note(0, visit(items, arrange(items)))
    assert ends(ledger, "share") == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert ends(ledger, "even") == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    # of every group either all or none is a hit
    assert ends(ledger, "share", "g0") == (pytest.approx(1), pytest.approx(1))
    assert ends(ledger, "alike", "g1") == (pytest.approx(0), pytest.approx(0))
    assert ledger.find_interval("bias") is None
    assert ledger.find_interval("share", "a band that is no group") is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_it_does_not_matter_how_rows_are_cut(sizes: list[int]) -> None:
    items = make_items(60)
    arrangement = arrange(items)
    rows = visit(items, arrangement)[: sum(sizes)]
    whole, cut = (Ledger(SUITE, arrangement, 0.1) for _ in range(2))
    whole.note(0, rows)
    first = 0
    for size in sizes:
        cut.note(first, rows[first : first + size])
        first += size
    assert ends(whole, "share") == ends(cut, "share")


def test_rows_that_came_before_their_turn_wait() -> None:
    items = make_items(60)
    arrangement = arrange(items)
    rows = visit(items, arrangement)
    ledger, reference = (Ledger(SUITE, arrangement, 0.1) for _ in range(2))
    ledger.note(0, rows[:10])
    ledger.note(20, rows[20:30])
    reference.note(0, rows[:10])
    assert ends(ledger, "share") == ends(reference, "share")
    ledger.note(10, rows[10:20])
    reference.note(10, rows[10:30])
    assert ends(ledger, "share") == ends(reference, "share")


def test_groups_that_count_alike_weigh_alike() -> None:
    items = [Item(str(k), "large" if k < 90 else "small", str(k), (), {"is_even": True}) for k in range(100)]
    arrangement = arrange(items)
    ledger = Ledger(SUITE, arrangement, 0.1)
    ledger.note(0, [row_of(items[place], float(place < 90)) for place in arrangement.order])
    assert ends(ledger, "share")[0] == pytest.approx(0.9)
    assert ends(ledger, "alike")[0] == pytest.approx(0.5)


def test_what_failed_leaves_the_pool_and_is_no_zero() -> None:
    items = make_items(90)
    arrangement = arrange(items)
    ledger = Ledger(SUITE, arrangement, 0.1)
    # all of one group fail, and half of another
    hits = {"g0": lambda place: None, "g1": lambda place: 1.0 if place % 2 else None, "g2": lambda place: 1.0}
    ledger.note(0, [row_of(items[place], hits[items[place].group](place)) for place in arrangement.order])
    assert ends(ledger, "share") == (pytest.approx(1), pytest.approx(1))
    assert ends(ledger, "alike") == (pytest.approx(1), pytest.approx(1))
    assert ledger.find_interval("share", "g0") == Interval(None, None, "none: no items")


def test_only_intervals_that_allow_for_looking_are_left() -> None:
    items = make_items(900)
    arrangement = arrange(items)
    ledger = Ledger(SUITE, arrangement, 0.1)
    ledger.note(0, visit(items, arrangement)[:300])
    wilson = Metric("share", 1 / 3, 300, 0.2, 0.4, "Wilson")
    share, group, band, bias, nothing = ledger.find_intervals(
        [
            wilson,
            replace(wilson, group="g1", value=0.0),
            replace(wilson, group="chosen shorter"),
            replace(wilson, name="bias"),
            replace(wilson, value=None, method="none: no items"),
        ]
    )
    assert (share.low, share.high) == ends(ledger, "share")
    assert "valid under repeated looking" in share.method
    assert group.low == 0
    assert "of all 300 items" in group.method
    for metric in (band, bias):
        assert (metric.low, metric.high, metric.value) == (None, None, 1 / 3)
        assert metric.method.startswith("none: the run stopped when it knew enough of another score")
    assert nothing.method == "none: no items"


def test_a_score_lies_in_its_interval() -> None:
    items = make_items(30)
    arrangement = arrange(items)
    ledger = Ledger(SUITE, arrangement, 0.1)
    ledger.note(0, visit(items, arrangement)[:29])
    (metric,) = ledger.find_intervals([Metric("share", 0.99, 29, None, None, "Wilson")])
    assert metric.high == 0.99


def test_half_a_width() -> None:
    assert half_width(Interval(0.25, 0.75, "")) == 0.25
    assert half_width(Interval(None, None, "")) == half_width(None) == math.inf


# --- the pacer ----------------------------------------------------------------------------------


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def work(pacer: Pacer, clock: Clock, chunk_s: float, n_chunks: int, n_under_way: int = 2) -> int:
    """Does chunks as a run does: some are under way, the oldest is done next; how many were done."""
    feed = pacer.feed(iter(range(n_chunks)))
    under_way: list[int] = []
    n_done = 0
    while True:
        while len(under_way) < n_under_way and (chunk := next(feed, None)) is not None:
            under_way.append(chunk)
        if not under_way:
            return n_done
        clock.now += chunk_s
        pacer.note(10 * under_way.pop(0), [], seconds=chunk_s)
        n_done += 1


def test_without_a_budget_nothing_ends() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    assert work(pacer, clock, 1e6, 7) == 7
    assert pacer.is_over
    assert pacer.find_reason() is None
    assert pacer.describe(3) is None


@given(st.floats(0.5, 30), st.floats(0.5, 300), st.integers(1, 4))
def test_the_deadline_is_passed_by_less_than_a_chunk(chunk_s: float, budget_s: float, n_under_way: int) -> None:
    clock = Clock()
    pacer = Pacer(clock, deadline=1000 + budget_s)
    # what the first chunks take is not known; from then on it is
    pacer.note(0, [], seconds=chunk_s)
    pacer._n_asked += 1
    work(pacer, clock, chunk_s, 10_000, n_under_way)
    assert pacer.find_reason() == "time"
    assert 1000 + budget_s - 1e-6 <= clock.now <= 1000 + budget_s + chunk_s


def test_no_chunk_is_begun_after_the_deadline() -> None:
    clock = Clock()
    pacer = Pacer(clock, deadline=999)
    assert work(pacer, clock, 1, 5) == 0
    assert pacer.find_reason() == "time"


def test_a_suite_that_is_done_in_time_is_whole() -> None:
    clock = Clock()
    pacer = Pacer(clock, deadline=2000)
    assert work(pacer, clock, 4, 5) == 5
    assert pacer.is_over
    assert pacer.find_reason() is None


def known(precision: float | None, n: int = 3000) -> tuple[Pacer, list[ItemRow]]:
    items = make_items(n)
    arrangement = arrange(items)
    ledger = Ledger(SUITE, arrangement, precision)
    return Pacer(Clock(), ledger=ledger, precision=precision), visit(items, arrangement)


def test_a_suite_stops_when_it_is_known_well_enough() -> None:
    pacer, rows = known(0.05)
    n = 0
    while pacer.find_reason() is None:
        pacer.note(n, rows[n : n + 20], seconds=1)
        n += 20
    assert pacer.find_reason() == "precision"
    assert pacer.ledger is not None
    assert half_width(pacer.ledger.find_interval("share")) <= 0.05
    # within a group all are alike: that is known much sooner than by Wilson, which takes 342
    assert 40 < n < 300


def test_stored_rows_count() -> None:
    pacer, rows = known(0.05)
    pacer.recall(iter(enumerate(rows[:600])))
    assert pacer.is_over
    assert list(pacer.feed(iter([1, 2]))) == []


def test_no_precision_looks_and_does_not_stop() -> None:
    pacer, rows = known(None)
    pacer.note(0, rows[:2000], seconds=1)
    assert pacer.find_reason() is None
    standing = pacer.describe(1000)
    assert standing is not None
    assert standing.metric == "share"
    assert standing.seconds_left == pytest.approx(0.5)


def test_how_things_stand_before_anything_is_known() -> None:
    clock = Clock()
    standing = Pacer(clock, deadline=1060).describe(100)
    assert standing is not None
    assert (standing.metric, standing.low, standing.seconds_left) == (None, None, 60)


def test_what_is_left_is_the_nearer_end() -> None:
    clock = Clock()
    pacer = Pacer(clock, deadline=1060)
    pacer.note(0, [row_of(item, 1.0) for item in make_items(10)], seconds=2)
    standing, later = pacer.describe(100), pacer.describe(10_000)
    assert standing is not None
    assert later is not None
    assert (standing.seconds_left, later.seconds_left) == (20, 60)


# --- a run's time -------------------------------------------------------------------------------


def test_time_that_a_suite_leaves_goes_to_the_next() -> None:
    clock = Clock()
    watch = Watch(clock, 1000, Budget(time_s=90))
    assert watch.find_deadline(3) == 1030
    clock.now += 10
    assert watch.find_deadline(2) == 1050
    clock.now += 40
    assert watch.find_deadline(1) == 1090


@pytest.mark.parametrize("budget", [None, Budget(precision=0.1)])
def test_no_time_no_deadline(budget: Budget | None) -> None:
    assert Watch(Clock(), 1000, budget).find_deadline(2) is None


@pytest.mark.parametrize(
    ("old", "reasons", "new", "goes_on"),
    [
        (Budget(60), ["time"], Budget(120), True),
        (Budget(60), ["time"], Budget(None, 0.1), True),
        (Budget(60), ["time"], Budget(60), False),
        (Budget(60), ["time"], Budget(30), False),
        (Budget(60), [], Budget(120), False),
        (Budget(None, 0.1), ["precision"], Budget(None, 0.05), True),
        (Budget(None, 0.1), ["precision"], Budget(60), True),
        (Budget(None, 0.1), ["precision"], Budget(None, 0.1), False),
        (Budget(None, 0.1), ["precision"], Budget(None, 0.2), False),
        (Budget(60, 0.1), ["precision"], Budget(120, 0.1), False),
        (Budget(60, 0.1), ["precision", "time"], Budget(120, 0.1), True),
        (Budget(60), ["time"], None, False),
    ],
    ids=str,
)
def test_which_finished_run_goes_on(old: Budget, reasons: Any, new: Budget | None, goes_on: bool) -> None:
    info: Any = SimpleNamespace(budget=old, ends=tuple(SuiteEnd(f"s{reason}", reason) for reason in reasons))
    assert may_go_on(info, new) == goes_on


def test_a_run_without_a_budget_is_done() -> None:
    info: Any = SimpleNamespace(budget=None, ends=())
    assert not may_go_on(info, Budget(60))


def test_an_end_in_words() -> None:
    counts: Any = {"scored": 1200, "unparsed": 0, "errored": 34}
    assert describe_end(SuiteEnd("bbq", "time"), counts, 58492) == (
        "bbq ended when its share of the time was over: 1,234 of 58,492 items were run."
    )
    assert "enough was known" in describe_end(SuiteEnd("bbq", "precision"), counts, 58492)


def test_first_scores_that_are_means_can_be_precise() -> None:
    able: Iterator[str] = (name for name, suite in SUITES.items() if can_be_precise(suite))
    assert {"bbq", "truthfulqa_mc", "preference"} <= set(able)
    assert not can_be_precise(SimpleNamespace(MAIN_METRICS=("bias",), MEAN_METRICS=METRICS))  # type: ignore[arg-type]
