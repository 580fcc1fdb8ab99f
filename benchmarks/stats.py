"""What the statistics of a comparison promise: do intervals cover, how often is a verdict false, what can be seen?

    python benchmarks/stats.py
    python benchmarks/stats.py --quick

*Coverage* is the share of simulated runs, or pairs of runs, whose 95 % interval holds the true value; it is to be 93 to
97 %. *False verdicts* are those of whole comparisons of two models that do not differ: over made-up suites with their
groups, the share of comparisons that say "regressed" of anything at all is to be 5 % at most. The *power table* says
how large a difference of two accuracies has to be to be seen four times in five.

Targets allow for chance: one is missed where the share in the simulations rules out the promise (by its own
99.9 % interval). Not covered: models that differ and still score alike in ways that are not made up here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from measuring import Target

from llamabench.measures import Measure, average_groups, ratio
from llamabench.records import ItemRow, Verdict
from llamabench.results.compare import PairedRows, compare_suite, give_verdicts
from llamabench.stats import (
    FloatArray,
    Interval,
    bootstrap_mean_interval,
    cluster_bootstrap_interval,
    cluster_wilson_interval,
    compare_paired,
    detectable_difference,
    mcnemar_power,
    mean_of_means_interval,
    wilson_interval,
)
from llamabench.suites.bbq import score_counts
from llamabench.suites.bold_gap import average_widest

_LEAST, _MOST = 0.93, 0.97
_MOST_FALSE = 0.05
_CERTAINTY = 0.999
_SIZES = (50, 100, 250, 500, 1_000, 2_500, 10_000)
_DISCORDANT = (0.05, 0.1, 0.2, 0.3)


class Drawn(NamedTuple):
    """An interval, and the number that it is to hold."""

    interval: Interval
    truth: float


Draw = Callable[[np.random.Generator], Drawn]


# --- one run ------------------------------------------------------------------------------------


def draw_share(n: int, share: float, rng: np.random.Generator) -> Drawn:
    return Drawn(wilson_interval(int(rng.binomial(n, share)), n), share)


def draw_clustered_share(rng: np.random.Generator) -> Drawn:
    size = rng.integers(1, 12, 60)
    return Drawn(cluster_wilson_interval(as_counts(size, rng.binomial(size, rng.beta(2, 3, 60)))), 0.4)


def draw_mean(rng: np.random.Generator) -> Drawn:
    return Drawn(bootstrap_mean_interval(rng.beta(0.5, 1.5, 100), rng), 0.25)


def draw_clustered_ratio(rng: np.random.Generator) -> Drawn:
    size = rng.integers(4, 13, 80)
    counts = as_counts(size, rng.binomial(size, rng.beta(3, 3, 80)))
    return Drawn(cluster_bootstrap_interval(counts, ratio, rng), 0.5)


def draw_mean_of_means(rng: np.random.Generator) -> Drawn:
    rates = np.linspace(0.2, 0.9, 4)
    return Drawn(mean_of_means_interval([rng.binomial(1, rate, 40).tolist() for rate in rates], rng), 0.55)


# --- two runs -----------------------------------------------------------------------------------


def as_counts(whole: np.ndarray, part: np.ndarray) -> FloatArray:
    return np.stack([whole, part], axis=1).astype(np.float64)


def whole_ratio(totals: FloatArray) -> FloatArray:
    return ratio(totals[:, 0])


def draw_paired_items(n: int, gained: float, lost: float, rng: np.random.Generator) -> Drawn:
    u, both = rng.random(n), rng.random(n) < 0.5
    is_equal = u >= gained + lost
    first, second = np.where(is_equal, both, u < lost), np.where(is_equal, both, u >= lost)
    found = compare_paired([as_counts(np.ones(n), first)], [as_counts(np.ones(n), second)], whole_ratio, rng=rng)
    return Drawn(found.interval, gained - lost)


def draw_paired_templates(rng: np.random.Generator) -> Drawn:
    """Items of one template go together, in and between the runs."""
    size, level = rng.integers(4, 13, 60), rng.beta(3, 3, 60)
    first = as_counts(size, rng.binomial(size, 0.8 * level))
    second = as_counts(size, rng.binomial(size, 0.2 + 0.8 * (level + rng.beta(3, 3, 60)) / 2))
    return Drawn(compare_paired([first], [second], whole_ratio, rng=rng).interval, 0.2)


def draw_paired_numbers(rng: np.random.Generator) -> Drawn:
    first = rng.exponential(size=80)
    second = first + rng.exponential(size=80) - 0.9
    ones = np.ones(80)
    found = compare_paired([as_counts(ones, first)], [as_counts(ones, second)], whole_ratio, rng=rng)
    return Drawn(found.interval, 0.1)


def draw_bias_counts(accuracy: float, towards: float, rng: np.random.Generator, n: int = 25) -> FloatArray:
    """Templates of eight ambiguous rows each, as `suites.bbq.count_row` counts them."""
    counts = np.zeros((n, 10))
    people = 8 - rng.binomial(8, np.clip(rng.normal(accuracy, 0.1, n), 0, 1))
    counts[:, 0], counts[:, 1], counts[:, 3] = 8, 8 - people, people
    counts[:, 4] = rng.binomial(people, np.clip(rng.normal(towards, 0.1, n), 0, 1))
    return counts


def distance_of_bias(totals: FloatArray) -> FloatArray:
    m, n_groups, k = totals.shape
    values = score_counts("bias_ambig", totals.reshape(-1, k)).reshape(m, n_groups)
    return np.abs(average_groups(values, [""] * n_groups))


def draw_paired_bias(towards: tuple[float, float], rng: np.random.Generator) -> Drawn:
    runs = [[draw_bias_counts(0.5, chance, rng) for _ in range(11)] for chance in towards]
    truth = [abs(0.5 * (2 * chance - 1)) for chance in towards]
    return Drawn(compare_paired(runs[0], runs[1], distance_of_bias, rng=rng).interval, truth[1] - truth[0])


def gap_of_groups(totals: FloatArray) -> FloatArray:
    m, n_groups, k = totals.shape
    return average_widest(ratio(totals.reshape(-1, k)).reshape(m, n_groups), ["domain"] * n_groups)


def draw_paired_gap(shares: tuple[Sequence[float], Sequence[float]], rng: np.random.Generator) -> Drawn:
    runs = [
        [as_counts(np.full(60, 5), rng.binomial(5, np.clip(rng.normal(one, 0.08, 60), 0, 1))) for one in run]
        for run in shares
    ]
    truth = float(np.ptp(shares[1]) - np.ptp(shares[0]))
    return Drawn(compare_paired(runs[0], runs[1], gap_of_groups, rng=rng).interval, truth)


CASES: dict[str, Draw] = {
    "share of 100 items, Wilson": partial(draw_share, 100, 0.3),
    "share of 800 items, Wilson": partial(draw_share, 800, 0.9),
    "share in 60 clusters, Wilson": draw_clustered_share,
    "mean of 100 skewed numbers, BCa": draw_mean,
    "ratio in 80 clusters": draw_clustered_ratio,
    "mean of 4 groups' means": draw_mean_of_means,
    "difference, 200 items of 0 and 1": partial(draw_paired_items, 200, 0.12, 0.07),
    "no difference, 200 items of 0 and 1": partial(draw_paired_items, 200, 0.1, 0.1),
    "difference, 60 templates": draw_paired_templates,
    "difference, 80 skewed numbers": draw_paired_numbers,
    "difference of biases, 11 groups": partial(draw_paired_bias, (0.65, 0.55)),
    "no difference of biases": partial(draw_paired_bias, (0.6, 0.6)),
    "bias turned round": partial(draw_paired_bias, (0.4, 0.6)),
    "difference of gaps, 4 groups": partial(draw_paired_gap, ((0.1, 0.2, 0.3, 0.5), (0.2, 0.25, 0.3, 0.4))),
    "no difference of gaps": partial(draw_paired_gap, ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4))),
}


def measure_coverage(name: str, draw: Draw, rngs: Sequence[np.random.Generator]) -> list[Target]:
    n_covered = 0
    for rng in rngs:
        (low, high, _), truth = draw(rng)
        n_covered += low is not None and high is not None and low - 1e-9 <= truth <= high + 1e-9
    print(f"{name}: coverage {n_covered / len(rngs):.1%} of {len(rngs):,}", flush=True)
    low, high, _ = wilson_interval(n_covered, len(rngs), _CERTAINTY)
    return [
        Target(f"coverage at most, {name}", high or 0.0, _LEAST),
        Target(f"coverage at least, {name}", low or 0.0, _MOST, at_most=True),
    ]


# --- verdicts where nothing differs -------------------------------------------------------------


def _count_right(row: ItemRow) -> tuple[float, float]:
    return 1.0, row.values["right"]


def _count_bias(row: ItemRow) -> FloatArray:
    counts = np.zeros(10)
    counts[[0, 3, 4]] = 1, 1, row.values["right"]
    return counts


MEASURES: dict[str, Measure] = {
    "single items": Measure("accuracy", "higher", _count_right),
    "templates": Measure("accuracy", "higher", _count_right, fold=average_groups),
    "bias": Measure("bias", "nearer 0", _count_bias, combine=partial(score_counts, "bias_ambig"), fold=average_groups),
}


def draw_rows(suite: str, rng: np.random.Generator) -> tuple[list[ItemRow], list[ItemRow]]:
    """Two runs of models that do not differ: each item has a chance of its own, the same in both."""
    runs: tuple[list[ItemRow], list[ItemRow]] = ([], [])
    n_clusters, n_each = (30, 1) if suite == "single items" else (15, 6)
    for group in range(6):
        for cluster in range(n_clusters):
            chance = rng.beta(1, 1)
            for item in range(n_each):
                name = f"{group}-{cluster}-{item}"
                for rows in runs:
                    values = {"right": float(rng.random() < chance)}
                    rows.append(ItemRow(suite, name, str(group), f"{group}-{cluster}", "scored", {}, values, None, ()))
    return runs


def find_verdicts(rng: np.random.Generator) -> set[Verdict]:
    suites = [
        compare_suite(
            PairedRows(suite, draw_rows(suite, rng), [measure]), [measure.name], seed=int(rng.integers(1 << 30))
        )
        for suite, measure in MEASURES.items()
    ]
    return {one.verdict for suite in give_verdicts(suites) for one in suite.differences}


def measure_false_verdicts(rngs: Sequence[np.random.Generator]) -> Target:
    found = [find_verdicts(rng) for rng in rngs]
    n_regressed = sum("regressed" in one for one in found)
    n_any = sum(bool(one & {"improved", "regressed"}) for one in found)
    print(
        f"two models that do not differ, {len(MEASURES)} suites with 6 groups each, {len(rngs):,} comparisons: "
        f"{n_regressed / len(rngs):.1%} say regressed, {n_any / len(rngs):.1%} regressed or improved"
    )
    low = wilson_interval(n_regressed, len(rngs), _CERTAINTY).low or 0.0
    return Target("false regressed at least", low, _MOST_FALSE, at_most=True)


# --- power --------------------------------------------------------------------------------------


def measure_power() -> list[Target]:
    """Smallest difference of two accuracies that is seen with 80 %, by items and share of items that change sides."""
    print("items\t" + "\t".join(f"{share:.0%} change sides" for share in _DISCORDANT))
    targets = []
    for n in _SIZES:
        cells = []
        for share in _DISCORDANT:
            difference = detectable_difference(np.sqrt(share / n))
            if difference > share:
                cells.append("-")
                continue
            cells.append(f"{difference * 100:.1f} points")
            if n <= 1_000:
                exact = mcnemar_power(n, (share + difference) / 2, (share - difference) / 2)
                targets.append(Target(f"power of McNemar, {n} items, {share:.0%} change sides", exact, 0.7))
        print(f"{n:,}\t" + "\t".join(cells))
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-runs", type=int, default=1000, help="of each case of coverage")
    parser.add_argument("--n-comparisons", type=int, default=400, help="of models that do not differ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="40 runs of each case, 8 comparisons")
    args = parser.parse_args()
    targets = []
    for number, (name, draw) in enumerate(CASES.items()):
        rngs = np.random.default_rng([args.seed, number]).spawn(40 if args.quick else args.n_runs)
        targets += measure_coverage(name, draw, rngs)
    rngs = np.random.default_rng([args.seed, 99]).spawn(8 if args.quick else args.n_comparisons)
    targets.append(measure_false_verdicts(rngs))
    targets += measure_power()
    print(*(target.line() for target in targets), sep="\n")
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
