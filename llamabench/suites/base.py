"""What a suite module offers, and what suites that score continuations have in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llamabench.data.cache import Dataset
from llamabench.errors import DataError
from llamabench.measures import Measure
from llamabench.records import (
    Facts,
    Failure,
    GenerateRequest,
    GenerateResult,
    Item,
    ItemRow,
    ItemScore,
    JudgeQuestion,
    Metric,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
    ScorerFacts,
)
from llamabench.stats import Interval, wilson_interval


def count_always(facts: Facts) -> bool:
    """The `counts` of metrics that all items count for."""
    return True


@dataclass(frozen=True, slots=True)
class MeanMetric:
    """A metric that is the mean of a number from 0 to 1 over the items that count, of the whole and of each group.

    Attributes:
        name: The metric.
        values: The values of a scored row whose sum is the number.
        counts: Whether an item counts; its facts must tell, before it is asked.
        is_by_group: Whether the metric of the whole is the plain mean over the groups that have items, large or small.
    """

    name: str
    values: tuple[str, ...]
    counts: Callable[[Facts], bool] = count_always
    is_by_group: bool = False


class Suite(Protocol):
    """A benchmark; each module of this folder that stands in `SUITES` is one.

    Attributes:
        NAME: What it is asked for by.
        TITLE: Its full name.
        VERSION: Raised whenever the same answers would give other scores.
        SOURCE: The paper and where it is found.
        LICENCE: Licence of the published data.
        FOCUS: What it is about, in a few words.
        FORMAT: How the model is asked.
        LIMITATIONS: What it does not show.
        CHANCE: The first main metric's expected value when guessing, None where there is no such thing.
        MAIN_METRICS: Names of the metrics to show first.
        WINNER_METRICS: Names of the metrics that need no more of each request than which continuation is the likeliest;
            empty where continuations are too short for anything to be saved by asking for that alone.
        REFERENCE_METRICS: Names of the metrics that compare with a reference model; `summarise` makes them where rows
            hold the values of its answers too, each by its own name after `reference_`.
        JUDGE_METRICS: Names of the metrics that rest on what a judge says of the answers, and what it is asked for
            each; empty where there is nothing for a judge to read.
        MEAN_METRICS: The metrics that are means over items: these have an interval when a run stops as soon as it knows
            enough, which it can when the first main metric is one of them.
        MEASURES: How metrics come of the items, and which way they are to go, so that two runs can be compared; metrics
            that are not among them are not compared.
        DATA_SOURCES: Names in `data.sources.SOURCES` that it can use.
    """

    NAME: str
    TITLE: str
    VERSION: int
    SOURCE: str
    LICENCE: str
    FOCUS: str
    FORMAT: str
    LIMITATIONS: str
    CHANCE: float | None
    MAIN_METRICS: tuple[str, ...]
    WINNER_METRICS: tuple[str, ...]
    REFERENCE_METRICS: tuple[str, ...]
    JUDGE_METRICS: Mapping[str, tuple[str, ...]]
    MEAN_METRICS: tuple[MeanMetric, ...]
    MEASURES: tuple[Measure, ...]
    DATA_SOURCES: tuple[str, ...]

    def items(self, dataset: Dataset, *, use_chat: bool) -> Iterator[Item]:
        """Streams the items of a data set, always the same ones in the same order.

        Args:
            dataset: What `find_dataset(DATA_SOURCES, ...)` found.
            use_chat: Whether conversations go through the model's chat template.

        Raises:
            DataError: A row of the data is not as it should be.
        """
        ...

    def follow_up(self, item: Item, results: Sequence[Result]) -> Sequence[Request]:
        """What to ask next, given the answers so far; nothing when all is asked; never raises.

        Args:
            item: The item, its requests all that was asked for it so far.
            results: Answers to them, in order.
        """
        ...

    def settings(self, dataset: Dataset) -> Mapping[str, str]:
        """What else decides its items, beside the data, by name; nothing where the data say all.

        Raises:
            DataError: A row of the data is not as it should be.
        """
        ...

    def scorers(self) -> Sequence[ScorerFacts]:
        """The built-in scorers that judge what the model wrote; none where log-probabilities say all."""
        ...

    def score(self, item: Item, results: Sequence[Result]) -> ItemScore:
        """Turns the answers to all that was asked, in its order, into the item's outcome and numbers; never raises.

        The item's requests are all that was asked for it. Where a request asks for the winner alone, the numbers are
        those that this is enough for.
        """
        ...

    def summarise(self, rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
        """Sums up stored items; needs neither the data nor the model, and does not depend on the order of the rows.

        Args:
            rows: Items of this suite, streamed; only counts and plain numbers are kept.
            rng: Source of the resamples.

        Returns:
            The metrics of the whole first, then those of the groups by name.

        Raises:
            DataError: There are no rows.
        """
        ...

    def ask_judge(self, row: ItemRow) -> Sequence[JudgeQuestion]:
        """What a judge is asked about the answers of a stored item; nothing where it wrote none."""
        ...

    def summarise_judged(self, rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
        """Sums up what judges said, of which rows hold the values; those of `JUDGE_METRICS` that can be made.

        Args:
            rows: Items of this suite, streamed, with what the judges said among their values, each after `judged_`.
            rng: Source of the resamples.
        """
        ...


def ask_no_more(item: Item, results: Sequence[Result]) -> Sequence[Request]:
    """The `follow_up` of suites that ask everything at once."""
    return ()


def have_no_settings(dataset: Dataset) -> Mapping[str, str]:
    """The `settings` of suites whose items are those of the data."""
    return {}


def ask_no_judge(row: ItemRow) -> Sequence[JudgeQuestion]:
    """The `ask_judge` of suites whose answers need none."""
    return ()


def sum_up_no_judge(rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
    """The `summarise_judged` of suites whose answers need no judge."""
    return []


def use_no_scorers() -> Sequence[ScorerFacts]:
    """The `scorers` of suites that judge no text."""
    return ()


def find_fault(requests: Sequence[Request], results: Sequence[Result]) -> str | None:
    """Says why answers cannot be scored, None when they can.

    A failure, an answer that is missing or of another kind, and a log-probability that is not finite are faults.
    """
    if len(results) != len(requests):
        return f"{len(requests)} requests were answered {len(results)} times."
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, Failure):
            return result.message
        if isinstance(request, ScoreRequest) and isinstance(result, ScoreResult):
            fault = _find_fault_in_scores(request, result)
        elif isinstance(request, GenerateRequest) and isinstance(result, GenerateResult):
            n_got = len(result.texts)
            fault = None if n_got == request.n else f"{request.n} texts were asked for, {n_got} were written."
        else:
            fault = f"The request {request.id} was answered by a {type(result).__name__}."
        if fault is not None:
            return fault
    return None


def _find_fault_in_scores(request: ScoreRequest, result: ScoreResult) -> str | None:
    n_asked, n_got = len(request.continuations), len(result.continuations)
    if n_asked != n_got:
        return f"{n_asked} continuations were asked for, {n_got} were scored."
    for text, scored in zip(request.continuations, result.continuations, strict=True):
        if not math.isfinite(scored.logprob_sum):
            return f'The log-probability of "{text}" is {scored.logprob_sum}, which is no score.'
        if scored.n_tokens < 1 and text:
            return f'"{text}" was scored over no tokens.'
    return None


def scored_continuations(results: Sequence[Result]) -> tuple[Scored, ...]:
    """Returns the continuations of an item with one score request, after `find_fault` found none."""
    (result,) = results
    assert isinstance(result, ScoreResult)
    return result.continuations


def find_best(scores: Sequence[float]) -> int | None:
    """Returns the index of the only highest score; None for a tie, which nobody wins."""
    best = max(scores)
    return scores.index(best) if scores.count(best) == 1 else None


class Tally:
    """Counts how the items of each group ended; the group None is the whole suite."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._counts: Counter[tuple[str, str | None]] = Counter()

    def note(self, row: ItemRow, *parts: str) -> bool:
        """Counts a row in, also for `parts` of the suite beside its group, and says whether it has a score."""
        self.n_rows += 1
        for group in (None, row.group, *parts):
            self._counts[row.outcome, group] += 1
        return row.outcome == "scored"

    def count(self, outcome: str, group: str | None) -> int:
        """Returns how many items of a group ended in an outcome."""
        return self._counts[outcome, group]

    def groups(self) -> list[str]:
        """Returns the names of all groups that any row was of."""
        return sorted({group for _, group in self._counts if group is not None})

    def need_rows(self, suite: str) -> None:
        """Refuses to sum up nothing.

        Raises:
            DataError: No row was noted.
        """
        if self.n_rows == 0:
            raise DataError(f"{suite} has no finished items to sum up.")

    def proportion(self, name: str, n_success: float, n: int, group: str | None) -> Metric:
        """Makes the metric for a share of items, with its Wilson interval."""
        return self.metric(name, n_success / n if n else None, n, wilson_interval(round(n_success), n), group)

    def metric(self, name: str, value: float | None, n: int, interval: Interval, group: str | None) -> Metric:
        """Makes a metric of a group with the counts of the items that have no score; no value, no interval."""
        low, high, method = interval
        if value is None:
            low, high = None, None
        unparsed, errored = self.count("unparsed", group), self.count("errored", group)
        return Metric(name, value, n, low, high, method, group, unparsed, errored)
