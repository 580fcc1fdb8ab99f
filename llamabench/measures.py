"""What a metric is made of, so that two runs can be compared: counts of items that add up, and what their sums give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llamabench.records import Better, ItemRow
from llamabench.stats import FloatArray

Counts = Sequence[float] | FloatArray
"""What one row counts."""

Fold = Callable[[FloatArray, Sequence[str]], FloatArray]
"""Turns the numbers of groups, shape `(m, n_groups)`, and their names into one number, shape `(m,)`."""


def ratio(sums: FloatArray) -> FloatArray:
    """The second sum over the first, shape `(m,)`; NaN where the first is 0.

    Args:
        sums: Shape `(m, 2)`.
    """
    whole, part = sums.T
    share: FloatArray = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return share


def average_groups(values: FloatArray, names: Sequence[str]) -> FloatArray:
    """The plain mean over the groups that have a number; NaN where none has."""
    is_known = ~np.isnan(values)
    n = is_known.sum(axis=1)
    total = np.where(is_known, values, 0.0).sum(axis=1)
    mean: FloatArray = np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
    return mean


def name_group(row: ItemRow) -> tuple[str, ...]:
    """The parts of a suite that an item is of, where these are the groups alone."""
    return (row.group,)


def take_all(sums: FloatArray) -> bool:
    """The `is_large` of measures that groups of any size count for."""
    return True


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric comes of the items: each gives counts, counts add up, and the metric is a function of their sums.

    Attributes:
        name: The metric, as `summarise` names it.
        better: Which way it is to go; None where neither is good by itself.
        count: What a row counts, always as many numbers; None where it says nothing of this metric. Measures that
            share their counts share this function.
        combine: Turns sums of shape `(m, k)` into the metric, shape `(m,)`; NaN where it is not defined.
        fold: Makes one number of those of the groups; None where items of all groups count alike.
        parts: Parts of the suite that have this metric too and that a row is of.
        is_large: Whether a group is large enough to be folded in, from what its clusters hold, `(n_clusters, k)`.
    """

    name: str
    better: Better | None
    count: Callable[[ItemRow], Counts | None]
    combine: Callable[[FloatArray], FloatArray] = ratio
    fold: Fold | None = None
    parts: Callable[[ItemRow], tuple[str, ...]] = name_group
    is_large: Callable[[FloatArray], bool] = take_all
