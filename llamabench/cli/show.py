"""A finished or unfinished run on the screen: the table or the JSON document, and the report beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llamabench.cli.attacks import REPORT_NAME, SEVERE, make_options, write_attack_page
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


class WrittenAttacks(NamedTuple):
    """The attacks of a run, and where their report is; None where none has come to its end yet."""

    results: RedTeamResults
    page: Path | None


def write_attacks(run: Run, threshold: float = SEVERE) -> WrittenAttacks | None:
    """Writes the results of a run's attacks, and the report of them, into its folder; None where it has none.

    Args:
        run: The run, finished or not.
        threshold: Severity from which the report counts an attack as severe.

    Raises:
        StoreError: They cannot be read or written.
    """
    from llamabench.report.attack_views import build_attacks_view
    from llamabench.results.red_team import FILE_NAME, collect_results, find_choice, write_results

    if find_choice(run) is None:
        return None
    results = collect_results(run)
    write_results(results, run.folder / FILE_NAME)
    if not results.attacks:
        return WrittenAttacks(results, None)
    page = run.folder / REPORT_NAME
    write_attack_page(build_attacks_view(results, make_options(threshold)), page)
    return WrittenAttacks(results, page)


def show_run(run: Run, *, as_json: bool) -> None:
    """Prints the scores, writes the reports and the results of attacks, and prints where the reports are.

    Raises:
        StoreError: A report cannot be written; the table has been printed then.
    """
    if not as_json:
        _print_scores(run)
    report = write_report(run)
    attacks = write_attacks(run)
    page = None if attacks is None else attacks.page
    if as_json:
        from llamabench.results.export import run_document

        more = {} if page is None else {"attack_report": str(page)}
        say(json.dumps({**run_document(run), "report": str(report), **more}, indent=2))
        return
    # paths are for copying: never wrapped
    say(f"\nReport: {report}")
    if page is not None:
        say(f"Attacks: {page}")


def _print_scores(run: Run) -> None:
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
