"""How much memory there is and how much may be taken: the system's own figures, within the control group's limits.

psutil knows nothing of control groups (psutil #2100), and a container that passes its limit is killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import psutil

from llamabench.hardware.cgroup import controller_folders, read_number, unified_folders

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of main memory: what this process may use at most, what can be taken without swapping, what is installed.

    Attributes:
        total_bytes: Installed memory, or a control group's limit where that is less.
        available_bytes: What can be taken without swapping, within the limit.
        installed_bytes: Installed memory.
        swap_used_bytes: What is swapped out.
    """

    total_bytes: int
    available_bytes: int
    installed_bytes: int
    swap_used_bytes: int = 0


class _Limit(NamedTuple):
    """Bytes that a control group allows, and those that it leaves."""

    most_bytes: int
    left_bytes: int


def read_memory(root: Path) -> Memory:
    """Reads the memory that this process may use.

    Args:
        root: Where `/proc` and `/sys` are looked for; without `/proc/meminfo`, psutil is asked.

    Returns:
        The least of what the system and each enclosing control group have.
    """
    meminfo = root / "proc/meminfo"
    system = parse_meminfo(meminfo.read_text(encoding="ascii", errors="replace")) if meminfo.is_file() else None
    if system is None:
        virtual = psutil.virtual_memory()
        system = Memory(virtual.total, virtual.available, virtual.total, psutil.swap_memory().used)
    limits = [_Limit(system.total_bytes, system.available_bytes), *_group_limits(root)]
    return replace(
        system,
        total_bytes=min(limit.most_bytes for limit in limits),
        available_bytes=min(limit.left_bytes for limit in limits),
    )


def read_available_bytes() -> int:
    """Bytes of main memory that can be taken without swapping, at this moment."""
    return read_memory(Path("/")).available_bytes


def parse_meminfo(text: str) -> Memory | None:
    r"""Reads `/proc/meminfo`.

    >>> parse_meminfo("MemTotal: 2048 kB\nMemAvailable: 1024 kB\n")
    Memory(total_bytes=2097152, available_bytes=1048576, installed_bytes=2097152, swap_used_bytes=0)

    Args:
        text: The file.

    Returns:
        The memory, None where a figure is missing.
    """
    figures = _parse_figures(text.replace(":", " "))
    if "MemTotal" not in figures or "MemAvailable" not in figures:
        return None
    total = figures["MemTotal"] * _KIB
    swapped = figures.get("SwapTotal", 0) - figures.get("SwapFree", 0)
    return Memory(total, figures["MemAvailable"] * _KIB, total, swapped * _KIB)


def _group_limits(root: Path) -> Iterator[_Limit]:
    """The limit of each enclosing control group that has one, and what it leaves."""
    for folder in unified_folders(root):
        yield from _limit(folder, limit="memory.max", usage="memory.current", reclaimable="inactive_file")
    for folder in controller_folders(root, "memory"):
        yield from _limit(
            folder, limit="memory.limit_in_bytes", usage="memory.usage_in_bytes", reclaimable="total_inactive_file"
        )


def _limit(folder: Path, *, limit: str, usage: str, reclaimable: str) -> Iterator[_Limit]:
    """A group's limit; file pages that were not used of late count as free, because they are dropped when needed."""
    most, used = read_number(folder / limit), read_number(folder / usage)
    if most is None or used is None:
        return
    stat = folder / "memory.stat"
    figures = _parse_figures(stat.read_text(encoding="ascii", errors="replace")) if stat.is_file() else {}
    yield _Limit(most, max(most - used + figures.get(reclaimable, 0), 0))


def _parse_figures(text: str) -> dict[str, int]:
    """Lines of a name and a number, as `/proc/meminfo` and `memory.stat` have them."""
    words = (line.split() for line in text.splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) >= 2 and word[1].isdecimal()}
