"""What `--precision` promises and costs: is the score in all the intervals that one looks at, and how many items?

    python benchmarks/precision.py
    python benchmarks/precision.py --quick

Pools of made-up items are drawn in the order in which a run draws them. After every chunk the interval is looked at,
until it is narrow enough, and on to twice as many items. *Coverage* is the share of runs in which the pool's score lay
in every single interval; beside it that of Wilson's interval, looked at just as often. *Items* is the mean number at
the stop, beside the fewest with which Wilson's interval, looked at once, is as narrow. The target is missed where so
many runs were not covered that a coverage of 95 % is ruled out (upper end of its own 95 % interval).

Where groups count alike, Wilson's interval is of another number, the plain mean; it stands there for size alone.

Not covered: items that fail, and pools whose order has to do with the answers, which a drawn order excludes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from measuring import Target

from llamabench.arranging import take_turns
from llamabench.budget import half_width
from llamabench.stats import FloatArray, Interval, wilson_interval
from llamabench.stats.sequential import Draws, Stratum, stratified_sequence_interval

_CHUNK = 25
_MOST_DRAWS = 8_000
_BBQ_DRAWS = (920, 389, 1228, 709, 860, 1964, 1720, 2490, 2790, 300, 1716, 216)
"""Contexts of four rows in BBQ's categories, about."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of pool.

    Attributes:
        name: What it is like.
        n_draws: Draws of each stratum.
        rates: Score of each stratum.
        width: Half the width that is asked for.
        n_counting: Items of a draw that count; they agree with each other more often than not.
        is_by_group: Whether strata count alike.
    """

    name: str
    n_draws: tuple[int, ...]
    rates: tuple[float, ...]
    width: float
    n_counting: int = 1
    is_by_group: bool = False

    def pool(self) -> list[Stratum]:
        """Its strata."""
        total = sum(self.n_draws)
        return [
            Stratum(n, n * self.n_counting, 1 / len(self.n_draws) if self.is_by_group else n / total)
            for n in self.n_draws
        ]

    def draw(self, rng: np.random.Generator) -> tuple[Draws, float]:
        """All draws of such a pool in drawn order, and its score."""
        order = np.array([int(name) for name in take_turns({str(i): n for i, n in enumerate(self.n_draws)})])
        totals, score = np.empty(order.size), 0.0
        for number, (stratum, rate) in enumerate(zip(self.pool(), self.rates, strict=True)):
            values = draw_values(stratum.n_draws, rate, self.n_counting, rng)
            totals[order == number] = values
            score += stratum.weight * float(values.mean()) / self.n_counting
        return Draws(order, totals, np.full(order.size, self.n_counting)), score


def draw_values(n_draws: int, rate: float, n_counting: int, rng: np.random.Generator) -> FloatArray:
    """Hits of each draw; the chances of draws differ, so that hits within one go together."""
    chances = rng.beta(2 * rate, 2 * (1 - rate), n_draws) if n_counting > 1 else np.full(n_draws, rate)
    return rng.binomial(n_counting, chances).astype(np.float64)


def spread_rates(n: int, low: float, high: float) -> tuple[float, ...]:
    return tuple(float(rate) for rate in np.random.default_rng(n).uniform(low, high, n))


CASES = (
    Case("even chances, 50,000 items", (50_000,), (0.5,), 0.03),
    Case("nine in ten, 50,000 items", (50_000,), (0.9,), 0.02),
    Case("one in fifty, 50,000 items", (50_000,), (0.02,), 0.02),
    Case("like TruthfulQA: 790 items, 38 groups", (21,) * 38, spread_rates(38, 0.1, 0.6), 0.05),
    Case("like BBQ: 12 groups that count alike, pairs", _BBQ_DRAWS, spread_rates(12, 0.3, 0.9), 0.03, 2, True),
    Case("groups far apart, 8,000 items", (4000, 2000, 1500, 500), (0.05, 0.5, 0.9, 0.98), 0.02),
)


@dataclass(frozen=True, slots=True)
class Run:
    """Whether the score lay in all intervals, in all of Wilson's, and the items at the stop."""

    is_covered: bool
    is_covered_by_wilson: bool
    n_items: int


def run_once(case: Case, rng: np.random.Generator) -> Run:
    draws, score = case.draw(rng)
    is_covered, by_wilson, n_stop = True, True, None
    for n in looks(draws.totals.size):
        seen = Draws(draws.strata[:n], draws.totals[:n], draws.sizes[:n])
        found = stratified_sequence_interval(seen, case.pool(), largest=case.n_counting, width=case.width)
        is_covered &= holds(found, score)
        by_wilson &= holds(wilson_interval(round(seen.totals.sum()), int(seen.sizes.sum())), score)
        if n_stop is None and half_width(found) <= case.width:
            n_stop = n
        if n_stop is not None and n >= 2 * n_stop:
            break
    return Run(is_covered, by_wilson, (n_stop or draws.totals.size) * case.n_counting)


def looks(n_draws: int) -> Iterator[int]:
    yield from range(_CHUNK, min(n_draws, _MOST_DRAWS) + 1, _CHUNK)


def holds(interval: Interval, score: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low - 1e-9 <= score <= interval.high + 1e-9


def count_for_wilson(rate: float, width: float) -> int:
    """Fewest items with which Wilson's interval is as narrow."""
    low, high = 1, 1 << 20
    while low < high:
        n = (low + high) // 2
        low, high = (low, n) if half_width(wilson_interval(round(rate * n), n)) <= width else (n + 1, high)
    return low


def report(case: Case, runs: Sequence[Run]) -> Target:
    weights = [stratum.weight for stratum in case.pool()]
    fixed = count_for_wilson(float(np.dot(weights, case.rates)), case.width)
    n_covered = sum(run.is_covered for run in runs)
    by_wilson = float(np.mean([run.is_covered_by_wilson for run in runs]))
    n_items = float(np.mean([run.n_items for run in runs]))
    total = sum(case.n_draws) * case.n_counting
    print(
        f"{case.name}, \u00b1{case.width:g}: coverage {n_covered / len(runs):.1%} (Wilson {by_wilson:.1%}), "
        f"{n_items:,.0f} of {total:,} items, Wilson looked at once {min(fixed, total):,}, ratio {n_items / fixed:.2f}"
    )
    return Target(f"coverage at most, {case.name}", wilson_interval(n_covered, len(runs)).high or 0.0, 0.95)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-runs", type=int, default=400, help="of each kind of pool")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20 runs of each")
    args = parser.parse_args()
    targets = []
    for number, case in enumerate(CASES):
        rngs = np.random.default_rng([args.seed, number]).spawn(20 if args.quick else args.n_runs)
        targets.append(report(case, [run_once(case, rng) for rng in rngs]))
    print(*(target.line() for target in targets), sep="\n")
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
