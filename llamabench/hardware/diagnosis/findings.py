"""What a finding is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from llamabench.hardware.installation import Installation
from llamabench.hardware.rebuilding import Remedy, Toolbox

Level = Literal["ok", "note", "warning", "problem"]
"""How much it matters: as it should be, good to know, costs speed or may fail, something important is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How much it matters.
        subject: What was looked at, in a word or two.
        found: What was found, in a sentence.
        advice: What to do, where something is to be done.
        command: A command that does it.
    """

    level: Level
    subject: str
    found: str
    advice: str | None = None
    command: str | None = None


def from_remedy(level: Level, subject: str, remedy: Remedy) -> Finding:
    """The finding that a remedy is for."""
    return Finding(level, subject, remedy.found, remedy.advice, remedy.command)


def toolbox_of(installation: Installation) -> Toolbox:
    """What a new build of llama-cpp-python can be made with."""
    return Toolbox(pip_of(installation), installation.requirement, installation.tools)


def pip_of(installation: Installation) -> str:
    """How pip of the Python that runs is called."""
    return f"{shlex.quote(installation.executable)} -m pip"
