"""How well probabilities agree with what happened, and two raters with each other: arithmetic on arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llamabench.stats.intervals import FloatArray


class ConfidenceBin(NamedTuple):
    """Choices made with about the same confidence.

    Attributes:
        low: Least confidence in it.
        high: Most confidence in it; the next bin begins there.
        n: Choices in it.
        n_right: How many of them were right.
        confidence: Their mean confidence, None where there are none.
    """

    low: float
    high: float
    n: int
    n_right: int
    confidence: float | None


def sigmoid(logits: FloatArray) -> FloatArray:
    """Turns log-odds into probabilities, whatever their size.

    >>> sigmoid(np.array([0.0, -1000.0])).tolist()
    [0.5, 0.0]
    """
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


def log_losses(logits: FloatArray) -> FloatArray:
    """Losses -log p of what happened, in nats, from its log-odds; finite as long as these are.

    >>> log_losses(np.array([0.0, -1000.0])).round(3).tolist()
    [0.693, 1000.0]
    """
    return np.asarray(np.logaddexp(0.0, -logits))


def brier_losses(logits: FloatArray) -> FloatArray:
    """Losses (1 - p)^2 of what happened, 0 to 1, from its log-odds.

    Source: Brier 1950, for two outcomes counted once: half of the sum over both.
    """
    return np.asarray(np.square(sigmoid(-logits)))


def bin_confidence(logits: FloatArray, n_bins: int = 5) -> tuple[ConfidenceBin, ...]:
    """Sorts choices between two by how sure they were.

    Args:
        logits: Log-odds of the right one, shape `(n,)`: the other one was chosen where they are below 0, and none where
            they are 0, which stands in no bin.
        n_bins: Bins of equal width between 0.5 and 1; a confidence on a border is in the upper one.

    Source:
        The reliability diagram: Guo et al. 2017, arXiv:1706.04599, for the confidence in the choice.
    """
    logits = logits[logits != 0]
    confidence = sigmoid(np.abs(logits))
    edges = np.linspace(0.5, 1.0, n_bins + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, n_bins - 1)
    bins = []
    for place in range(n_bins):
        is_here = places == place
        n = int(is_here.sum())
        mean = float(np.sort(confidence[is_here]).mean()) if n else None
        bins.append(
            ConfidenceBin(float(edges[place]), float(edges[place + 1]), n, int((logits[is_here] > 0).sum()), mean)
        )
    return tuple(bins)


def calibration_error(bins: tuple[ConfidenceBin, ...]) -> float | None:
    """Mean distance between confidence and share of right choices, weighted by choices; None where there are none.

    Source: ECE of Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    n = sum(one.n for one in bins)
    if n == 0:
        return None
    return sum(abs(one.n * one.confidence - one.n_right) for one in bins if one.confidence is not None) / n


def kappa_in_both_orders(counts: FloatArray) -> FloatArray:
    """Cohen's kappa of two raters who compare pairs whose order means nothing.

    Each says of a pair that the first is better, the second is, or that they are even. Every pair stands in the table
    twice, once in either order, so that both raters name either place as often; without ties kappa is then twice the
    agreement less one.

    Args:
        counts: Shape `(m, 4)`: pairs, pairs on which the two agree (ties on which both agree among them), ties of the
            one, ties of the other.

    Returns:
        Kappa, -1 to 1, shape `(m,)`; NaN where there are no pairs or where chance alone agrees on all.

    Source:
        Cohen 1960, doi:10.1177/001316446002000104.

    >>> kappa_in_both_orders(np.array([[10.0, 8.0, 0.0, 0.0]])).round(2).tolist()
    [0.6]
    """
    n, agreed, ties, other_ties = counts.T
    with np.errstate(divide="ignore", invalid="ignore"):
        share, other_share = ties / n, other_ties / n
        by_chance = (1 - share) * (1 - other_share) / 2 + share * other_share
        kappa: FloatArray = (agreed / n - by_chance) / (1 - by_chance)
    return np.where(np.isfinite(kappa), kappa, np.nan)


def cohen_kappa(counts: FloatArray) -> FloatArray:
    """Cohen's kappa of two raters who say yes or no.

    Args:
        counts: Shape `(m, 4)`: cases of which both say no, the first alone yes, the second alone yes, both yes.

    Returns:
        Kappa, -1 to 1, shape `(m,)`; NaN where there are no cases or where chance alone agrees on all.

    Source:
        Cohen 1960, doi:10.1177/001316446002000104.

    >>> cohen_kappa(np.array([[4.0, 1.0, 1.0, 4.0]])).round(2).tolist()
    [0.6]
    """
    neither, first, second, both = counts.T
    n = counts.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_chance = ((first + both) * (second + both) + (neither + first) * (neither + second)) / n**2
        kappa: FloatArray = ((neither + both) / n - by_chance) / (1 - by_chance)
    return np.where(np.isfinite(kappa), kappa, np.nan)
