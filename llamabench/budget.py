"""When a suite with a budget stops, and what may be said of its scores then. Time is passed in, never read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from llamabench.arranging import Arrangement, Pool
from llamabench.records import Budget, EndReason, ItemRow, Metric, OutcomeKind, RunInfo, Standing, SuiteEnd
from llamabench.selection import Task
from llamabench.stats import Interval
from llamabench.stats.sequential import Draws, Stratum, stratified_sequence_interval
from llamabench.suites.base import MeanMetric, Suite

_FIRST_CHUNK_S = 4.0
"""Seconds that a chunk is expected to take, until one has been done."""
_USUAL_WIDTH = 0.03
"""Half the width of interval that bets are placed for where nobody asked for one."""
_NOT_ALLOWED_FOR = (
    "none: the run stopped when it knew enough of another score, which an interval of this one would have to allow for"
)

_Chunk = TypeVar("_Chunk")


# --- what is known of the scores ----------------------------------------------------------------


@dataclass(slots=True)
class _Account:
    """What the draws gave so far for one metric; what failed is no part of the pool."""

    metric: MeanMetric
    pool: Pool
    groups: list[str] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    n_failed: Counter[str] = field(default_factory=Counter)
    n_lost: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[ItemRow]) -> None:
        """Takes the rows of one draw."""
        counting = [row for row in rows if self.metric.counts(row.facts)]
        names = self.metric.values
        values = [sum(row.values[name] for name in names) for row in counting if row.values.keys() >= set(names)]
        group = rows[0].group
        self.n_failed[group] += len(counting) - len(values)
        if values:
            self.groups.append(group)
            self.totals.append(sum(values))
            self.sizes.append(len(values))
        elif counting:
            self.n_lost[group] += 1

    def strata(self, of: str | None) -> dict[str, Stratum]:
        """The strata of the whole, or of one group, with their weights."""
        sizes = {
            group: (size.n_draws - self.n_lost[group], size.n_items - self.n_failed[group])
            for group, size in self.pool.groups.items()
            if of in (None, group) and size.n_items > self.n_failed[group]
        }
        total = sum(n_items for _, n_items in sizes.values())
        return {
            group: Stratum(n_draws, n_items, 1 / len(sizes) if self.metric.is_by_group else n_items / total)
            for group, (n_draws, n_items) in sizes.items()
        }

    def interval(self, of: str | None, width: float) -> Interval:
        """The interval of the whole, or of one group."""
        strata = self.strata(of)
        numbers = {group: number for number, group in enumerate(strata)}
        places = [place for place, group in enumerate(self.groups) if group in numbers]
        draws = Draws(
            np.array([numbers[self.groups[place]] for place in places], np.int64),
            np.array([self.totals[place] for place in places], np.float64),
            np.array([self.sizes[place] for place in places], np.int64),
        )
        if of is not None and strata:
            # a group has its share of the draws, and so is known less well when the whole is known well enough
            share = strata[of].n_items / sum(size.n_items for size in self.pool.groups.values())
            width = min(width / math.sqrt(share), 0.5)
        return stratified_sequence_interval(draws, list(strata.values()), largest=self.pool.largest, width=width)


class Ledger:
    """What the draws of a suite gave so far, and intervals that may be looked at after each of them.

    Args:
        suite: The suite.
        arrangement: The order in which its items are visited.
        width: Half the width that the interval of the first main metric is to have; None where nobody asked.
    """

    def __init__(self, suite: Suite, arrangement: Arrangement, width: float | None):
        self.main = suite.MAIN_METRICS[0]
        self._width = _USUAL_WIDTH if width is None else width
        self._sizes = iter(arrangement.sizes)
        self._size = next(self._sizes, 0)
        self._n_taken = 0
        self._waiting: dict[int, ItemRow] = {}
        self._accounts = {
            metric.name: _Account(metric, arrangement.pools[metric.name]) for metric in suite.MEAN_METRICS
        }

    def note(self, first: int, rows: Sequence[ItemRow]) -> None:
        """Takes rows, the first of which is the item visited at that place; they count once all before them are there.

        A chunk whose items ask again may be overtaken by the next: which answers come first must not matter.
        """
        self._waiting.update(enumerate(rows, first))
        while self._size and all(self._n_taken + number in self._waiting for number in range(self._size)):
            draw = [self._waiting.pop(self._n_taken + number) for number in range(self._size)]
            for account in self._accounts.values():
                account.add(draw)
            self._n_taken += self._size
            self._size = next(self._sizes, 0)

    def find_interval(self, metric: str, group: str | None = None) -> Interval | None:
        """The interval of a metric of the whole or of a group; None where it has no such interval."""
        account = self._accounts.get(metric)
        if account is None or group not in (None, *account.pool.groups):
            return None
        return account.interval(group, self._width)

    def find_intervals(self, metrics: Sequence[Metric]) -> list[Metric]:
        """The metrics of a suite that stopped when it knew enough, with intervals that allow for that."""
        return [self._with_interval(metric) for metric in metrics]

    def _with_interval(self, metric: Metric) -> Metric:
        interval = self.find_interval(metric.name, metric.group)
        if metric.value is None or interval is None or interval.low is None or interval.high is None:
            method = _NOT_ALLOWED_FOR if interval is None and metric.value is not None else metric.method
            return replace(metric, low=None, high=None, method=method)
        # the plain mean weighs draws a little otherwise than the interval does
        low, high = min(interval.low, metric.value), max(interval.high, metric.value)
        return replace(metric, low=low, high=high, method=interval.method)


def half_width(interval: Interval | None) -> float:
    """Half the width of an interval; endless where it has no ends."""
    if interval is None or interval.low is None or interval.high is None:
        return math.inf
    return (interval.high - interval.low) / 2


# --- when to stop -------------------------------------------------------------------------------


class Pacer:
    """Lets chunks of a suite be asked until its time is over or enough is known.

    A chunk is not begun when those under way are expected to last until the deadline, so the deadline is passed by
    less than a chunk, as far as chunks take as long as the one before.

    Args:
        read_clock: The time in seconds, from any beginning.
        deadline: When time is over; None for never.
        ledger: What is known so far; None where there is nothing to look at.
        precision: Half the width of interval that is narrow enough; None for none.
    """

    def __init__(
        self,
        read_clock: Callable[[], float],
        *,
        deadline: float | None = None,
        ledger: Ledger | None = None,
        precision: float | None = None,
    ):
        self.ledger = ledger
        self._read_clock = read_clock
        self._deadline = deadline
        self.precision = precision
        self._n_asked = 0
        self._n_done = 0
        self._n_items = 0
        self._n_decoded = 0
        self._n_ahead = 0
        self._chunk_s = _FIRST_CHUNK_S
        self._seconds = 0.0
        self._interval: Interval | None = None
        self._is_exhausted = False

    def recall(self, rows: Iterator[tuple[int, ItemRow]]) -> None:
        """Takes what is stored already: places and rows."""
        if self.ledger is not None:
            for place, row in rows:
                self.ledger.note(place, [row])
            self._look()

    def feed(self, chunks: Iterator[_Chunk]) -> Iterator[_Chunk]:
        """Hands out chunks as long as the suite is to go on."""
        while self.find_reason() is None:
            for chunk in chunks:
                self._n_asked += 1
                yield chunk
                break
            else:
                self._is_exhausted = True
                return

    def note(
        self, first: int, rows: Sequence[ItemRow], *, seconds: float, n_decoded: int = 0, n_ahead: int = 0
    ) -> None:
        """Takes a chunk that is done.

        Args:
            first: Place of its first item.
            rows: Its items.
            seconds: Time since the one before.
            n_decoded: Tokens that were decoded for it.
            n_ahead: Tokens that were decoded so far for chunks still under way.
        """
        self._n_done += 1
        self._n_items += len(rows)
        self._n_decoded += n_decoded
        self._n_ahead = n_ahead
        self._chunk_s = seconds
        self._seconds += seconds
        if self.ledger is not None:
            self.ledger.note(first, rows)
            self._look()

    def _look(self) -> None:
        assert self.ledger is not None
        self._interval = self.ledger.find_interval(self.ledger.main)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to ask; known once all that was asked is done."""
        return self._is_exhausted or self.find_reason() is not None

    def find_reason(self) -> EndReason | None:
        """Why the suite is to stop now, None where it is to go on."""
        if self.precision is not None and half_width(self._interval) <= self.precision:
            return "precision"
        under_way_s = (self._n_asked - self._n_done) * self._chunk_s
        if self._deadline is not None and self._read_clock() + under_way_s >= self._deadline:
            return "time"
        return None

    def describe(self, n_left: int) -> Standing | None:
        """How things stand with so many items left; None where nothing is known yet."""
        if self.ledger is None and self._deadline is None and not self._n_items:
            return None
        ends = [] if self._deadline is None else [max(self._deadline - self._read_clock(), 0.0)]
        if self._n_items:
            ends.append(self._estimate_seconds(n_left))
        low, high = (None, None) if self._interval is None else self._interval[:2]
        return Standing(
            None if low is None or self.ledger is None else self.ledger.main, low, high, min(ends, default=None)
        )

    def _estimate_seconds(self, n_left: int) -> float:
        """Time that so many items take, if they take as many tokens as those that are done; some of it is done."""
        if not self._n_decoded:
            return n_left * self._seconds / self._n_items
        n_tokens = n_left * self._n_decoded / self._n_items - self._n_ahead
        return max(n_tokens, 0.0) * self._seconds / (self._n_decoded + self._n_ahead)


