"""Many tests at once: how often any of them may be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llamabench.stats.intervals import FloatArray


def adjust_by_holm(p_values: Sequence[float] | FloatArray) -> FloatArray:
    """Adjusts the p-values of a family of tests so that any false rejection in it is as rare as one test's.

    Rejecting where the adjusted value is at most a holds the chance of one false rejection or more at a, however the
    tests depend on each other.

    Args:
        p_values: One p-value for each test, shape `(n,)`, 0 to 1.

    Returns:
        Adjusted p-values in the same order, shape `(n,)`.

    Raises:
        ValueError: A value is no probability.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6, 65-70; adjusted values as in Wright 1992, doi:10.2307/2532694.

    >>> adjust_by_holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("A p-value is a number from 0 to 1.")
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(given.size, 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
