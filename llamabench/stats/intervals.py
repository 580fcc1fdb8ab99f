"""Intervals for scores: pure functions from numbers to a lower and an upper end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_MAX_UNDEFINED = 0.05
_MAX_BCA_VALUES = 5_000
_MAX_CELLS = 4_000_000


class Interval(NamedTuple):
    """The two ends of an interval and how it was made; both ends are None where there is none, `method` says why."""

    low: float | None
    high: float | None
    method: str


def wilson_interval(n_success: int, n: int, confidence: float = 0.95) -> Interval:
    """Makes the Wilson score interval of a proportion.

    Args:
        n_success: How many of the `n` items succeeded, 0 to `n`.
        n: Number of independent items.
        confidence: Coverage, between 0 and 1.

    Returns:
        Ends between 0 and 1; none when `n` is 0.

    Raises:
        ValueError: `n_success` is not between 0 and `n`.

    Source:
        Wilson 1927, doi:10.1080/01621459.1927.10502953; computed by `scipy.stats.binomtest(...).proportion_ci`.

    >>> low, high, method = wilson_interval(8, 10)
    >>> f"{low:.3f} {high:.3f} {method}"
    '0.490 0.943 Wilson'
    """
    if not 0 <= n_success <= n:
        raise ValueError(f"{n_success} successes of {n} items is not a proportion.")
    if n == 0:
        return Interval(None, None, "none: no items")
    from scipy.stats import binomtest

    ci = binomtest(n_success, n).proportion_ci(confidence_level=confidence, method="wilson")
    return Interval(float(ci.low), float(ci.high), "Wilson")


def cluster_wilson_interval(sums: FloatArray, confidence: float = 0.95) -> Interval:
    """Makes the Wilson interval of a proportion over items that are not independent within a cluster.

    The number of items is divided by the design effect: how much wider their clusters spread the proportion than
    independent items would, at least 1. Where all items agree, there is none to see, and each cluster counts once.

    Args:
        sums: Items and successes of each cluster, shape `(n_clusters, 2)`; every cluster has items.
        confidence: Coverage, between 0 and 1.

    Returns:
        Ends between 0 and 1; none without clusters.

    Source:
        Korn and Graubard 1998, Survey Methodology 24: effective sample size; Wilson 1927 for the interval.

    >>> low, high, _ = cluster_wilson_interval(np.array([[1.0, 1.0]] * 8 + [[1.0, 0.0]] * 2))
    >>> f"{low:.2f} {high:.2f}"
    '0.47 0.95'
    """
    n_clusters = len(sums)
    if n_clusters == 0:
        return Interval(None, None, "none: no items")
    n_items, n_success = (float(total) for total in sums.sum(axis=0))
    share = n_success / n_items
    n_effective = float(n_clusters)
    if 0 < share < 1 and n_clusters > 1:
        spread = float(((sums[:, 1] - share * sums[:, 0]) ** 2).sum()) * n_clusters / (n_clusters - 1)
        n_effective = n_items / max(1.0, spread / (n_items * share * (1 - share)))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z * z / (2 * n_effective)) / (1 + z * z / n_effective)
    reach = z * math.sqrt(share * (1 - share) / n_effective + (z / (2 * n_effective)) ** 2) / (1 + z * z / n_effective)
    return Interval(
        max(0.0, centre - reach),
        min(1.0, centre + reach),
        f"Wilson over {n_clusters} clusters, {n_effective:.0f} effective items",
    )


def bootstrap_mean_interval(
    values: Sequence[float] | FloatArray,
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Makes the bias-corrected and accelerated (BCa) bootstrap interval of a mean.

    The values are sorted first, so the interval does not depend on the order they come in. Above 5,000 values, where
    the correction vanishes and its jackknife is slow, the plain percentile interval is made; `method` says so.

    Args:
        values: Independent finite values, shape `(n,)`.
        rng: Source of the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage, between 0 and 1.

    Returns:
        Ends in the unit of the values; none for fewer than three values or when all are equal.

    Raises:
        ValueError: A value is NaN or infinite.

    Source:
        Efron 1987, doi:10.1080/01621459.1987.10478410; computed by `scipy.stats.bootstrap`.
    """
    data = np.sort(np.asarray(values, dtype=np.float64))
    if not np.isfinite(data).all():
        raise ValueError("A mean over values that are not finite has no interval.")
    if data.size < 3:
        return Interval(None, None, "none: fewer than 3 values")
    if data[0] == data[-1]:
        return Interval(None, None, f"none: all {data.size} values are equal")
    for method, name in (("BCa", "BCa bootstrap"), ("percentile", "percentile bootstrap")):
        if method == "BCa" and data.size > _MAX_BCA_VALUES:
            continue
        low, high = _bootstrap_ends(data, rng, method, n_resamples, confidence)
        if np.isfinite(low) and np.isfinite(high):
            return Interval(low, high, f"{name}, {n_resamples} resamples")
    return Interval(None, None, "none: the bootstrap is not defined for these values")


