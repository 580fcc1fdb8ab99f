"""A finished or unfinished run on the screen: the table or the JSON document, and the report beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from llamabench.records import RedTeamResults
    from llamabench.results.store import Run


def write_report(run: Run) -> Path:
    """Writes the score report into the run's folder; its path.

    Raises:
        StoreError: It cannot be written.
    """
    from llamabench import evaluating

    return evaluating.write_report(run)


def write_attacks(run: Run) -> RedTeamResults | None:
    """Writes the results of a run's attacks into its folder; None where it has none.

    Raises:
        StoreError: They cannot be read or written.
    """
    from llamabench.results.red_team import FILE_NAME, collect_results, find_choice, write_results

    if find_choice(run) is None:
        return None
    results = collect_results(run)
    write_results(results, run.folder / FILE_NAME)
    return results


def show_run(run: Run, *, as_json: bool) -> None:
    """Writes the report, and the results of attacks; then prints the scores and where the report is."""
    from llamabench.results.export import run_document

    report = write_report(run)
    write_attacks(run)
    if as_json:
        say(json.dumps({**run_document(run), "report": str(report)}, indent=2))
        return

    from llamabench.report.terminal import scores_table
    from llamabench.report.views import build_score_view
    from llamabench.suites import SUITES

    view = build_score_view(run, SUITES)
    console = open_console()
    console.print(scores_table(view))
    for suite in view.suites:
        if suite.audit:
            console.print(f"Audit of {suite.title}: {suite.audit}")
    for banner in view.banners:
        console.print(f"! {banner.text}", style="bold")
    # a path is for copying: never wrapped
    say(f"\nReport: {report}")
