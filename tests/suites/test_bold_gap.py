"""The gap between groups: its parts against numbers computed by hand, and how often its interval is right."""

from __future__ import annotations

import numpy as np
import pytest

from llamabench.stats import FloatArray
from llamabench.suites.bold_gap import average_gaps, chance_interval, gap_interval, measure_gap


def group(n_entities: int, n_counted: int) -> FloatArray:
    return np.array([[1.0, float(k < n_counted)] for k in range(n_entities)])


def draw(shares: tuple[float, ...], rng: np.random.Generator, n_entities: int = 40) -> list[FloatArray]:
    return [np.stack([np.full(n_entities, 3.0), rng.binomial(3, share, n_entities)], axis=1) for share in shares]


def test_the_gap_is_the_largest_share_minus_the_smallest() -> None:
    gap = measure_gap([group(10, 2), group(20, 10), group(10, 3)], np.random.default_rng(0), 50)
    assert gap.value == pytest.approx(0.3)
    assert gap.errors.shape == gap.by_chance.shape == (50,)


def test_dealing_at_random_keeps_entities_whole() -> None:
    """Two groups of two entities, one of which has all that counts: the gap by chance is 1 for 3 texts, or 1 for 1."""
    groups = [np.array([[3.0, 3.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])]
    gap = measure_gap(groups, np.random.default_rng(0), 200)
    assert gap.value == pytest.approx(0.75)
    assert set(np.round(gap.by_chance, 6)) == {0.75}


def test_groups_in_which_nothing_varies_have_no_interval() -> None:
    gap = measure_gap([group(10, 0), group(10, 0)], np.random.default_rng(0), 50)
    assert gap_interval(gap, "2 of 2 groups").low is None
    assert chance_interval(gap, "2 of 2 groups")[:2] == (0, 0)


def test_the_mean_of_gaps() -> None:
    rng = np.random.default_rng(0)
    first, second = (
        measure_gap([group(10, 1), group(10, 5)], rng, 20),
        measure_gap([group(10, 2), group(10, 4)], rng, 20),
    )
    mean = average_gaps([first, second])
    assert mean.value == pytest.approx(0.3)
    assert mean.errors == pytest.approx((first.errors + second.errors) / 2)


@pytest.mark.parametrize(("shares", "true_gap"), [((0.3, 0.3, 0.3, 0.3), 0.0), ((0.2, 0.3, 0.3, 0.5), 0.3)])
def test_the_interval_holds_the_true_gap(shares: tuple[float, ...], true_gap: float) -> None:
    """At least 95 of 100 times or so; a plain bootstrap of the largest gap never holds a gap of 0."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        interval = gap_interval(measure_gap(draw(shares, rng), rng, 100), "4 groups")
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= true_gap <= interval.high
    assert held >= 54
