"""How well numbers agree with labels: pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata, spearmanr


def roc_auc(truth: Sequence[bool], scores: Sequence[float]) -> float:
    """Probability that a true item scores above a false one, ties counting half; NaN when one kind is absent.

    >>> roc_auc([False, True, True], [0.1, 0.1, 0.9])
    0.75
    """
    is_true = np.asarray(truth)
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    if not n_true or not n_false:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[is_true].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation."""
    return float(spearmanr(first, second).statistic)


def f1(truth: Sequence[bool], found: Sequence[bool]) -> float:
    """Harmonic mean of precision and recall of what was found; 0 when nothing was.

    >>> f1([True, True, False], [True, False, True])
    0.5
    """
    both = sum(a and b for a, b in zip(truth, found, strict=True))
    return 2 * both / max(sum(truth) + sum(found), 1)


def cohen_kappa(first: Sequence[object], second: Sequence[object]) -> float:
    """Agreement beyond chance of two who label the same items; NaN when both always say the same one thing.

    Source:
        Cohen 1960, doi:10.1177/001316446002000104.

    >>> round(cohen_kappa("aabb", "aaba"), 3)
    0.5
    """
    n = len(first)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(list(first).count(label) * list(second).count(label) for label in {*first, *second}) / n**2
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")