def _bootstrap_ends(
    data: FloatArray, rng: np.random.Generator, method: str, n_resamples: int, confidence: float
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate BCa warns and gives NaN, which the caller handles
        ci = bootstrap(
            (data,),
            np.mean,
            n_resamples=n_resamples,
            batch=max(1, _MAX_CELLS // (4 * data.size)),
            confidence_level=confidence,
            method=method,
            random_state=rng,
        ).confidence_interval
    return float(ci.low), float(ci.high)


def resample_cluster_sums(sums: FloatArray, rng: np.random.Generator, n_resamples: int = 2000) -> FloatArray:
    """Draws whole clusters with replacement, as many as there are, and adds up what they hold.

    Args:
        sums: Sufficient statistics of each cluster that add up over clusters, shape `(n_clusters, k)`.
        rng: Source of the resamples.
        n_resamples: Number of resamples.

    Returns:
        Totals of each resample, shape `(n_resamples, k)`.

    Raises:
        ValueError: There are no clusters.

    Source:
        The cluster bootstrap: Davison and Hinkley 1997, section 3.8.
    """
    n_clusters = sums.shape[0]
    if n_clusters == 0:
        raise ValueError("There are no clusters to draw from.")
    share = np.full(n_clusters, 1.0 / n_clusters)
    totals = np.empty((n_resamples, sums.shape[1]))
    step = max(1, _MAX_CELLS // n_clusters)
    for start in range(0, n_resamples, step):
        stop = min(start + step, n_resamples)
        totals[start:stop] = rng.multinomial(n_clusters, share, size=stop - start) @ sums
    return totals


def percentile_interval(resampled: FloatArray, method: str, confidence: float = 0.95) -> Interval:
    """Takes the ends of an interval from resampled values.

    Args:
        resampled: The statistic of each resample, shape `(n_resamples,)`; NaN where it is not defined.
        method: How the resamples were made.
        confidence: Coverage, between 0 and 1.

    Returns:
        The ends; none when more than 5 % of the resamples are not defined.
    """
    is_defined = np.isfinite(resampled)
    if is_defined.mean() < 1 - _MAX_UNDEFINED:
        return Interval(None, None, f"none: not defined in {1 - is_defined.mean():.0%} of the resamples")
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled[is_defined], [tail, 1 - tail])
    return Interval(float(low), float(high), method)


def spread_interval(resampled: FloatArray, method: str, confidence: float = 0.95) -> Interval:
    """Takes the percentile interval of a statistic, where its resamples tell how much it varies.

    Args:
        resampled: The statistic of each resample, shape `(n_resamples,)`; NaN where it is not defined.
        method: How the resamples were made.
        confidence: Coverage, between 0 and 1.

    Returns:
        The ends; none where `percentile_interval` has none, or when no resample differs from another.
    """
    interval = percentile_interval(resampled, method, confidence)
    if interval.low is not None and np.ptp(resampled[np.isfinite(resampled)]) == 0:
        return Interval(None, None, "none: all resamples are equal")
    return interval


def cluster_bootstrap_interval(
    sums: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Makes the percentile interval of a statistic over items that are not independent within a cluster.

    Args:
        sums: Sufficient statistics of each cluster that add up over clusters, shape `(n_clusters, k)`.
        statistic: Turns totals of shape `(m, k)` into values of shape `(m,)`, NaN where there is none.
        rng: Source of the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage, between 0 and 1.

    Returns:
        The ends; none for fewer than two clusters, when the statistic is not defined in more than 5 % of the
        resamples, or when it is the same in all of them.

    Source:
        Davison and Hinkley 1997, section 3.8; for benchmarks Miller 2024, arXiv:2411.00640.
    """
    n_clusters = sums.shape[0]
    if n_clusters < 2:
        return Interval(None, None, "none: fewer than 2 clusters")
    totals = resample_cluster_sums(sums, rng, n_resamples)
    method = f"percentile cluster bootstrap over {n_clusters} clusters, {n_resamples} resamples"
    return spread_interval(statistic(totals), method, confidence)


def mean_of_means_interval(
    groups: Sequence[Sequence[float]], rng: np.random.Generator, *, n_resamples: int = 2000, confidence: float = 0.95
) -> Interval:
    """Makes the percentile bootstrap interval of the mean of groups' means, values drawn anew within each group.

    The values of a group are sorted first, so the interval does not depend on the order they come in.

    Args:
        groups: Finite values of each group, none of them empty.
        rng: Source of the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage, between 0 and 1.

    Returns:
        Ends in the unit of the values; none for fewer than three values or when no group varies.

    Source:
        The stratified bootstrap: Davison and Hinkley 1997, section 3.2.
    """
    sizes = [len(values) for values in groups]
    if sum(sizes) < 3:
        return Interval(None, None, "none: fewer than 3 values")
    if all(len(set(values)) == 1 for values in groups):
        return Interval(None, None, f"none: all {sum(sizes)} values are equal within their groups")
    means = np.zeros(n_resamples)
    for values in groups:
        data = np.sort(np.asarray(values, dtype=np.float64))
        drawn = rng.multinomial(data.size, np.full(data.size, 1.0 / data.size), size=n_resamples)
        means += drawn @ data / data.size
    method = f"percentile bootstrap within {len(groups)} groups, {n_resamples} resamples"
    return percentile_interval(means / len(groups), method, confidence)
