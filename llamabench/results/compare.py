"""Two runs over the same items, from their stored rows: differences with their doubt, and what they allow to say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llamabench.measures import Counts, Measure, ratio
from llamabench.records import Difference, Flips, ItemRow, SuiteComparison, Verdict
from llamabench.stats import (
    FloatArray,
    Interval,
    Paired,
    PairedStatistic,
    Tested,
    adjust_by_holm,
    compare_paired,
    detectable_difference,
    mcnemar_p,
)

LEAST_CLUSTERS = 10
"""Fewer independent items than this are not tested: no interval from so few is to be trusted."""

MOST_DETECTABLE = 0.25
"""Where a difference of 25 points might go unseen, having seen none says nothing."""

ALPHA = 0.05
"""Chance of a false verdict among the main scores, and again among all others; half of each is a false "regressed"."""

ADAPTIVE = "adaptive"
"""Family of the attacks that are made for the model under test: each model is asked something else."""

_N_NAMED = 50
_NO_ERROR = 1e-9


# --- pairing ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Kept:
    """What is kept of a row of the first run until its like of the second comes."""

    counts: list[Counts | None]
    prompt: int | None
    answer: int | None


@dataclass(slots=True)
class _Table:
    """What the clusters of one part of a suite hold of one measure, both runs side by side, and its items' changes."""

    clusters: dict[str, dict[str, FloatArray]] = field(default_factory=lambda: defaultdict(dict))
    n_items: int = 0
    is_binary: bool = True
    is_share: bool = True
    n_rose: int = 0
    n_fell: int = 0
    rose: list[str] = field(default_factory=list)
    fell: list[str] = field(default_factory=list)

    def add(self, row: ItemRow, both: FloatArray, *, is_folded: bool) -> None:
        """Counts an item in; `both` has shape `(2, k)`."""
        mine, stratum = self.clusters, row.group if is_folded else ""
        held = mine[stratum].get(row.cluster)
        mine[stratum][row.cluster] = both if held is None else held + both
        self.n_items += 1
        self.is_share &= both.shape[1] == 2 and bool((both[:, 0] == 1).all()) and both[:, 1].min() >= 0
        self.is_share &= both[0, -1] <= 1 and both[1, -1] <= 1
        if not self.is_share:
            self.is_binary = False
            return
        self.is_binary &= bool(np.isin(both[:, 1], (0, 1)).all())
        was, is_now = both[:, 1] >= 0.5
        if was != is_now:
            self.n_rose += int(is_now)
            self.n_fell += int(was)
            named = self.rose if is_now else self.fell
            if len(named) < _N_NAMED:
                named.append(row.id)

    def flips(self) -> Flips | None:
        """Items that changed sides, None where items are no numbers from 0 to 1."""
        return Flips(self.n_rose, self.n_fell, tuple(self.rose), tuple(self.fell)) if self.is_share else None


class PairedRows:
    """The rows of a suite in two runs, joined by their ids.

    An item counts for a metric where it says something of it in both runs, so the scores may differ a little from those
    of the single runs. Where an attack is made for each model, other prompts are what is to be expected: they are
    counted by themselves (`n_adapted`).

    Args:
        suite: Name of the suite.
        rows: The rows of the first run and of the second.
        measures: The metrics to compare.
    """

    def __init__(
        self, suite: str, rows: tuple[Iterable[ItemRow], Iterable[ItemRow]], measures: Sequence[Measure]
    ) -> None:
        self.suite = suite
        self.measures = measures
        self._counters = list(dict.fromkeys(measure.count for measure in measures))
        self._place = {count: place for place, count in enumerate(self._counters)}
        self._kept: dict[str, _Kept] = {}
        self.tables: dict[tuple[str, str | None], _Table] = {}
        self.n_paired = self.n_second_only = self.n_other_prompts = self.n_other_answers = self.n_adapted = 0
        self.other_prompt: str | None = None
        first, second = rows
        for row in first:
            self._keep(row)
        for row in second:
            self._join(row)
        self.n_first_only = len(self._kept)

    def _keep(self, row: ItemRow) -> None:
        prompt = hash(row.exchanges[0].prompt) if row.exchanges else None
        self._kept[row.id] = _Kept([count(row) for count in self._counters], prompt, _find_answer(row))

    def _join(self, row: ItemRow) -> None:
        kept = self._kept.pop(row.id, None)
        if kept is None:
            self.n_second_only += 1
            return
        self.n_paired += 1
        answer = _find_answer(row)
        self.n_other_answers += kept.answer is not None and answer is not None and kept.answer != answer
        if row.exchanges and kept.prompt is not None and hash(row.exchanges[0].prompt) != kept.prompt:
            self._note_prompt(row)
        counts = [count(row) for count in self._counters]
        for measure in self.measures:
            one, other = kept.counts[self._place[measure.count]], counts[self._place[measure.count]]
            if one is not None and other is not None:
                self._add(measure, row, np.array([one, other], dtype=np.float64))

    def _note_prompt(self, row: ItemRow) -> None:
        if row.facts.get("family") == ADAPTIVE:
            self.n_adapted += 1
            return
        self.n_other_prompts += 1
        self.other_prompt = self.other_prompt or row.id

    def _add(self, measure: Measure, row: ItemRow, both: FloatArray) -> None:
        for part in dict.fromkeys((None, *measure.parts(row))):
            table = self.tables.setdefault((measure.name, part), _Table())
            table.add(row, both, is_folded=measure.fold is not None)


