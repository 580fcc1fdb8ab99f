"""`llamabench report`: the report and the table of a run that is on disk."""

from __future__ import annotations

from pathlib import Path

import click

from llamabench.cli.completing import complete_runs


@click.command(short_help="Write a run's report again and print its scores.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def command(run: Path, *, as_json: bool) -> int:
    """Write the report of RUN, a run's folder, again and print its scores.

    Example: llamabench report llamabench-runs/model-1a2b3c4d
    """
    from llamabench.cli.show import show_run
    from llamabench.results.store import Run

    with Run(run) as stored:
        show_run(stored, as_json=as_json)
    return 0
