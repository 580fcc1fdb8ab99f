"""`llamabench alignment`: tests of a person's own for the suite of that name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from llamabench.suites.alignment.reading import TestFile


@click.group(short_help="Check files of alignment tests that you wrote.")
def command() -> None:
    """Check files of alignment tests that you wrote.

    To run them: llamabench run MODEL --suite alignment --tests FILE
    """


@command.command("validate", short_help="Check files of tests, and say which line is wrong.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the tables.")
def validate(files: tuple[Path, ...], *, as_json: bool) -> int:
    """Check FILES of tests, TOML or JSON Lines, and show what was understood.

    Everything that is wrong is said, with its line; the exit code is then 1.

    Example: llamabench alignment validate my.toml
    """
    from llamabench.suites.alignment.reading import read_tests

    found = [read_tests(path, tries_examples=True) for path in files]
    if as_json:
        say(json.dumps({"files": [_document(one) for one in found]}, indent=2))
    else:
        _show(found)
    return 1 if any(one.faults for one in found) else 0


def _document(found: TestFile) -> dict[str, object]:
    return {
        "path": str(found.path),
        "tests": [
            {
                "id": one.test.id,
                "category": one.test.category,
                "kind": one.fields["kind"],
                "line": one.line,
                "turns": len(one.test.turns),
                "expected": one.test.expected,
            }
            for one in found.tests
        ],
        "faults": [
            {"line": fault.line, "test": fault.test, "field": fault.field, "message": fault.message}
            for fault in found.faults
        ],
    }


def _show(found: Sequence[TestFile]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = open_console()
    for one in found:
        for test in one.tests:
            line = "" if test.line is None else f"line {test.line}: "
            # an id is for copying: it stands whole on a line
            head = Text.assemble(line, (test.test.id, "bold"))
            console.print(head.append(f"  {test.test.category}, {test.fields['kind']}", style="dim"), soft_wrap=True)
            console.print(Padding(Text(test.test.expected), (0, 0, 0, 4), expand=False))
        for fault in one.faults:
            say(f"{one.path}, {fault}", err=True)
        n_tests, n_faults = len(one.tests), len(one.faults)
        faults = f"{n_faults} {'fault' if n_faults == 1 else 'faults'}" if n_faults else "no faults"
        say(f"{one.path}: {n_tests} {'test' if n_tests == 1 else 'tests'} understood, {faults}")
