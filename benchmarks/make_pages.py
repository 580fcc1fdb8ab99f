"""Makes every kind of page that llamabench writes, of small runs of the demo models, to be looked at.

    python benchmarks/make_pages.py FOLDER

Writes runs and pages below the folder and prints the pages' paths, one a line: reports of runs over every suite, with
judges, with speeds, with failures, and with nothing in them; attacks, alone, compared and redacted; comparisons of two
models and of three; a site.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from dataclasses import replace
from pathlib import Path

from llamabench.cli.main import run_command_line
from llamabench.data.demo_model import ensure_demo_model
from llamabench.records import ItemRow
from llamabench.results.store import Run
from llamabench.suite_runs import summarise_suite
from llamabench.suites import SUITES

_FEW = ("--limit", "24", "--quiet", "--no-chat")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where runs and pages go")
    folder: Path = parser.parse_args().folder
    make_runs(folder)
    for page in sorted(folder.rglob("*.html")):
        print(page)
    return 0


def make_runs(folder: Path) -> None:
    """Makes runs of every kind, and the pages that they do not write by themselves."""
    demo = folder / "demo"
    call("demo", "--limit", "40", "--no-open", "--quiet", "--out", demo)
    base, aligned = sorted(path.parent for path in demo.glob("*/run.sqlite"))[::-1]
    make_quants(folder / "quants")
    make_judged(folder / "judged")
    call("attacks", aligned, "--compare", base, "--output", folder / "attacks-compared.html")
    call("attacks", aligned, "--redact", "--output", folder / "attacks-redacted.html")
    for name, fail in (("all-failed", 1), ("some-failed", 3)):
        copy_failed(base, folder / name, every=fail)
        call("report", folder / name)
    make_empty(base, folder / "nothing")
    call("report", folder / "nothing")
    call("site", folder / "quants", "--out", folder / "site")


def make_quants(folder: Path) -> None:
    """Three models with speeds, and their comparison."""
    names = ("demo-base", "demo-aligned", "demo-aligned-q4")
    for name in names:
        suites = ("--suite", "truthfulqa_mc", "--suite", "bbq", "--suite", "bold")
        call("run", name, *suites, *_FEW, "--bench", "--out", folder)
    runs = [next(folder.glob(f"{name}-????????")) for name in names]
    call("compare", *runs, "--report", folder / "compare.html", "--markdown", folder / "compare.md", "--quiet")


def make_judged(folder: Path) -> None:
    """A run that a model judged, pairs included."""
    judge = ("--judge", ensure_demo_model(folder), "--judge-format", "rubric")
    suites = [word for name in ("truthfulqa_gen", "alignment", "preference", "redteam") for word in ("--suite", name)]
    call("run", "demo-aligned", *suites, *_FEW, "--out", folder, *judge)
    (run,) = (path.parent for path in folder.glob("*/run.sqlite"))
    call("score", run, "--judge", ensure_demo_model(folder), "--format", "rubric", "--ask", "preferred", "--quiet")


def copy_failed(source: Path, folder: Path, *, every: int) -> None:
    """A copy of a run in which each so manieth item failed, with an error that is long."""
    with Run(source) as run, Run.create(folder, run.info) as copy:
        for choice in run.info.suites:
            rows = [
                fail(row, number) if number % every == 0 else row for number, row in enumerate(run.rows(choice.name))
            ]
            copy.commit_chunk(choice.name, rows, first=0, seconds=3.0)
            summarise_suite(copy, SUITES[choice.name])
        copy.add_event("engine", "The process that held the model ended (signal 6), and was started again.")
        copy.finish()


def fail(row: ItemRow, number: int) -> ItemRow:
    error = (
        f"llama.cpp: failed to decode, ret = -3: {'no memory slot is free; ' * 12}" if number % 2 else "out of memory"
    )
    exchanges = tuple(replace(one, answers=()) for one in row.exchanges)
    return replace(row, outcome="errored", values={}, error=error, exchanges=exchanges)


def make_empty(source: Path, folder: Path) -> None:
    """A run that was begun, and no more."""
    with Run(source) as run:
        Run.create(folder, run.info).close()


def call(*words: str | Path) -> None:
    """Runs a command of llamabench.

    Raises:
        SystemExit: It failed.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        code = run_command_line([str(word) for word in words])
    if code:
        raise SystemExit(f"llamabench {words[0]} ended with exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
