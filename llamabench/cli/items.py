"""`llamabench items`: prompts, answers and log-probabilities of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.completing import complete_runs, suite_option
from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from llamabench.records import ItemRow
    from llamabench.results.store import Run

_PROMPT_CHARS = 600


@click.command(short_help="Look at the items of a run: prompts, answers, log-probabilities.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@suite_option("Suite to show; repeat for several. [all]", "NAME")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="Category to show; repeat. [all]")
@click.option(
    "--outcome",
    type=click.Choice(["scored", "unparsed", "errored"]),
    help="Show items that ended so. [all]",
)
@click.option(
    "--flipped-against",
    type=click.Path(path_type=Path),
    metavar="RUN",
    shell_complete=complete_runs,
    help="Show items that are on the other side of a main score than in this run.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Most items to show. [all]")
@click.option("--full", is_flag=True, help="Show long texts whole.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line instead of text.")
def command(
    run: Path,
    *,
    suites: tuple[str, ...],
    categories: tuple[str, ...],
    outcome: str | None,
    flipped_against: Path | None,
    limit: int | None,
    full: bool,
    as_json: bool,
) -> int:
    """Show the items of RUN, a run's folder, one after the other.

    For each: what was asked, every answer with its log-probability or text, the numbers made of it, or the error.

    Example: llamabench items llamabench-runs/model-1a2b3c4d --suite bbq
    """
    import itertools

    from llamabench.results.store import Run

    with Run(run) as stored:
        flipped = None if flipped_against is None else _find_flipped(stored, flipped_against)
        rows = (
            row
            for row in _walk(stored, suites, categories)
            if outcome in (None, row.outcome) and (flipped is None or (row.suite, row.id) in flipped)
        )
        _print(itertools.islice(rows, limit), full=full, as_json=as_json)
    return 0


def _walk(stored: Run, suites: Sequence[str], categories: Sequence[str]) -> Iterator[ItemRow]:
    """The rows of the suites and categories that were asked for.

    Raises:
        UnknownNameError: A suite was not run, or no category of them is called that; a near match is offered.
    """
    from llamabench.errors import UnknownNameError

    names = [choice.name for choice in stored.info.suites]
    for name in suites:
        if name not in names:
            raise UnknownNameError.for_name("suite in this run", name, names)
    chosen = suites or names
    known = {metric.metric.group for metric in stored.scores() if metric.suite in chosen and metric.metric.group}
    for name in categories:
        if name not in known:
            raise UnknownNameError.for_name("category", name, sorted(known))
    for name in chosen:
        for row in stored.rows(name):
            if not categories or row.group in categories:
                yield row


def _find_flipped(stored: Run, other: Path) -> set[tuple[str, str]]:
    """Suite and id of the items whose main scores changed sides between two runs."""
    from llamabench.results.compare import find_flipped
    from llamabench.results.store import Run
    from llamabench.suites import SUITES

    with Run(other) as first:
        theirs = {choice.name for choice in first.info.suites}
        shared = [one.name for one in stored.info.suites if one.name in theirs and one.name in SUITES]
        return {
            (name, item)
            for name in shared
            for item in find_flipped(
                (first.rows(name), stored.rows(name)),
                [one for one in SUITES[name].MEASURES if one.name in SUITES[name].MAIN_METRICS],
            )
        }


def _print(rows: Iterator[ItemRow], *, full: bool, as_json: bool) -> None:
    from llamabench.report.item_text import describe_item, item_document

    if as_json:
        for row in rows:
            say(json.dumps(item_document(row)))
        return

    console = open_console()
    n_shown = 0
    for row in rows:
        console.print(describe_item(row, 10**9 if full else _PROMPT_CHARS))
        n_shown += 1
    say(f"{n_shown:,} items" if n_shown != 1 else "1 item")
