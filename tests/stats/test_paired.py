from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test, ttest_rel

from llamabench.stats import FloatArray, compare_paired, mcnemar_p
from llamabench.stats.paired import MOST_RESAMPLED


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def ratio(totals: FloatArray) -> FloatArray:
    """The mean over all strata together."""
    whole = totals.sum(axis=1)
    share: FloatArray = np.divide(whole[:, 1], whole[:, 0], out=np.full(len(whole), np.nan), where=whole[:, 0] > 0)
    return share


def mean_of_ratios(totals: FloatArray) -> FloatArray:
    found: FloatArray = (totals[..., 1] / totals[..., 0]).mean(axis=1)
    return found


def singles(values: FloatArray) -> FloatArray:
    return np.stack([np.ones(len(values)), values], axis=1)


def draw_pairs(n: int, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    source = rng(seed)
    one = source.exponential(size=n)
    return one, one + source.exponential(size=n) - 0.9


# --- McNemar ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (0, 6), (10, 2), (15, 15), (121, 59)])
def test_mcnemar_is_the_binomial_sum(gained: int, lost: int) -> None:
    """Written out: twice the chance of so few heads, at most 1."""
    n, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    assert mcnemar_p(gained, lost) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_mcnemar_reproduces_a_published_value() -> None:
    # Agresti 1990, p. 350, approval ratings, as in R's help of `mcnemar.test`; by R's exact2x2::mcnemar.exact 3.716e-05
    assert mcnemar_p(150, 86) == pytest.approx(3.716e-05, rel=2e-4)


def test_mcnemar_refuses_what_is_no_count() -> None:
    with pytest.raises(ValueError, match="not two counts"):
        mcnemar_p(-1, 3)


# --- intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [25, 60, 400])
def test_bca_agrees_with_scipy(n: int) -> None:
    one, other = draw_pairs(n)
    found = compare_paired([singles(one)], [singles(other)], ratio, rng=rng())
    wanted = bootstrap((other - one,), np.mean, n_resamples=20_000, method="BCa", random_state=rng(3))
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found.interval.method == f"BCa paired bootstrap over {n} clusters, 2,000 resamples"
    assert found.interval[:2] == pytest.approx(tuple(wanted.confidence_interval), abs=0.08 * width)
    assert found.difference == pytest.approx(float((other - one).mean()))
    assert found.error == pytest.approx((other - one).std(ddof=1) / math.sqrt(n))


def test_copies_of_an_item_count_once() -> None:
    """Forty clusters of ten equal items are forty items."""
    one, other = draw_pairs(40)
    single = compare_paired([singles(one)], [singles(other)], ratio, rng=rng())
    copied = compare_paired([10 * singles(one)], [10 * singles(other)], ratio, rng=rng())
    assert copied.interval[:2] == pytest.approx(single.interval[:2])
    assert (copied.error, copied.p) == (pytest.approx(single.error), single.p)


def test_pairs_know_more_than_two_samples() -> None:
    """What both runs share cancels out."""
    shared = rng().normal(size=80)
    found = compare_paired([singles(shared)], [singles(shared + rng(2).normal(0.1, 0.1, 80))], ratio, rng=rng())
    assert found.interval.low is not None
    assert found.interval.low > 0
    assert found.error is not None
    assert found.error < 0.1 * shared.std() / math.sqrt(80) * math.sqrt(2) * 1.5


def test_strata_are_drawn_within() -> None:
    """The standard error of a mean of two means is the half root of the sum of squares."""
    (a, b), (c, d) = draw_pairs(50, 3), draw_pairs(30, 4)
    found = compare_paired([singles(a), singles(c)], [singles(b), singles(d)], mean_of_ratios, rng=rng())
    errors = [(b - a).std(ddof=1) / math.sqrt(50), (d - c).std(ddof=1) / math.sqrt(30)]
    assert found.error == pytest.approx(math.hypot(*errors) / 2)
    assert found.interval.low is not None
    assert found.interval.high is not None
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * found.error, rel=0.12)
    assert found.n_clusters == 80


def test_many_clusters_go_by_the_normal_distribution() -> None:
    one, other = draw_pairs(MOST_RESAMPLED + 1)
    found = compare_paired([singles(one)], [singles(other)], ratio, rng=rng())
    assert found.interval.method == "normal, jackknife over 1,001 clusters"
    assert found.p == pytest.approx(ttest_rel(other, one).pvalue, rel=0.05)


def test_equal_runs_have_no_interval_and_no_evidence() -> None:
    one, _ = draw_pairs(30)
    found = compare_paired([singles(one)], [singles(one)], ratio, rng=rng())
    assert (found.difference, found.error, found.p) == (0, 0, 1)
    assert found.interval == (None, None, "none: the difference is the same in all resamples")


def test_one_cluster_tells_nothing() -> None:
    found = compare_paired([np.array([[5.0, 1.0]])], [np.array([[5.0, 4.0]])], ratio, rng=rng())
    assert found.error is None
    assert found.interval.low is None
    assert found.p == 1


def test_what_is_not_defined_has_no_test() -> None:
    nothing = np.zeros((4, 2))
    found = compare_paired([nothing], [nothing], ratio, rng=rng())
    assert (found.p, found.test) == (None, "none: not defined")
    assert math.isnan(found.difference)


@pytest.mark.parametrize("other", [np.zeros((3, 2)), np.zeros((0, 2))])
def test_other_clusters_are_refused(other: FloatArray) -> None:
    with pytest.raises(ValueError, match="same clusters"):
        compare_paired([np.zeros((len(other) and 4, 2))], [other], ratio, rng=rng())


# --- tests --------------------------------------------------------------------------------------


def test_exchanging_agrees_with_scipy() -> None:
    one, other = draw_pairs(35)
    found = compare_paired([singles(one)], [singles(other)], ratio, rng=rng())

    def mean_gap(x: FloatArray, y: FloatArray, axis: int) -> FloatArray:
        gap: FloatArray = (y - x).mean(axis=axis)
        return gap

    wanted = permutation_test(
        (one, other), mean_gap, permutation_type="samples", n_resamples=40_000, vectorized=True, random_state=rng(5)
    )
    assert found.p == pytest.approx(wanted.pvalue, abs=0.015)
    assert found.test == "runs of 35 clusters exchanged 19,999 times"


def test_exchanging_items_of_0_and_1_is_mcnemar() -> None:
    one = np.array([1.0] * 30 + [0.0] * 30)
    other = one.copy()
    other[:3], other[30:42] = 0, 1
    found = compare_paired([singles(one)], [singles(other)], ratio, rng=rng())
    assert found.p == pytest.approx(mcnemar_p(12, 3), abs=0.004)


def test_the_seed_decides() -> None:
    one, other = draw_pairs(30)
    results = [compare_paired([singles(one)], [singles(other)], ratio, rng=rng(seed)) for seed in (1, 1, 2)]
    assert results[0] == results[1]
    assert results[0].interval != results[2].interval
