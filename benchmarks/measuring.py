"""What every speed measurement here shares: repeats with their doubt, and targets that are met or not.

Not covered: what a virtual machine's host does without saying so, and clocks that slow down in the heat.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import psutil

QUIET_SHARE = 0.05
"""Most of the machine's processor time that others may use while something is timed."""

_QUIET_WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """A number to reach, or with `at_most` one not to exceed."""

    name: str
    value: float
    target: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether it is reached; a number that is none is not."""
        return self.value <= self.target if self.at_most else self.value >= self.target

    def line(self) -> str:
        """Name, value, target and `ok` or `below`, tab-separated; the value is rounded to its disadvantage.

        >>> Target("speed", 1.9999, 2).line().split()
        ['speed', '1.999', '2', 'below']
        """
        away = math.ceil if self.at_most else math.floor
        shown = f"{away(self.value * 1000) / 1000:.3f}" if math.isfinite(self.value) else str(self.value)
        return f"{self.name}\t{shown}\t{self.target:g}\t{'ok' if self.is_met else 'below'}"


class OthersWatch:
    """Sees how much of the machine's processor time others use: processes that are not ours, and the host."""

    def __init__(self) -> None:
        self._start = _read_times()

    def share(self) -> float:
        """Others' share since the start, 0 to 1."""
        times, start = _read_times(), self._start
        elapsed_s = times.machine_s - start.machine_s
        others_s = (times.busy_s - start.busy_s) - (times.own_s - start.own_s)
        return max(others_s, 0) / elapsed_s if elapsed_s else 0.0


@dataclass(frozen=True, slots=True)
class _Times:
    """Processor seconds: of all processors together, of those at work, and of this process with its descendants."""

    machine_s: float
    busy_s: float
    own_s: float


def _read_times() -> _Times:
    times = psutil.cpu_times()._asdict()
    counted = [value for name, value in times.items() if not name.startswith("guest")]  # part of user and nice
    idle_s = times["idle"] + times.get("iowait", 0)
    own_s = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            own_s += sum(process.cpu_times()[:4])  # with those of descendants that have ended
        except psutil.Error:
            continue
    return _Times(sum(counted), sum(counted) - idle_s, own_s)


def wait_until_quiet(limit_s: float) -> None:
    """Waits until others leave the machine alone for two seconds, or until the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        watch = OthersWatch()
        time.sleep(_QUIET_WINDOW_S)
        if watch.share() <= QUIET_SHARE:
            return