def _find_answer(row: ItemRow) -> int | None:
    """A digest of which answers the model found the likeliest, or of what it wrote; None where it gave none."""
    answers = []
    for exchange in row.exchanges:
        texts = [str(answer.get("text")) for answer in exchange.answers]
        logprobs = [answer.get("logprob", answer.get("logprob_at_most")) for answer in exchange.answers]
        numbers = [number for number in logprobs if isinstance(number, int | float)]
        answers.append(texts[int(np.argmax(numbers))] if numbers and len(numbers) == len(texts) else repr(texts))
    return hash(tuple(answers)) if answers else None


def compare_suite(pairs: PairedRows, main: Collection[str], *, seed: int = 0) -> SuiteComparison:
    """Measures how a suite differs between two runs; verdicts are left to `give_verdicts`.

    Args:
        pairs: The rows of both.
        main: Names of its main metrics.
        seed: Seed of the resamples.
    """
    parts = sorted({part for _, part in pairs.tables if part is not None})
    found = [
        _measure_difference(measure, part, pairs.tables[measure.name, part], main=main, seed=seed)
        for part in (None, *parts)
        for measure in pairs.measures
        if (measure.name, part) in pairs.tables
    ]
    return SuiteComparison(
        suite=pairs.suite,
        n_paired=pairs.n_paired,
        n_first_only=pairs.n_first_only,
        n_second_only=pairs.n_second_only,
        n_other_prompts=pairs.n_other_prompts,
        other_prompt=pairs.other_prompt,
        n_other_answers=pairs.n_other_answers,
        differences=tuple(one for one in found if one is not None),
    )


def find_flipped(rows: tuple[Iterable[ItemRow], Iterable[ItemRow]], measures: Sequence[Measure]) -> Iterator[str]:
    """Ids of the items that are on other sides of one half in two runs, by any of some measures.

    Args:
        rows: The rows of the first run and of the second.
        measures: The measures; those that are no means of numbers from 0 to 1 flip nothing.
    """
    measures = [measure for measure in measures if measure.combine is ratio]
    first, second = rows
    before = {row.id: [_find_side(measure.count(row)) for measure in measures] for row in first}
    for row in second:
        sides = zip(before.get(row.id, ()), (_find_side(measure.count(row)) for measure in measures), strict=False)
        if any(one is not None and other is not None and one != other for one, other in sides):
            yield row.id


def _find_side(counts: Counts | None) -> bool | None:
    """Whether an item is at one half or above, None where it counts for nothing or for more than one."""
    if counts is None or counts[0] != 1 or not 0 <= counts[1] <= 1:
        return None
    return bool(counts[1] >= 0.5)


# --- one difference -----------------------------------------------------------------------------


def _measure_difference(
    measure: Measure, part: str | None, table: _Table, *, main: Collection[str], seed: int
) -> Difference | None:
    """A metric of a part in both runs; None where nothing of it is large enough to be measured."""
    strata = _stack(table, measure)
    if not strata:
        return None
    totals = np.stack([both.sum(axis=0) for both in strata.values()])[None]
    values = [float(_statistic(measure, list(strata), is_distance=False)(totals[:, :, run])[0]) for run in (0, 1)]
    rng = np.random.default_rng([seed, *measure.name.encode(), *(part or "").encode(), part is None])
    is_plain = measure.combine is ratio and measure.fold is None and table.is_binary
    known = None
    if is_plain and table.n_items == sum(map(len, strata.values())):
        known = Tested(mcnemar_p(table.n_rose, table.n_fell), "McNemar, exact")
    paired = _compare(measure, strata, rng, known)
    return Difference(
        metric=measure.name,
        group=part,
        better=measure.better,
        is_main=part is None and measure.name in main,
        first=_defined(values[0]),
        second=_defined(values[1]),
        difference=_defined(paired.difference),
        low=paired.interval.low,
        high=paired.interval.high,
        method=paired.interval.method,
        error=paired.error,
        p=paired.p,
        adjusted_p=None,
        test=paired.test,
        detectable=detectable_difference(paired.error) if paired.error else None,
        n_items=table.n_items,
        n_clusters=paired.n_clusters,
        flips=table.flips() if measure.combine is ratio else None,
        verdict="no evidence",
    )


