"""Optional parts of llamabench, as its own metadata have them: what each asks for, and the command that adds it."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OF_DEVELOPERS = "dev"
_SOURCES = Path(__file__).parents[1]


def read_requirements() -> list[Requirement]:
    """What this llamabench asks for, its extras included; nothing where it is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("llamabench") or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    return [Requirement(line) for line in lines]


def read_extras() -> dict[str, tuple[Requirement, ...]]:
    """Each extra but that of developers, and what it asks for; nothing where llamabench is not installed."""
    optional = [entry for entry in read_requirements() if entry.marker and not entry.marker.evaluate({"extra": ""})]
    names = importlib.metadata.metadata("llamabench").get_all("Provides-Extra") or [] if optional else []
    return {name: tuple(_asked_by(name, optional)) for name in names if name != _OF_DEVELOPERS}


def _asked_by(extra: str, optional: list[Requirement]) -> Iterator[Requirement]:
    return (entry for entry in optional if entry.marker is not None and entry.marker.evaluate({"extra": extra}))


def pip_command(extra: str) -> str:
    """The command that adds an extra to the Python that runs, from a checkout and from anywhere else.

    Args:
        extra: One of those in `setup.cfg`.
    """
    words = [f"{entry.name}{entry.specifier}" for entry in read_extras().get(extra, ())]
    if not words:
        # sources that are newer than what pip wrote of them, or that were never installed
        words = ["-e", f"{_SOURCES}[{extra}]"] if (_SOURCES / "setup.cfg").is_file() else [f"llamabench[{extra}]"]
    return f"{shlex.quote(sys.executable)} -m pip install {shlex.join(words)}"
