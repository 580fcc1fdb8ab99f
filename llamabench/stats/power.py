"""What a comparison can find: the chance of seeing a difference, and the smallest that is seen most of the time."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

USUAL_POWER = 0.8
"""Chance with which the smallest detectable difference is found (Cohen 1988, section 2.4)."""


def power_of_difference(difference: float, error: float, *, alpha: float = 0.05) -> float:
    """The chance that a two-sided test finds a true difference.

    Args:
        difference: The true difference.
        error: Standard error of its estimate, above 0 and in the same unit.
        alpha: Chance of finding one where there is none, between 0 and 1.

    Source:
        Miller 2024, arXiv:2411.00640, section 5; the normal approximation of Cohen 1988, chapter 2.

    >>> round(power_of_difference(0.028, 0.01), 2)
    0.8
    """
    z, shift = NormalDist().inv_cdf(1 - alpha / 2), abs(difference) / error
    return NormalDist().cdf(shift - z) + NormalDist().cdf(-shift - z)


def detectable_difference(error: float, *, alpha: float = 0.05, power: float = USUAL_POWER) -> float:
    """The smallest true difference that a two-sided test finds with a given chance.

    Args:
        error: Standard error of the difference, at the number of items at hand.
        alpha: Chance of finding one where there is none, between 0 and 1.
        power: Chance of finding it, above `alpha` and below 1.

    Source:
        Miller 2024, arXiv:2411.00640, equation 9: (z at 1 - alpha / 2 + z at power) standard errors.

    >>> round(detectable_difference(0.01), 3)
    0.028
    """
    return (NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)) * error


def mcnemar_power(n: int, gained: float, lost: float, *, alpha: float = 0.05) -> float:
    """The chance that McNemar's exact test finds a difference, without approximation.

    Args:
        n: Independent pairs.
        gained: Share of pairs that are right in the second run only, 0 to 1.
        lost: Share that is right in the first only; both add up to more than 0 and at most 1.
        alpha: Level of the two-sided test.

    Source:
        The mean over the binomial number of discordant pairs: Miettinen 1968, doi:10.2307/2528335, section 3.

    >>> round(mcnemar_power(100, 0.15, 0.05), 3)
    0.544
    """
    from scipy.stats import binom

    n_discordant = np.arange(n + 1)
    weights = binom.pmf(n_discordant, n, gained + lost)
    # fewer than this in the smaller cell, and the test rejects
    limit = binom.ppf(alpha / 2, n_discordant, 0.5)
    share = gained / (gained + lost)
    rejects = binom.cdf(limit - 1, n_discordant, share) + binom.sf(n_discordant - limit, n_discordant, share)
    return float(weights @ np.where(limit > 0, rejects, 0.0))
