"""`llamabench demo`: a base model against an aligned one, both toys that come with llamabench, and the comparison."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.completing import DEFAULT_OUT

if TYPE_CHECKING:
    from llamabench.runner import RunOptions
    from llamabench.suites.redteam.suite import RedTeam

_NAMES = ("demo-base", "demo-aligned")
_N_ATTACKS = 60
"""Enough to see what an attack report shows, and few enough for a minute."""


@click.command(short_help="See it work: a base model against an aligned one, toys, nothing to download.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder that receives the runs' own folders.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N items of each suite. [all]")
@click.option("--open/--no-open", "is_opened", default=None, help="Open the comparison. [where there is a screen]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(*, out: Path, limit: int | None, is_opened: bool | None, as_json: bool, quiet: bool) -> int:
    """Run every suite's starter items, and 60 attacks, on two small models, and compare them.

    One was made of the other by alignment. Shows the program at work: the models are toys, and their scores say nothing
    about any other model.

    Example: llamabench demo --out /tmp/runs
    """
    from llamabench import runner
    from llamabench.cli.run import Bar, do_work
    from llamabench.cli.show import write_attacks, write_report

    folders: list[Path] = []
    for name in _NAMES:
        options = _make_options(name, out, limit=limit, reference=folders[0] if folders else None)
        run = do_work(partial(runner.run, options), Bar(quiet=quiet, always_new=False))
        if run is None:
            return 130
        with run:
            write_report(run)
            write_attacks(run)
            folders.append(run.folder)
    report = _compare(folders, as_json=as_json)
    if _has_screen() if is_opened is None else is_opened:
        click.launch(str(report))
    return 0


def _make_options(name: str, out: Path, *, limit: int | None, reference: Path | None) -> RunOptions:
    """Both are asked in the same words, without a chat template, so that they can be compared."""
    from llamabench.data.cache import STARTER
    from llamabench.data.models import find_model
    from llamabench.runner import RunOptions
    from llamabench.suites import SUITES

    found, attacks = find_model(name), choose_attacks()
    return RunOptions(
        found.path,
        tuple(f"{suite}:{STARTER}" for suite in SUITES),
        out,
        name=name,
        limit=limit,
        use_chat=False,
        is_demo=True,
        reference=reference,
        configured={attacks.NAME: attacks},
    )


def choose_attacks() -> RedTeam:
    """The attacks on both models."""
    from llamabench.suites.redteam.suite import AttackOptions, RedTeam

    return RedTeam(AttackOptions(count=_N_ATTACKS))


def _compare(folders: Sequence[Path], *, as_json: bool) -> Path:
    """Shows the comparison of two finished runs; its page."""
    from llamabench.cli.compare import REPORT_NAME, show_comparisons
    from llamabench.comparing import compare_runs
    from llamabench.results.store import Run

    report = folders[-1] / REPORT_NAME
    with ExitStack() as opened:
        runs = [opened.enter_context(Run(folder)) for folder in folders]
        show_comparisons(compare_runs(runs), report, None, as_json=as_json)
    return report


def _has_screen() -> bool:
    """Whether a person sits at a terminal that has a screen to open pages on."""
    has_display = sys.platform == "darwin" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return has_display and sys.stdout.isatty()
