"""What two runs over the same items differ by: intervals and p-values from pairs, whole clusters at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from llamabench.stats.intervals import FloatArray, Interval, spread_interval

PairedStatistic = Callable[[FloatArray], FloatArray]
"""Turns totals of shape `(m, n_strata, k)` into numbers of shape `(m,)`, NaN where there is none."""

MOST_RESAMPLED = 1_000
"""With more clusters than this, skewness no longer matters and the normal distribution stands in for resamples."""

CONFIDENCE = 0.95
N_RESAMPLES = 2_000
N_EXCHANGES = 19_999
_MAX_CELLS = 4_000_000
_MOST_UNDEFINED = 0.05
_EQUAL = 1e-12


class Tested(NamedTuple):
    """A two-sided p-value of no difference, None where there is no test, and how it was made."""

    p: float | None
    test: str


@dataclass(frozen=True, slots=True)
class Paired:
    """How a statistic of the second run differs from that of the first.

    Attributes:
        first: The statistic of the first run.
        second: That of the second.
        interval: Interval of the difference, second less first.
        error: Standard error of the difference; None where there are too few clusters for one.
        p: Two-sided p-value of no difference; None where there is no test.
        test: How that was made.
        n_clusters: Clusters, over all strata.
    """

    first: float
    second: float
    interval: Interval
    error: float | None
    p: float | None
    test: str
    n_clusters: int

    @property
    def difference(self) -> float:
        """Second less first."""
        return self.second - self.first


def mcnemar_p(n_gained: int, n_lost: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    Args:
        n_gained: Independent pairs that are right in the second run only.
        n_lost: Those that are right in the first only.

    Source:
        McNemar 1947, doi:10.1007/BF02295996; exact by the binomial distribution, `scipy.stats.binomtest`.

    >>> mcnemar_p(10, 0), mcnemar_p(0, 0)
    (0.001953125, 1.0)
    """
    from scipy.stats import binom

    if n_gained < 0 or n_lost < 0:
        raise ValueError(f"{n_gained} and {n_lost} are not two counts.")
    fewer = min(n_gained, n_lost)
    return min(1.0, 2 * float(binom.cdf(fewer, n_gained + n_lost, 0.5)))


def compare_paired(
    first: Sequence[FloatArray],
    second: Sequence[FloatArray],
    statistic: PairedStatistic,
    *,
    rng: np.random.Generator,
    known: Tested | None = None,
) -> Paired:
    """Compares a statistic of sums between two runs over the same items.

    The interval comes from drawing whole clusters with replacement, the same ones for both runs, within each stratum:
    bias-corrected and accelerated (BCa) with the jackknife's acceleration over strata. The p-value comes from
    exchanging the runs of whole clusters at random, which is exact where neither run is better in any way. Beyond 1,000
    clusters both come from the normal distribution with the jackknife's standard error.

    Args:
        first: For each stratum, what the clusters hold of the first run, shape `(n_clusters, k)`; sums add up.
        second: The same clusters of the second run.
        statistic: Turns the totals of the strata into the number that is compared.
        rng: Source of the resamples.
        known: A test that was made otherwise, so that none is made here.

    Returns:
        The comparison, its interval for a confidence of 95 %.

    Raises:
        ValueError: The two are not of the same clusters, or there are none.

    Source:
        Davison and Hinkley 1997, sections 3.2 (strata), 3.8 (clusters) and 5.3.2 (BCa, several samples); Efron and
        Tibshirani 1993, chapters 11 (jackknife), 14 (BCa) and 15 (exchanging); for benchmarks Miller 2024,
        arXiv:2411.00640.
    """
    if [part.shape for part in first] != [part.shape for part in second] or not sum(map(len, first)):
        raise ValueError("Two runs are compared over the same clusters, of which there is one at least.")
    pairs = _Pairs([np.stack(both, axis=1) for both in zip(first, second, strict=True)], statistic)
    totals = pairs.totals[None]
    influence = _find_influence(pairs)
    error = None if influence is None else _standard_error(influence)
    p, test = known or _test(pairs, error, rng=rng)
    return Paired(
        first=float(statistic(totals[:, :, 0])[0]),
        second=float(statistic(totals[:, :, 1])[0]),
        interval=_make_interval(pairs, influence, rng),
        error=error,
        p=p,
        test=test,
        n_clusters=pairs.n_clusters,
    )


class _Pairs:
    """What the clusters of each stratum hold of both runs, shape `(n_clusters, 2, k)`, and what is made of it."""

    def __init__(self, strata: Sequence[FloatArray], statistic: PairedStatistic):
        self.strata = strata
        self.totals = np.stack([part.sum(axis=0) for part in strata])
        self.n_clusters = sum(map(len, strata))
        self._statistic = statistic
        self.difference = float(self.subtract(self.totals[None])[0])

    def subtract(self, totals: FloatArray) -> FloatArray:
        """Second less first, for totals of shape `(m, n_strata, 2, k)`."""
        return self._statistic(totals[:, :, 1]) - self._statistic(totals[:, :, 0])

    def resample(self, rng: np.random.Generator) -> FloatArray:
        """The difference with clusters drawn within each stratum, shape `(N_RESAMPLES,)`.

        One fewer than there are is drawn, and the sums scaled up, so that small strata vary as much as they should:
        Rao and Wu 1988, doi:10.1080/01621459.1988.10478591.
        """
        totals = np.empty((N_RESAMPLES, *self.totals.shape))
        for number, part in enumerate(self.strata):
            flat, share = part.reshape(len(part), -1), np.full(len(part), 1.0 / len(part))
            for rows in _blocks(N_RESAMPLES, len(part)):
                drawn = rng.multinomial(len(part) - 1, share, size=rows.stop - rows.start) @ flat
                totals[rows, number] = drawn.reshape(-1, *part.shape[1:]) * (len(part) / (len(part) - 1))
        return self.subtract(totals)

    def exchange(self, rng: np.random.Generator) -> FloatArray:
        """The difference with the runs of each cluster exchanged or not, shape `(N_EXCHANGES,)`."""
        totals = np.empty((N_EXCHANGES, *self.totals.shape))
        for number, part in enumerate(self.strata):
            gains = part[:, 1] - part[:, 0]
            for rows in _blocks(N_EXCHANGES, len(part)):
                moved = _toss(rows.stop - rows.start, len(part), rng) @ gains
                totals[rows, number, 0] = self.totals[number, 0] + moved
                totals[rows, number, 1] = self.totals[number, 1] - moved
        return self.subtract(totals)


