"""Clocks on the wall may be set, and machines sleep: nothing that is timed may notice."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "llamabench"

WALL_CLOCKS = {"time.time", "time.time_ns", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today"}

SHOWN_ONLY = {"cli/main.py", "results/store.py"}
"""Files that write down when something was, for people to read: the name of a log, and the times of a run's events."""


def test_the_wall_clock_is_read_to_be_shown_and_for_nothing_else() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL_CLOCKS
    }
    assert readers == SHOWN_ONLY
