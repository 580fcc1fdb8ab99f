from __future__ import annotations

import numpy as np
import pytest

from llamabench.stats import detectable_difference, mcnemar_p, mcnemar_power, power_of_difference


@pytest.mark.parametrize(("d", "n", "power"), [(0.2, 200, 0.51), (0.5, 64, 0.80), (0.8, 26, 0.80)])
def test_power_reproduces_published_values(d: float, n: int, power: float) -> None:
    # Cohen 1988, table 2.3.5 (two-sided 0.05, n in each of two groups): the normal distribution is within 0.03 of t
    assert power_of_difference(d, np.sqrt(2 / n)) == pytest.approx(power, abs=0.03)


def test_no_difference_is_found_as_often_as_the_level_says() -> None:
    assert power_of_difference(0.0, 0.3) == pytest.approx(0.05)


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_detectable_difference_has_its_power(power: float) -> None:
    assert power_of_difference(detectable_difference(0.7, power=power), 0.7) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize(("n", "gained", "lost"), [(30, 0.2, 0.05), (100, 0.15, 0.05), (250, 0.1, 0.1)])
def test_power_of_mcnemar_agrees_with_drawing(n: int, gained: float, lost: float) -> None:
    draws = np.random.default_rng(5).multinomial(n, [gained, lost, 1 - gained - lost], size=20_000)
    pairs, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    share = sum(c for (a, b), c in zip(pairs, counts, strict=True) if mcnemar_p(int(a), int(b)) <= 0.05) / 20_000
    assert mcnemar_power(n, gained, lost) == pytest.approx(share, abs=0.011)


def test_exact_tests_keep_their_level() -> None:
    assert mcnemar_power(200, 0.1, 0.1) <= 0.05
