"""What repeated measurements say and how far they are to be trusted: pure functions from numbers to words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from llamabench.records import Speed

SPREAD, OUTLIER = 0.10, 0.50
"""From which share of the mean on a spread, or a single repeat, is worth a warning. Source: pyperf, `format_checks`."""

_FALL = 0.10
"""From which share of the first speed on a slow-down is worth a warning; llama-bench's own noise is below it."""

_WINDOW_S = 60.0
_LEAST_REPEATS = 3
_ROUNDING = 1e-9  # three equal repeats are three windows, whatever their sum's last digit


class Summary(NamedTuple):
    """Mean and standard deviation of repeats; the latter is None for a single one."""

    mean: float
    stdev: float | None
    n: int


class Drift(NamedTuple):
    """How speed changed from the first to the last part of some seconds of work; below 0 it fell."""

    change: float
    seconds: float
    window_s: float

    @property
    def is_fall(self) -> bool:
        """Whether it fell by so much that it matters."""
        return self.change <= -_FALL


def summarise(values: Sequence[float]) -> Summary:
    """Makes mean and sample standard deviation, as llama-bench does: over the speeds of the repeats.

    Args:
        values: One for each repeat, at least one.

    Raises:
        ValueError: There are none.

    >>> summarise([100.0, 102.0, 98.0])
    Summary(mean=100.0, stdev=2.0, n=3)
    """
    if not values:
        raise ValueError("There are no repeats to summarise.")
    stdev = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), stdev, len(values))


def find_doubts(name: str, repeats: Sequence[float]) -> list[str]:
    """Says what makes repeats doubtful, and what to do; nothing when they are steady or a single one.

    Args:
        name: What was measured.
        repeats: One positive number for each repeat.
    """
    if len(repeats) < 2:
        return []
    mean, stdev, _ = summarise(repeats)
    doubts = []
    spread = (stdev or 0.0) / mean
    if spread >= SPREAD:
        doubts.append(
            f"{name}: the repeats spread by {spread:.0%} of their mean. Quieten the machine, or take more repeats."
        )
    worst = max(abs(value - mean) / mean for value in repeats)
    if worst >= OUTLIER:
        doubts.append(f"{name}: one repeat is {worst:.0%} off the mean. Something else was running; measure again.")
    return doubts


def measure_drift(seconds: Sequence[float]) -> Drift | None:
    """Compares the speed of the last minute with that of the first; of shorter work, the last third with the first.

    Of each the median repeat counts: one that something disturbed is no drift.

    Args:
        seconds: Length of each repeat of the same work, in order and without a pause.

    Returns:
        The change; None where the repeats are too few to tell.
    """
    total = sum(seconds)
    window = min(_WINDOW_S, total / 3)
    first, last = _reach(seconds, window), _reach(seconds[::-1], window)
    if len(seconds) < _LEAST_REPEATS or first + last > len(seconds):
        return None
    change = statistics.median(seconds[:first]) / statistics.median(seconds[-last:]) - 1
    return Drift(change, total, window)


def _reach(seconds: Sequence[float], window: float) -> int:
    """How many repeats, from the first on, it takes to fill a window."""
    passed = 0.0
    for n, length in enumerate(seconds, start=1):
        passed += length
        if passed >= window * (1 - _ROUNDING):
            return n
    return len(seconds)


def warn_of_drift(name: str, drift: Drift) -> str | None:
    """What to say of a slow-down, None where there is none.

    Args:
        name: What was measured.
        drift: How its speed changed.
    """
    if not drift.is_fall:
        return None
    return (
        f"{name}: {-drift.change:.0%} slower at the end of {drift.seconds:.0f} s than at their beginning. The machine "
        "gets too hot, saves power or has other work: give it air and mains, and expect the lower speed in long runs."
    )


def find_drift(speed: Speed) -> Drift | None:
    """How generation changed over the repeats of its test and those that followed; None where it cannot be told."""
    if speed.sustained is None:
        return None
    before = [timing.seconds for timing in speed.timings if timing.test == speed.sustained.test]
    return measure_drift([*(before[0] if before else ()), *speed.sustained.seconds])


def find_warnings(speed: Speed) -> list[str]:
    """What a reader of a measured speed must know: repeats that disagree, and a machine that slows down."""
    warnings = [doubt for timing in speed.timings for doubt in find_doubts(timing.test.name, timing.tokens_per_s)]
    drift = find_drift(speed)
    if speed.sustained is not None and drift is not None:
        fall = warn_of_drift(speed.sustained.test.name, drift)
        warnings += [] if fall is None else [fall]
    return warnings
