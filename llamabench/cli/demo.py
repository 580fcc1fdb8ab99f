"""`llamabench demo`: a base model against an aligned one, both toys that come with llamabench."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.run import DEFAULT_OUT

if TYPE_CHECKING:
    from llamabench.runner import RunOptions

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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the tables.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(*, out: Path, limit: int | None, as_json: bool, quiet: bool) -> int:
    """Run every suite's starter items, and 60 attacks, on two small models, one made of the other by alignment.

    Shows the program at work. The models are toys, and their scores say nothing about any other model.
    """
    from llamabench import runner
    from llamabench.cli.run import Bar, do_work

    folders: list[Path] = []
    for name in _NAMES:
        options = _make_options(name, out, limit=limit, reference=folders[0] if folders else None)
        run = do_work(partial(runner.run, options), Bar(quiet=quiet, always_new=False))
        if run is None:
            return 130
        with run:
            folders.append(run.folder)
    _show(folders, as_json=as_json)
    return 0


def _make_options(name: str, out: Path, *, limit: int | None, reference: Path | None) -> RunOptions:
    """Both are asked in the same words, without a chat template, so that they can be compared."""
    from llamabench.data.cache import STARTER
    from llamabench.data.models import find_model
    from llamabench.runner import RunOptions
    from llamabench.suites import SUITES
    from llamabench.suites.redteam.suite import AttackOptions, RedTeam

    found, attacks = find_model(name), RedTeam(AttackOptions(count=_N_ATTACKS))
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


def _show(folders: Sequence[Path], *, as_json: bool) -> None:
    """Writes the reports of finished runs and prints their scores."""
    from llamabench.cli.show import show_run, write_report
    from llamabench.results.export import run_document
    from llamabench.results.store import Run

    documents = []
    for folder in folders:
        with Run(folder) as run:
            if as_json:
                documents.append({**run_document(run), "report": str(write_report(run))})
            else:
                show_run(run, as_json=False)
    if as_json:
        click.echo(json.dumps({"runs": documents}, indent=2))
