"""`llamabench items`: prompts, answers and log-probabilities of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
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
    help="Show items that are on the other side of a main score than in this run, and its answers below.",
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
    Among answers that were offered, an arrow stands before the likeliest, a tick before a right one.

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
        chosen = itertools.islice(rows, limit)
        pairs = ((row, None if flipped is None else flipped[row.suite, row.id]) for row in chosen)
        if as_json:
            _print_documents(pairs)
        else:
            names = (None, None) if flipped_against is None else (run.resolve().name, flipped_against.resolve().name)
            _print(pairs, names, full=full)
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


def _find_flipped(stored: Run, other: Path) -> dict[tuple[str, str], ItemRow]:
    """The other run's rows, by suite and id, of the items whose main scores changed sides between two runs."""
    from llamabench.results.compare import find_flipped
    from llamabench.results.store import Run
    from llamabench.suites import SUITES

    found: dict[tuple[str, str], ItemRow] = {}
    with Run(other) as first:
        theirs = {choice.name for choice in first.info.suites}
        shared = [one.name for one in stored.info.suites if one.name in theirs and one.name in SUITES]
        for name in shared:
            measures = [one for one in SUITES[name].MEASURES if one.name in SUITES[name].MAIN_METRICS]
            ids = set(find_flipped((first.rows(name), stored.rows(name)), measures))
            found.update(((name, row.id), row) for row in first.rows(name) if row.id in ids)
    return found


def _print_documents(pairs: Iterable[tuple[ItemRow, ItemRow | None]]) -> None:
    from llamabench.report.item_text import item_document

    for row, other in pairs:
        more = {} if other is None else {"other": item_document(other)}
        say(json.dumps({**item_document(row), **more}))


def _print(
    pairs: Iterable[tuple[ItemRow, ItemRow | None]], names: tuple[str | None, str | None], *, full: bool
) -> None:
    from llamabench.report.item_text import LIKELIEST, RIGHT, Answered, describe_item, is_scored
    from llamabench.suites.right_answers import find_right

    console = open_console()
    n_shown, needs_key = 0, False
    for row, other in pairs:
        item = Answered(row, find_right(row), names[0])
        against = None if other is None else Answered(other, find_right(other), names[1])
        console.print(describe_item(item, 10**9 if full else _PROMPT_CHARS, other=against))
        n_shown += 1
        needs_key = needs_key or any(is_scored(exchange) for exchange in row.exchanges)
    if needs_key:
        say(f"{LIKELIEST} the likeliest answer, {RIGHT} a right one; before each, its log-probability.")
    say(f"{n_shown:,} items" if n_shown != 1 else "1 item")
