from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from llamabench.stats import (
    Interval,
    bootstrap_mean_interval,
    cluster_bootstrap_interval,
    cluster_wilson_interval,
    mean_of_means_interval,
    percentile_interval,
    resample_cluster_sums,
    wilson_interval,
)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def clusters(*counts: tuple[float, float]) -> np.ndarray:
    return np.array(counts, dtype=np.float64)


def test_clustered_wilson_of_single_items_is_wilson() -> None:
    """Up to the design effect of single items, n / (n - 1)."""
    found = cluster_wilson_interval(clusters(*[(1, 1)] * 300, *[(1, 0)] * 700))
    assert found[:2] == pytest.approx(wilson_interval(300, 1000)[:2], abs=1e-4)


def test_clustered_wilson_counts_copies_once() -> None:
    """Ten copies of each item say no more than one."""
    copies = cluster_wilson_interval(clusters(*[(10, 10)] * 30, *[(10, 0)] * 70))
    assert copies[:2] == pytest.approx(cluster_wilson_interval(clusters(*[(1, 1)] * 30, *[(1, 0)] * 70))[:2])
    assert copies.method == "Wilson over 100 clusters, 99 effective items"


def test_clustered_wilson_counts_clusters_where_all_agree() -> None:
    assert cluster_wilson_interval(clusters(*[(10, 0)] * 20))[:2] == pytest.approx(wilson_interval(0, 20)[:2])
    assert cluster_wilson_interval(clusters((10, 3)))[:2] == pytest.approx(wilson_interval(3, 10)[:2], abs=0.3)
    assert cluster_wilson_interval(np.empty((0, 2))) == Interval(None, None, "none: no items")


@pytest.mark.parametrize(("n_success", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (733, 790)])
def test_wilson_is_the_textbook_formula(n_success: int, n: int) -> None:
    z, p = NormalDist().inv_cdf(0.975), n_success / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high, method = wilson_interval(n_success, n)
    assert low == pytest.approx(max(0.0, middle - half), abs=1e-9)
    assert high == pytest.approx(min(1.0, middle + half), abs=1e-9)
    assert method == "Wilson"


def test_wilson_reproduces_published_values() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857, table I, method 3 (Wilson): 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263)[:2] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20)[:2] == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_wilson_of_nothing_has_no_ends() -> None:
    assert wilson_interval(0, 0) == Interval(None, None, "none: no items")


@pytest.mark.parametrize(("n_success", "n"), [(-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(n_success: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a proportion"):
        wilson_interval(n_success, n)


def test_bootstrap_agrees_with_the_normal_interval_on_normal_data() -> None:
    values = rng().normal(0.4, 0.1, size=400)
    half = 1.96 * values.std(ddof=1) / math.sqrt(values.size)
    low, high, method = bootstrap_mean_interval(values, rng())
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert method.startswith("BCa")


def test_bootstrap_leans_with_skewed_data() -> None:
    values = rng().exponential(size=60)
    low, high, _ = bootstrap_mean_interval(values, rng())
    assert low is not None
    assert high is not None
    assert high - values.mean() > values.mean() - low


def test_bootstrap_depends_on_the_seed_and_not_on_the_order() -> None:
    values = rng().random(50)
    shuffled = rng(1).permutation(values)
    assert bootstrap_mean_interval(values, rng()) == bootstrap_mean_interval(shuffled, rng())
    assert bootstrap_mean_interval(values, rng(1)) != bootstrap_mean_interval(values, rng(2))


@pytest.mark.parametrize("values", [[], [0.5], [0.1, 0.9]])
def test_bootstrap_of_too_few_values_has_no_ends(values: list[float]) -> None:
    assert bootstrap_mean_interval(values, rng()) == Interval(None, None, "none: fewer than 3 values")


def test_bootstrap_of_equal_values_says_so() -> None:
    assert bootstrap_mean_interval([0.25] * 9, rng()) == Interval(None, None, "none: all 9 values are equal")


def test_bootstrap_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_mean_interval([0.1, float("nan"), 0.3], rng())


def test_bootstrap_of_many_values_stays_small_and_says_which_method() -> None:
    method = bootstrap_mean_interval(rng().random(6_000), rng(), n_resamples=100).method
    assert method == "percentile bootstrap, 100 resamples"


def ratio(totals: np.ndarray) -> np.ndarray:
    return np.divide(totals[:, 0], totals[:, 1], out=np.full(len(totals), np.nan), where=totals[:, 1] > 0)


def test_resampled_sums_are_sums_of_whole_clusters() -> None:
    sums = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    totals = resample_cluster_sums(sums, rng(), 500)
    assert totals.shape == (500, 2)
    np.testing.assert_allclose(totals[:, 1], 10 * totals[:, 0])
    assert set(np.unique(totals[:, 0])) <= {a + b + c for a in (1, 2, 4) for b in (1, 2, 4) for c in (1, 2, 4)}


def test_cluster_interval_has_the_width_of_clustered_data() -> None:
    # 40 clusters of 50 equal items each: the doubt is that of 40 independent values, not of 2,000.
    rates = rng().random(40)
    sums = np.stack([50 * rates, np.full(40, 50.0)], axis=1)
    low, high, method = cluster_bootstrap_interval(sums, ratio, rng())
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(2 * 1.96 * rates.std(ddof=1) / math.sqrt(40), rel=0.1)
    assert "40 clusters" in method


def test_cluster_interval_is_the_same_for_the_same_seed() -> None:
    sums = np.stack([rng().random(8), np.ones(8)], axis=1)
    assert cluster_bootstrap_interval(sums, ratio, rng(3)) == cluster_bootstrap_interval(sums, ratio, rng(3))


@pytest.mark.parametrize("n_clusters", [0, 1])
def test_one_cluster_gives_no_interval(n_clusters: int) -> None:
    interval = cluster_bootstrap_interval(np.ones((n_clusters, 2)), ratio, rng())
    assert interval == Interval(None, None, "none: fewer than 2 clusters")


def test_rarely_undefined_resamples_are_dropped() -> None:
    resampled = np.concatenate([np.linspace(0, 1, 961), np.full(39, np.nan)])
    assert percentile_interval(resampled, "here") == Interval(pytest.approx(0.025), pytest.approx(0.975), "here")


def test_often_undefined_resamples_give_no_interval() -> None:
    sums = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    interval = cluster_bootstrap_interval(sums, ratio, rng())
    assert interval.low is None
    assert interval.high is None
    assert interval.method.startswith("none: not defined in ")


def test_no_clusters_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="no clusters"):
        resample_cluster_sums(np.ones((0, 2)), rng())


def test_a_mean_of_means_is_drawn_within_its_groups() -> None:
    groups = [[1.0] * 50, [0.0, 1.0] * 25]
    low, high, method = mean_of_means_interval(groups, np.random.default_rng(1))
    assert method == "percentile bootstrap within 2 groups, 2000 resamples"
    assert low is not None
    assert high is not None
    # the first group does not vary: half of the standard error of the other's mean, 0.5 / sqrt(50), remains
    assert high - low == pytest.approx(2 * 1.96 * 0.5 * 0.5 / np.sqrt(50), rel=0.1)
    assert mean_of_means_interval([group[::-1] for group in groups], np.random.default_rng(1)) == (low, high, method)


@pytest.mark.parametrize("groups", [[], [[1.0], [0.0]], [[1.0] * 5, [0.0] * 5]])
def test_a_mean_of_means_may_have_no_interval(groups: list[list[float]]) -> None:
    low, high, method = mean_of_means_interval(groups, np.random.default_rng(1))
    assert (low, high) == (None, None)
    assert method.startswith("none: ")
