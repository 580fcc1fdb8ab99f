"""`llamabench attacks`: the report of a red-team run, alone or beside another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.completing import complete_runs
from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from llamabench.records import RedTeamResults
    from llamabench.report.attack_views import AttacksView, ReportOptions

REPORT_NAME = "attack_report.html"
COMPARISON_NAME = "attack_comparison.html"
SEVERE = 0.7
"""Severity from which an attack is counted as severe, unless somebody says otherwise."""

threshold_option = click.option(
    "--severity-threshold",
    "threshold",
    type=click.FloatRange(0, 1),
    default=SEVERE,
    show_default=True,
    metavar="T",
    help="Severity from which an attack is counted as severe.",
)


@click.command(short_help="Report what got past a model, and how bad it was.")
@click.argument("results", type=click.Path(path_type=Path), shell_complete=complete_runs)
@threshold_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Page to write. [{REPORT_NAME} beside the results, or {COMPARISON_NAME}]",
)
@click.option(
    "--compare",
    "other",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    shell_complete=complete_runs,
    help="Another run's results.",
)
@click.option("--redact", "is_redacted", is_flag=True, help="Leave out what the model said, to pass the page on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the tables.")
def command(
    results: Path, *, threshold: float, output: Path | None, other: Path | None, is_redacted: bool, as_json: bool
) -> int:
    """Report the attacks in RESULTS, a red_team_results.json or a run's folder.

    The page shows which techniques and categories get through, how severe the answers are, and what was said;
    answers that may hurt are blurred until you ask for them, and --redact leaves all answers out. With --compare it
    shows which attacks newly succeed, and which no longer do, beside the same attacks on OTHER, in a page of its own.

    Example: llamabench attacks llamabench-runs/model-1a2b3c4d
    """
    from llamabench.results.red_team import read_results

    found = read_results(results)
    options = replace(
        make_options(threshold), is_redacted=is_redacted, other=None if other is None else read_results(other)
    )
    folder = results if results.is_dir() else results.parent
    name = REPORT_NAME if other is None else COMPARISON_NAME
    _show(found, options, path=output or folder / name, as_json=as_json)
    return 0


def make_options(threshold: float) -> ReportOptions:
    """How a report of attacks is made, unless more is asked for: their techniques by their titles."""
    from llamabench.report.attack_views import ReportOptions
    from llamabench.suites.redteam.mutators import TECHNIQUES

    return ReportOptions(threshold, {name: technique.title for name, technique in TECHNIQUES.items()})


def write_attack_page(view: AttacksView, path: Path) -> None:
    """Writes a report of attacks.

    Raises:
        StoreError: It cannot be written.
    """
    from llamabench.errors import StoreError
    from llamabench.report.render import render_attacks, write_page

    try:
        write_page(render_attacks(view), path)
    except OSError as exc:
        raise StoreError(
            f"The report {path} cannot be written: {exc.strerror}. "
            "Name another place with --output of `llamabench attacks`."
        ) from exc


def _show(results: RedTeamResults, options: ReportOptions, *, path: Path, as_json: bool) -> None:
    """Writes the page, then prints the rates and where the page is."""
    from llamabench.hidden import show_hidden
    from llamabench.report.attack_document import attacks_document
    from llamabench.report.attack_terminal import attack_tables
    from llamabench.report.attack_views import build_attacks_view

    view = build_attacks_view(results, options)
    write_attack_page(view, path)
    if as_json:
        say(json.dumps({**attacks_document(results, options), "report": str(path)}, indent=2))
        return

    console = open_console()
    console.print(attack_tables(view))
    for banner in view.banners:
        console.print(f"! {banner.title}. {banner.text}", style="bold")
    for warning in view.comparison.warnings if view.comparison else ():
        console.print(f"! {show_hidden(warning)}", style="bold")
    # a path is for copying: never wrapped
    say(f"\nReport: {path}")