def _stack(table: _Table, measure: Measure) -> dict[str, FloatArray]:
    """Clusters of each stratum that is large enough, shape `(n_clusters, 2, k)`, in an order rows do not change."""
    strata = {
        name: np.stack([clusters[cluster] for cluster in sorted(clusters)])
        for name, clusters in sorted(table.clusters.items())
    }
    return {name: both for name, both in strata.items() if all(measure.is_large(both[:, run]) for run in (0, 1))}


def _compare(
    measure: Measure, strata: Mapping[str, FloatArray], rng: np.random.Generator, known: Tested | None
) -> Paired:
    arrays = list(strata.values())
    statistic = _statistic(measure, list(strata), is_distance=measure.better == "nearer 0")
    n_clusters = sum(map(len, arrays))
    if n_clusters >= LEAST_CLUSTERS:
        return compare_paired(
            [one[:, 0] for one in arrays], [one[:, 1] for one in arrays], statistic, rng=rng, known=known
        )
    totals = np.stack([one.sum(axis=0) for one in arrays])[None]
    first, second = (float(statistic(totals[:, :, run])[0]) for run in (0, 1))
    none = f"none: fewer than {LEAST_CLUSTERS} clusters"
    return Paired(first, second, Interval(None, None, none), None, None, none, n_clusters)


def _statistic(measure: Measure, names: Sequence[str], *, is_distance: bool) -> PairedStatistic:
    def compute(totals: FloatArray) -> FloatArray:
        n, n_strata, n_counts = totals.shape
        values = measure.combine(totals.reshape(n * n_strata, n_counts)).reshape(n, n_strata)
        folded = values[:, 0] if measure.fold is None else measure.fold(values, names)
        return np.abs(folded) if is_distance else folded

    return compute


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


# --- verdicts -----------------------------------------------------------------------------------


def give_verdicts(suites: Sequence[SuiteComparison]) -> list[SuiteComparison]:
    """Says what the differences of a whole comparison allow to say, corrected for how many there are.

    The main scores of the suites are one family, all others another; within each, Holm's method holds the chance of a
    false verdict at 5 %, and so that of a false "regressed" at 2.5 %, at 5 % in both together. A verdict needs the
    interval to leave out 0, too.
    """
    adjusted: dict[tuple[str, str, str | None], float] = {}
    for is_main in (True, False):
        family = [(key, one.p) for key, one in _walk(suites) if one.is_main == is_main and one.p is not None]
        values = adjust_by_holm([p for _, p in family])
        adjusted |= {key: float(value) for (key, _), value in zip(family, values, strict=True)}
    return [
        replace(
            suite,
            differences=tuple(
                _decide(one, adjusted.get((suite.suite, one.metric, one.group))) for one in suite.differences
            ),
        )
        for suite in suites
    ]


def _walk(suites: Sequence[SuiteComparison]) -> Iterator[tuple[tuple[str, str, str | None], Difference]]:
    for suite in suites:
        for one in suite.differences:
            yield (suite.suite, one.metric, one.group), one


def _decide(found: Difference, adjusted_p: float | None) -> Difference:
    return replace(found, adjusted_p=adjusted_p, verdict=_find_verdict(found, adjusted_p))


def _find_verdict(found: Difference, adjusted_p: float | None) -> Verdict:
    if found.difference is None or adjusted_p is None or found.error is None:
        return "too few items"
    if adjusted_p <= ALPHA and _leaves_out_0(found):
        if found.better is None:
            return "changed"
        return "improved" if (found.difference > 0) == (found.better == "higher") else "regressed"
    if found.detectable is not None and found.detectable > MOST_DETECTABLE:
        return "too few items"
    return "no evidence"


def _leaves_out_0(found: Difference) -> bool:
    """Whether the interval has no 0 in it; where all clusters differ alike there is none, and no doubt."""
    if found.low is None or found.high is None:
        return found.error is not None and found.error < _NO_ERROR
    return not found.low <= 0 <= found.high
