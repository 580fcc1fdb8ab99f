"""How many threads are worth running: physical performance cores that this process may use.

More threads than that are slower, not faster: logical cores cost a factor of up to 3.6 (llama.cpp #19110).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from llamabench.hardware.cgroup import controller_folders, read_number, unified_folders

_CPUS = "sys/devices/system/cpu"
_CAPACITY_SHARE = 0.5  # an ARM core counts from half the largest core's capacity; little ones have a quarter or so


class CoreKinds(NamedTuple):
    """Physical cores that a process may run on, each kind apart."""

    n_performance: int
    n_efficiency: int

    @property
    def is_confined(self) -> bool:
        """Whether only efficiency cores are allowed."""
        return self.n_performance == 0


def count_performance_cores(root: Path, *, affinity: frozenset[int] | None, fallback: int) -> int:
    """Counts the physical performance cores that this process may run on.

    Args:
        root: Where `/proc` and `/sys` are looked for.
        affinity: Logical processors that the process may run on, None where the system does not say.
        fallback: Physical cores of the machine, for systems without `/sys`.

    Returns:
        Cores, at least 1; capped by the CPU quota of the control groups, rounded down, because threads that are
        stopped in mid-batch keep the others waiting.
    """
    kinds = count_by_kind(root, affinity)
    if kinds is None:
        n_cores = min(fallback, len(affinity)) if affinity else fallback
    else:
        n_cores = kinds.n_performance or kinds.n_efficiency
    return max(min([n_cores, *(math.floor(quota) for quota in _quotas(root))]), 1)


def count_by_kind(root: Path, affinity: frozenset[int] | None) -> CoreKinds | None:
    """Counts the physical cores that this process may run on, each kind apart.

    Args:
        root: Where `/sys` is looked for.
        affinity: Logical processors that the process may run on, None where the system does not say.

    Returns:
        The cores, None where the kernel does not describe them. Cores that are all alike are performance cores.
    """
    siblings = {
        int(path.parent.parent.name.removeprefix("cpu")): path.read_text(encoding="ascii").strip()
        for path in (root / _CPUS).glob("cpu[0-9]*/topology/thread_siblings")
    }
    allowed = siblings.keys() if affinity is None else siblings.keys() & affinity
    if not allowed:
        return None
    fast = _performance_cpus(root) or siblings.keys()
    return CoreKinds(
        n_performance=len({siblings[cpu] for cpu in allowed & fast}),
        n_efficiency=len({siblings[cpu] for cpu in allowed - fast}),
    )


def read_quota(root: Path) -> float | None:
    """Processors' worth of time that the tightest control group allows, None without a limit."""
    return min(_quotas(root), default=None)


def parse_cpu_list(text: str) -> frozenset[int]:
    """Reads the kernel's notation for sets of processors.

    >>> sorted(parse_cpu_list("0-2,5"))
    [0, 1, 2, 5]

    Args:
        text: Numbers and ranges, separated by commas.

    Returns:
        The numbers; whatever is neither a number nor a range is left out.
    """
    cpus: set[int] = set()
    for piece in text.strip().split(","):
        first, _, last = piece.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def _performance_cpus(root: Path) -> frozenset[int]:
    """Logical processors of performance cores; empty where all cores are alike."""
    intel_hybrid = root / "sys/devices/cpu_core/cpus"
    if intel_hybrid.is_file():
        return parse_cpu_list(intel_hybrid.read_text(encoding="ascii"))
    capacities = {
        int(path.parent.name.removeprefix("cpu")): read_number(path) or 0
        for path in (root / _CPUS).glob("cpu[0-9]*/cpu_capacity")
    }
    least = max(capacities.values(), default=0) * _CAPACITY_SHARE
    return frozenset(cpu for cpu, capacity in capacities.items() if capacity >= least)


def _quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time that each enclosing control group allows, where it sets a limit."""
    for folder in unified_folders(root):
        path = folder / "cpu.max"
        words = path.read_text(encoding="ascii").split() if path.is_file() else []
        if len(words) == 2 and words[0].isdecimal() and int(words[1]) > 0:
            yield int(words[0]) / int(words[1])
    for folder in controller_folders(root, "cpu"):
        quota, period = read_number(folder / "cpu.cfs_quota_us"), read_number(folder / "cpu.cfs_period_us")
        if quota and period and quota > 0 and period > 0:
            yield quota / period
