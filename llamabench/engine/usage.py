"""What this process has taken of the machine: memory, and bytes from the disk."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_IO = Path("/proc/self/io")
_KIB = 1024


def read_resident_bytes() -> int:
    """Memory that the process holds now, mapped pages of files included."""
    return int(psutil.Process().memory_info().rss)


def read_peak_bytes(status: Path = _STATUS) -> int:
    """The most memory that the process has held since it began, mapped pages of files included.

    Args:
        status: The kernel's account of the process; where there is none, the system's own is asked. `getrusage` is
            not, on Linux: its figure is the parent's where that was larger.
    """
    for line in _read_lines(status):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


def read_disk_bytes(io: Path = _IO) -> int | None:
    """Bytes that came from a disk for this process since it began; what was in memory already is not among them.

    Args:
        io: The kernel's account of the process.

    Returns:
        None where the system keeps no such account.
    """
    for line in _read_lines(io):
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    return None


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
