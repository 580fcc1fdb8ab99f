"""Measures of the usual kinds of metrics: means over items, and shares of answers of which a judge says something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from llamabench.measures import Measure, average_groups, name_group
from llamabench.records import Better, Facts, ItemRow
from llamabench.suites.base import MeanMetric, count_always
from llamabench.suites.judged import count_judged


def measure_means(
    means: Sequence[MeanMetric],
    better: Mapping[str, Better],
    *,
    parts: Callable[[ItemRow], tuple[str, ...]] = name_group,
) -> tuple[Measure, ...]:
    """Makes the measures of metrics that are means over items.

    Args:
        means: The metrics.
        better: Which way each is to go; none for those that do not stand in it.
        parts: Parts of the suite that a row is of.
    """
    return tuple(
        Measure(
            mean.name,
            better.get(mean.name),
            partial(_count_mean, mean.values, mean.counts),
            fold=average_groups if mean.is_by_group else None,
            parts=parts,
        )
        for mean in means
    )


def measure_value(name: str, better: Better | None, value: str) -> Measure:
    """Makes the measure of a metric that is the mean of one value, of whatever size, over the items that have it."""
    return Measure(name, better, partial(_count_mean, (value,), count_always))


def _count_mean(values: tuple[str, ...], counts: Callable[[Facts], bool], row: ItemRow) -> tuple[float, float] | None:
    if row.outcome != "scored" or not counts(row.facts) or not all(value in row.values for value in values):
        return None
    return 1.0, sum(row.values[value] for value in values)


def measure_judged(
    shares: Mapping[str, tuple[str, ...]],
    better: Mapping[str, Better],
    *,
    counts: Callable[[Facts], bool] = count_always,
    parts: Callable[[ItemRow], tuple[str, ...]] = name_group,
) -> tuple[Measure, ...]:
    """Makes the measures of shares of judged answers, as `JudgedShares` counts them.

    Args:
        shares: For each share, what has to hold of an answer.
        better: Which way each is to go.
        counts: Whether an item counts, from its facts.
        parts: Parts of the suite that a row is of.
    """
    return tuple(
        Measure(name, better.get(name), partial(_count_judged, aspects, counts), parts=parts)
        for name, aspects in shares.items()
    )


def _count_judged(
    aspects: tuple[str, ...], counts: Callable[[Facts], bool], row: ItemRow
) -> tuple[float, float] | None:
    if not counts(row.facts):
        return None
    n, n_holding = count_judged(row.values, aspects)
    return (float(n), float(n_holding)) if n else None