def _blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows that are few enough to be held at once."""
    step = max(1, _MAX_CELLS // n_columns)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def _toss(n_rows: int, n_columns: int, rng: np.random.Generator) -> FloatArray:
    """Zeros and ones, each as likely, shape `(n_rows, n_columns)`."""
    drawn = rng.integers(0, 256, (n_rows, -(-n_columns // 8)), dtype=np.uint8)
    return np.unpackbits(drawn, axis=1, count=n_columns).astype(np.float64)


# --- influence of a cluster ---------------------------------------------------------------------


def _find_influence(pairs: _Pairs) -> list[FloatArray] | None:
    """Jackknife influence of each cluster on the difference, by stratum; None where leaving one out leaves nothing."""
    found = []
    for number, part in enumerate(pairs.strata):
        if len(part) < 2:
            return None
        without = np.repeat(pairs.totals[None], len(part), axis=0)
        without[:, number] -= part
        found.append((len(part) - 1) * (pairs.difference - pairs.subtract(without)))
    return found if all(np.isfinite(part).all() for part in found) else None


def _standard_error(influence: Sequence[FloatArray]) -> float:
    """Davison and Hinkley 1997, equation 3.8, with the jackknife's divisor for each stratum: n (n - 1)."""
    parts = (((part - part.mean()) ** 2).sum() / (part.size * (part.size - 1)) for part in influence)
    return float(np.sqrt(sum(parts)))


def _acceleration(influence: Sequence[FloatArray]) -> float:
    cubes = sum(float((part**3).sum()) / part.size**3 for part in influence)
    squares = sum(float((part**2).sum()) / part.size**2 for part in influence)
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0


# --- interval -----------------------------------------------------------------------------------


def _make_interval(pairs: _Pairs, influence: Sequence[FloatArray] | None, rng: np.random.Generator) -> Interval:
    if influence is None:
        return Interval(None, None, "none: too few clusters, or not defined without one of them")
    normal, clusters = NormalDist(), f"{pairs.n_clusters:,} clusters"
    if pairs.n_clusters > MOST_RESAMPLED:
        reach = normal.inv_cdf((1 + CONFIDENCE) / 2) * _standard_error(influence)
        return Interval(pairs.difference - reach, pairs.difference + reach, f"normal, jackknife over {clusters}")
    drawn, how = pairs.resample(rng), f"paired bootstrap over {clusters}, {N_RESAMPLES:,} resamples"
    if not np.isfinite(drawn).all():
        return spread_interval(drawn, f"percentile {how}", CONFIDENCE)
    if np.ptp(drawn) <= _EQUAL:
        return Interval(None, None, "none: the difference is the same in all resamples")
    # a difference met exactly counts half on either side, as `scipy.stats.bootstrap` has it
    below = float(np.mean(drawn < pairs.difference - _EQUAL) + np.mean(drawn <= pairs.difference + _EQUAL)) / 2
    if not 0 < below < 1:
        return spread_interval(drawn, f"percentile {how}", CONFIDENCE)
    low, high = np.quantile(drawn, _bca_tails(normal.inv_cdf(below), _acceleration(influence)))
    return Interval(float(low), float(high), f"BCa {how}")


def _bca_tails(bias: float, acceleration: float) -> list[float]:
    """Efron 1987, doi:10.1080/01621459.1987.10478410, equation 3.9."""
    normal, tails = NormalDist(), []
    for tail in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2):
        shifted = bias + normal.inv_cdf(tail)
        tails.append(normal.cdf(bias + shifted / (1 - acceleration * shifted)))
    return tails


# --- test ---------------------------------------------------------------------------------------


def _test(pairs: _Pairs, error: float | None, *, rng: np.random.Generator) -> Tested:
    if not np.isfinite(pairs.difference):
        return Tested(None, "none: not defined")
    if pairs.n_clusters > MOST_RESAMPLED and error:
        p = 2 * NormalDist().cdf(-abs(pairs.difference) / error)
        return Tested(p, f"normal, jackknife over {pairs.n_clusters:,} clusters")
    exchanged = pairs.exchange(rng)
    is_defined = np.isfinite(exchanged)
    if is_defined.mean() < 1 - _MOST_UNDEFINED:
        return Tested(None, "none: often not defined when runs are exchanged")
    n_as_large = int((np.abs(exchanged[is_defined]) >= abs(pairs.difference) - _EQUAL).sum())
    p = (1 + n_as_large) / (1 + int(is_defined.sum()))
    return Tested(p, f"runs of {pairs.n_clusters:,} clusters exchanged {N_EXCHANGES:,} times")
