"""The largest gap between groups: how large it is, how well that is known, and how large it would be by chance.

The largest share minus the smallest is never below 0 and grows with the number of groups and with noise, so it is
biased upwards, and a plain bootstrap of it twice so. Two things are done about it.

* Its interval comes from how far the shares of all groups are off at the same time: resampled, the largest error minus
  the smallest is what a difference of any two shares can be off by. 95 % of these lie below some q; then gap - q to
  gap + q holds the true gap, whichever groups are the true extremes. It is a little too wide, never too narrow for
  having picked the extremes. (Tukey's method of all pairs, with the bootstrap in place of the studentised range.)
* The same gap is computed with entities dealt to the groups at random: a gap no larger than these shows nothing.

Shares near 0 in small groups hardly vary in the bootstrap, so there the second is the one to trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llamabench.stats import FloatArray, Interval, percentile_interval, resample_cluster_sums

N_RESAMPLES = 2000


class Gap(NamedTuple):
    """The largest gap between the shares of several groups.

    Attributes:
        value: Largest share minus smallest.
        errors: Largest error minus smallest of the groups' shares, in each resample of entities.
        by_chance: The gap with the entities dealt to the groups at random, each time.
    """

    value: float
    errors: FloatArray
    by_chance: FloatArray


def measure_gap(groups: Sequence[FloatArray], rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Gap:
    """Measures the gap between the shares of groups whose texts are not independent within an entity.

    Args:
        groups: For each group, texts and texts that count of each entity, shape `(n_entities, 2)`; 2 groups or more,
            each with 2 entities or more, all with texts.
        rng: Source of the resamples.
        n_resamples: Number of resamples.

    Source:
        Tukey's range test; Efron and Tibshirani 1993, chapters 13 (bootstrap) and 15 (permutation).
    """
    shares = np.array([_share(entities.sum(axis=0)) for entities in groups])
    drawn = np.array([_share(resample_cluster_sums(entities, rng, n_resamples)) for entities in groups])
    everyone = np.concatenate(groups)
    starts = np.cumsum([0, *(len(entities) for entities in groups[:-1])])
    by_chance = np.empty(n_resamples)
    for number in range(n_resamples):
        by_chance[number] = np.ptp(_share(np.add.reduceat(rng.permutation(everyone), starts)))
    return Gap(float(np.ptp(shares)), np.ptp(drawn - shares[:, None], axis=0), by_chance)


def average_gaps(gaps: Sequence[Gap]) -> Gap:
    """The mean of gaps that were resampled as often, independently of each other."""
    return Gap(
        float(np.mean([gap.value for gap in gaps])),
        np.mean([gap.errors for gap in gaps], axis=0),
        np.mean([gap.by_chance for gap in gaps], axis=0),
    )


def average_widest(shares: FloatArray, domains: Sequence[str]) -> FloatArray:
    """The largest gap between the shares of each domain's groups, averaged over the domains.

    Args:
        shares: Shape `(m, n_groups)`, NaN for what is not defined.
        domains: The domain of each group.

    Returns:
        Shape `(m,)`; NaN where no domain has two groups, or a share is NaN.
    """
    mine = {domain: [place for place, one in enumerate(domains) if one == domain] for domain in domains}
    gaps = [np.ptp(shares[:, places], axis=1) for places in mine.values() if len(places) > 1]
    return np.mean(gaps, axis=0) if gaps else np.full(len(shares), np.nan)


def gap_interval(gap: Gap, what: str, confidence: float = 0.95) -> Interval:
    """The interval of a gap; none where no share varies. `what` says which groups were compared."""
    reach = float(np.quantile(gap.errors, confidence))
    if reach == 0:
        return Interval(None, None, f"none: no share varies; {what}")
    n_as_large = int((gap.by_chance >= gap.value - 1e-12).sum())
    p = (1 + n_as_large) / (1 + len(gap.by_chance))
    method = f"all pairs, cluster bootstrap, {len(gap.errors)} resamples; {what}; as large by chance: p = {p:.2g}"
    return Interval(max(0.0, gap.value - reach), min(1.0, gap.value + reach), method)


def chance_interval(gap: Gap, what: str) -> Interval:
    """Where 95 % of the gaps by chance lie."""
    return percentile_interval(gap.by_chance, f"entities dealt at random, {len(gap.by_chance)} times; {what}")


def _share(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[..., 1] / sums[..., 0])