@dataclass(frozen=True, slots=True)
class Watch:
    """The time of a run.

    Attributes:
        read_clock: The time in seconds, from any beginning.
        began: When the run began by that clock, as if earlier sessions had come right before this one.
        budget: What ends the run early, None for nothing.
    """

    read_clock: Callable[[], float]
    began: float
    budget: Budget | None = None

    def find_deadline(self, n_suites: int) -> float | None:
        """When the next of so many suites is to end, None for never: each may take an equal share of what is left.

        Suites come from the smallest to the largest, so what one does not need is shared out among those that do.

        >>> Watch(lambda: 40.0, 0.0, Budget(time_s=100)).find_deadline(3)
        60.0
        """
        if self.budget is None or self.budget.time_s is None:
            return None
        now = self.read_clock()
        return now + (self.began + self.budget.time_s - now) / n_suites

    def pace(self, task: Task, n_suites: int) -> Pacer:
        """What says how long the next of so many suites goes on."""
        ledger, precision = None, None if self.budget is None else self.budget.precision
        if task.arrangement is not None and can_be_precise(task.suite):
            ledger = Ledger(task.suite, task.arrangement, precision)
        return Pacer(self.read_clock, deadline=self.find_deadline(n_suites), ledger=ledger, precision=precision)


def can_be_precise(suite: Suite) -> bool:
    """Whether a suite's first main metric has an interval that may be looked at again and again."""
    return suite.MAIN_METRICS[0] in {metric.name for metric in suite.MEAN_METRICS}


def describe_end(end: SuiteEnd, counts: Mapping[OutcomeKind, int], n_items: int) -> str:
    """Says how far a suite came that ended early; `counts` are its stored items by outcome."""
    when = "enough was known" if end.reason == "precision" else "its share of the time was over"
    return f"{end.suite} ended when {when}: {sum(counts.values()):,} of {n_items:,} items were run."


def may_go_on(info: RunInfo, budget: Budget | None) -> bool:
    """Whether a finished run is one that ended early, and would not have with this budget."""
    if budget is None or info.budget is None:
        return False
    reasons = {end.reason for end in info.ends}
    has_more_time = _is_more(budget.time_s, info.budget.time_s)
    is_more_precise = _is_more(_inverse(budget.precision), _inverse(info.budget.precision))
    return ("time" in reasons and has_more_time) or ("precision" in reasons and is_more_precise)


def _is_more(one: float | None, other: float | None) -> bool:
    """Whether one limit lets a run go further than another; None is no limit."""
    return other is not None and (one is None or one > other)


def _inverse(precision: float | None) -> float | None:
    return None if precision is None else 1 / precision
