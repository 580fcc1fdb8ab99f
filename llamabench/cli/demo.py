"""`llamabench demo`: every suite on a model made on the spot."""

from __future__ import annotations

from pathlib import Path

import click

from llamabench.cli.run import DEFAULT_OUT

_ITEMS_PER_SUITE = 30
"""Enough to see what a report shows, and few enough for a minute on two cores."""


@click.command(short_help="See it work: every suite on an untrained model, nothing to download.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder that receives the run's own folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(*, out: Path, as_json: bool, quiet: bool) -> int:
    """Run some of every suite's starter items on a small model with random weights.

    Shows the program at work. The scores are those of guessing and say nothing about any model.

    Example: llamabench demo --out /tmp/runs
    """
    from llamabench.cli.run import run_and_show
    from llamabench.data.cache import STARTER
    from llamabench.data.models import find_model
    from llamabench.runner import RunOptions
    from llamabench.suites import SUITES

    found = find_model("demo")
    suites = tuple(f"{name}:{STARTER}" for name in SUITES)
    options = RunOptions(
        found.path, suites, out, limit=_ITEMS_PER_SUITE, chat_template=found.chat_template, is_demo=True
    )
    return run_and_show(options, as_json=as_json, quiet=quiet)
