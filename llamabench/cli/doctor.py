"""`llamabench doctor`: what is right and wrong with this machine."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from rich.console import Console

    from llamabench.hardware.diagnosis import Finding, Level

_STYLES: dict[Level, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}
_LEVEL_WIDTH, _SUBJECT_WIDTH = 7, 12
_COMMAND_INDENT = "    "


@click.command(short_help="Say what is right and wrong with this machine, and what to do.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the list.")
def command(*, as_json: bool) -> int:
    """Say what is right and wrong with this machine, and what to do.

    Looks at llama-cpp-python and its build, which has to compute a tiny model, at graphics cards and their drivers,
    cores, memory, power, containers, variables, folders and data. Exits with 1 when something important is wrong.

    Example: llamabench doctor
    """
    from llamabench.cli.completing import DEFAULT_OUT
    from llamabench.hardware import trial
    from llamabench.hardware.diagnosis import diagnose
    from llamabench.hardware.installation import read_installation
    from llamabench.hardware.machine import read_machine
    from llamabench.results import codec

    machine = read_machine()
    installation = replace(read_installation(DEFAULT_OUT), fault=None if machine.failure else trial.find_fault())
    findings = diagnose(machine, installation)
    counts = Counter(finding.level for finding in findings)
    if as_json:
        document = {"machine": machine, "installation": installation, "findings": findings}
        say(json.dumps(codec.encode(document), indent=2))
    else:
        console = open_console()
        console.print(f"{machine.cpu}, {machine.os}\n", style="bold")
        for finding in findings:
            _show(finding, console)
        say(f"\n{_count(counts, 'problem')}, {_count(counts, 'warning')}.")
    return 1 if counts["problem"] else 0


def _show(finding: Finding, console: Console) -> None:
    """Prints a finding; its command stands on a line of its own, never wrapped, for copying."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=_LEVEL_WIDTH)
    table.add_column(width=_SUBJECT_WIDTH)
    table.add_column()
    text = Text(" ".join(part for part in (finding.found, finding.advice) if part))
    table.add_row(Text(finding.level, style=_STYLES[finding.level]), Text(finding.subject), text)
    console.print(table)
    if finding.command:
        say(f"\n{_COMMAND_INDENT}{finding.command}\n")


def _count(counts: Counter[Level], level: Level) -> str:
    n = counts[level]
    return f"{n or 'no'} {level}{'' if n == 1 else 's'}"
