"""Intervals that stay valid however often one looks: a run that stops when it knows enough needs them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from llamabench.stats.intervals import FloatArray, Interval

IntArray = npt.NDArray[np.int64]

_SHRINKAGE = 4.0
"""Draws that the mean over all strata counts for when the next value of a stratum is guessed."""


class Stratum(NamedTuple):
    """A group of the pool: its draws, the items in them, and its weight in the mean; weights add up to 1."""

    n_draws: int
    n_items: int
    weight: float


class Draws(NamedTuple):
    """What was drawn, in order: number of the stratum, sum of the values (each 0 to 1), items; shape `(n,)` each."""

    strata: IntArray
    totals: FloatArray
    sizes: IntArray


class _Scaled(NamedTuple):
    """Draws as values of 0 to 1 whose mean is proportional to what is estimated; arrays of shape `(n,)`."""

    values: FloatArray
    before: FloatArray
    n_left: FloatArray
    guesses: FloatArray
    scale: FloatArray


def stratified_sequence_interval(
    draws: Draws, pool: Sequence[Stratum], *, largest: int, width: float, confidence: float = 0.95
) -> Interval:
    """Makes an interval for the weighted mean over a finite pool, of which each stratum is drawn in random order.

    With probability `confidence` the mean lies in all intervals that the first, the first two, the first three ...
    draws give, so one may stop whenever one likes. It rests on the random order alone: items of the pool need not be
    independent of each other. It says nothing about items beyond the pool.

    With c the mean of what is left of a draw's stratum, the sum of e = L (y - c) over the draws is a martingale, and
    log(2 / (1 - confidence)) + sum (y - g)^2 (-log(1 - L) - L) is what it never exceeds in either direction. Here y is
    the draw's value, g a guess of it and L a bet, both made of what was drawn before: g is the stratum's mean so far,
    so only the spread within strata counts, and L is the bet that meets `width` soonest. The sum is linear in the
    totals of the strata, of which each also lies between what was seen and that with every item left a 1: the ends are
    the largest and the smallest mean that all this allows.

    Args:
        draws: What was drawn.
        pool: The strata; the share of its draws that was drawn should be about the same in each.
        largest: Items of the largest draw of the pool.
        width: Half the width to be met soonest, above 0: fixed beforehand, it decides how wide the interval is when,
            not whether it holds.
        confidence: Coverage, between 0 and 1.

    Returns:
        Ends between 0 and 1; none where nothing was drawn.

    Source:
        Waudby-Smith and Ramdas 2024, arXiv:2010.09686, theorem 2, for draws with replacement from one stratum;
        Waudby-Smith and Ramdas 2020, arXiv:2006.04347, section 3, for those without; Howard et al. 2021,
        arXiv:1810.08240, theorem 4, for means that change from draw to draw, as those of strata do.
    """
    n_items = sum(stratum.n_items for stratum in pool)
    if draws.strata.size == 0 or n_items == 0:
        return Interval(None, None, "none: no items")
    weights = np.array([stratum.weight / max(stratum.n_items, 1) for stratum in pool])
    n_draws = np.array([stratum.n_draws for stratum in pool])
    scaled = _scale(draws, weights, n_draws, largest)
    bets = _bets(scaled, width / (n_draws.sum() * largest * weights.max()), (n_draws, weights))
    spread = (scaled.scale * (scaled.values - scaled.guesses)) ** 2
    radius = math.log(2 / (1 - confidence)) + float(np.sum(spread * (-np.log1p(-bets) - bets)))
    stakes = bets * scaled.scale
    middle = float(np.sum(stakes * (scaled.values + scaled.before / scaled.n_left)))
    rates, seen, n_seen = (
        _sum_by_stratum(draws, column, pool) for column in (stakes / scaled.n_left, scaled.values, draws.sizes)
    )
    most = seen + np.maximum([stratum.n_items for stratum in pool] - n_seen, 0) / largest
    gains = weights * largest
    high = gains @ seen + _most_gain(gains, rates, most - seen, middle + radius - float(rates @ seen))
    low = gains @ most - _most_gain(gains, rates, most - seen, float(rates @ most) - middle + radius)
    method = (
        f"empirical-Bernstein confidence sequence for the score of all {n_items:,} items, valid under repeated looking"
    )
    return Interval(float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), method)


def _sum_by_stratum(draws: Draws, column: npt.NDArray[Any], pool: Sequence[Stratum]) -> FloatArray:
    sums: FloatArray = np.bincount(draws.strata, column, len(pool)).astype(np.float64)
    return sums


def _scale(draws: Draws, weights: FloatArray, n_draws: IntArray, largest: int) -> _Scaled:
    values = draws.totals / largest
    before, n_left = np.empty(values.size), np.empty(values.size)
    n_before = np.empty(values.size)
    for stratum in np.unique(draws.strata):
        places = np.flatnonzero(draws.strata == stratum)
        n_before[places] = np.arange(places.size)
        before[places] = np.cumsum(values[places]) - values[places]
        n_left[places] = n_draws[stratum] - np.arange(places.size)
    overall = (np.cumsum(values) - values + 0.5) / np.arange(1, values.size + 1)
    guesses = (before + _SHRINKAGE * overall) / (n_before + _SHRINKAGE)
    return _Scaled(values, before, n_left, guesses, (weights / weights.max())[draws.strata])


def _bets(scaled: _Scaled, width: float, pool: tuple[IntArray, FloatArray]) -> FloatArray:
    """The bet of each draw, from the spread of the draws before it: the largest of b width - spread (-log(1-b) - b)."""
    n_draws, weights = pool
    spread = (scaled.scale * (scaled.values - scaled.guesses)) ** 2
    assumed = 0.25 * float(n_draws @ (weights / weights.max()) ** 2) / n_draws.sum()
    expected = (np.cumsum(spread) - spread + assumed) / np.arange(1, spread.size + 1)
    bets: FloatArray = width / (width + expected)
    return bets


def _most_gain(gains: FloatArray, rates: FloatArray, room: FloatArray, budget: float) -> float:
    """The largest `gains @ x` with `rates @ x <= budget` and `0 <= x <= room`: the best ratio first."""
    total = 0.0
    ratios = np.divide(gains, rates, out=np.full(gains.shape, np.inf), where=rates > 0)
    for stratum in np.argsort(-ratios, kind="stable"):
        taken = room[stratum]
        if rates[stratum] > 0:
            taken = min(taken, max(budget, 0.0) / rates[stratum])
        total += float(gains[stratum] * taken)
        budget -= float(rates[stratum] * taken)
    return total
