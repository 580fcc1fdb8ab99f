"""`llamabench recover`: what can be read of a damaged run, in a fresh file."""

from __future__ import annotations

from pathlib import Path

import click

from llamabench.cli.completing import complete_runs
from llamabench.cli.screen import say


@click.command(short_help="Save what can be read of a damaged run.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def command(run: Path, *, as_json: bool) -> int:
    """Save what can be read of RUN, a run's folder whose file is damaged, and print the scores of what is left.

    The fresh file takes the damaged one's place, which is kept beside it under another name. Every item that is
    saved is as it was stored; what is lost is named. The command that made the run does the same, and asks again what
    is lost.

    Example: llamabench recover llamabench-runs/model-1a2b3c4d
    """
    from llamabench.cli.show import show_run
    from llamabench.recovering import recover

    told: list[str] = []
    with recover(run, say=told.append) as stored:
        for text in told or ["Every page and every item of the run was read: nothing is damaged."]:
            say(text, err=True)
        show_run(stored, as_json=as_json)
    return 0
