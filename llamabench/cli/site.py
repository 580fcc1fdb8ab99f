"""`llamabench site`: a folder of runs as a leaderboard of static pages."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.screen import say

if TYPE_CHECKING:
    from llamabench.results.store import Run


@click.command(short_help="Turn a folder of runs into a leaderboard of static pages.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the pages. [DIR/site]")
@click.option("--json", "as_json", is_flag=True, help="Print the leaderboard as one JSON document instead of its path.")
def command(folder: Path, *, out: Path | None, as_json: bool) -> int:
    """Turn DIR, a folder of runs, into a leaderboard of static pages that open anywhere and load nothing.

    Scores stand in one column only where they were asked in the same way.

    Example: llamabench site llamabench-runs --out public
    """
    from llamabench.errors import StoreError
    from llamabench.report.render import write_site
    from llamabench.report.site_views import SiteRun, build_site
    from llamabench.suites import SUITES

    target = out or folder / "site"
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(run) for run in _open_runs(folder)]
        if not runs:
            raise StoreError(
                f"There is no run in {folder}. A run is a folder with a run.sqlite, made by `llamabench run`."
            )
        try:
            (target / "runs").mkdir(parents=True, exist_ok=True)
            placed = [SiteRun(run, _write_report(run, target)) for run in runs]
            ways = {
                name: {measure.name: measure.better for measure in suite.MEASURES} for name, suite in SUITES.items()
            }
            view = build_site(placed, SUITES, ways)
            index = write_site(view, target)
        except OSError as exc:
            raise StoreError(f"{target} cannot be written: {exc.strerror or exc}. Choose another --out.") from exc
    if as_json:
        import json
        from dataclasses import asdict

        say(json.dumps(asdict(view) | {"index": str(index)}, indent=2))
    else:
        say(str(index))
    return 0


def _open_runs(folder: Path) -> list[Run]:
    """The runs in a folder; those that cannot be read are told of and left out."""
    from llamabench.errors import StoreError
    from llamabench.results.store import Run, holds_run

    found = []
    for path in sorted([folder, *folder.iterdir()]):
        if not holds_run(path):
            continue
        try:
            found.append(Run(path))
        except StoreError as exc:
            say(f"Left out: {exc}", err=True)
    return found


def _write_report(run: Run, target: Path) -> str:
    """Writes a run's report into the site; its place there."""
    from llamabench.report.render import write_score_report
    from llamabench.suites import SUITES

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", run.folder.resolve().name).strip("-.") or "run"
    page = f"runs/{name}.html"
    write_score_report(run, target / page, suites=SUITES)
    return page
