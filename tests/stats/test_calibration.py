"""Losses, reliability and kappa: worked by hand, and computed another way."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from llamabench.stats.calibration import (
    bin_confidence,
    brier_losses,
    calibration_error,
    kappa_in_both_orders,
    log_losses,
    sigmoid,
)


def test_losses_by_hand() -> None:
    # odds of 3 to 1 for what happened, and against it: p is 3/4 and 1/4
    logits = np.array([math.log(3), -math.log(3)])
    assert sigmoid(logits) == pytest.approx([0.75, 0.25])
    assert log_losses(logits) == pytest.approx([-math.log(0.75), -math.log(0.25)])
    assert brier_losses(logits) == pytest.approx([1 / 16, 9 / 16])


def test_losses_survive_any_margin() -> None:
    logits = np.array([-1e5, -40.0, 0.0, 40.0, 1e5])
    assert log_losses(logits) == pytest.approx([1e5, 40, math.log(2), 0, 0])
    assert brier_losses(logits) == pytest.approx([1, 1, 0.25, 0, 0])
    assert sigmoid(logits) == pytest.approx([0, 0, 0.5, 1, 1])


def test_bins_by_hand() -> None:
    def logit(p: float) -> float:
        return math.log(p / (1 - p))

    # sure to 0.55, 0.65, 0.65, 0.95; wrong where the probability of the right one is below a half; one was no choice
    logits = np.array([logit(0.55), logit(0.65), logit(0.35), logit(0.95), 0.0])
    bins = bin_confidence(logits)
    assert [(round(one.low, 1), round(one.high, 1)) for one in bins] == [
        *((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.0)),
    ]
    assert [(one.n, one.n_right) for one in bins] == [(1, 1), (2, 1), (0, 0), (0, 0), (1, 1)]
    assert bins[0].confidence == pytest.approx(0.55)
    assert bins[1].confidence == pytest.approx(0.65)
    assert bins[2].confidence is None
    # |0.55 - 1| + |1.3 - 1| + |0.95 - 1|, over four choices
    assert calibration_error(bins) == pytest.approx((0.45 + 0.3 + 0.05) / 4)
    assert calibration_error(bin_confidence(np.array([]))) is None


def test_the_surest_choice_is_in_the_last_bin() -> None:
    assert bin_confidence(np.array([1000.0, -1000.0]))[-1][2:4] == (2, 1)


def cohen_kappa(first: list[str], second: list[str]) -> float:
    """Cohen 1960 on a table, as it is taught."""
    n = len(first)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    left, right = Counter(first), Counter(second)
    by_chance = sum(left[name] * right[name] for name in left) / n**2
    return (agreed - by_chance) / (1 - by_chance)


@pytest.mark.parametrize("seed", range(4))
def test_kappa_is_that_of_the_table_in_both_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["first", "second", "tie"])
    one, other = (names[rng.choice(3, 50, p=p)].tolist() for p in ([0.4, 0.4, 0.2], [0.5, 0.35, 0.15]))
    swap = {"first": "second", "second": "first", "tie": "tie"}
    both = [*one, *(swap[name] for name in one)], [*other, *(swap[name] for name in other)]
    agreed = sum(a == b for a, b in zip(one, other, strict=True))
    counts = np.array([[50.0, agreed, one.count("tie"), other.count("tie")]])
    assert kappa_in_both_orders(counts)[0] == pytest.approx(cohen_kappa(*both))


def test_kappa_by_hand() -> None:
    # no ties: twice the agreement less one
    assert kappa_in_both_orders(np.array([[100.0, 75, 0, 0]])) == pytest.approx([0.5])
    # 10 pairs, people even on 2, the model never: by chance 0.8 / 2 = 0.4, agreed 0.6
    assert kappa_in_both_orders(np.array([[10.0, 6, 0, 2]])) == pytest.approx([(0.6 - 0.4) / 0.6])
    # both even on everything: chance alone agrees
    undefined = kappa_in_both_orders(np.array([[0.0, 0, 0, 0], [3.0, 3, 3, 3]]))
    assert np.isnan(undefined).all()
