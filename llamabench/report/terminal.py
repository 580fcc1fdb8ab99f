"""The scores of a run as a table for the terminal, readable at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamabench.report.format import show_hidden
from llamabench.report.speed import NO_COUNTER, SpeedView
from llamabench.report.views import ScoreView, SuiteView

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_VERDICTS = {
    "above": ("above chance", "green"),
    "below": ("below chance", "yellow"),
    "guessing": ("like guessing", "dim"),
    "follows": ("stereotyping", "yellow"),
    "against": ("reversed bias", "magenta"),
    "unbiased": ("no bias shown", "dim"),
    "unequal": ("above chance", "yellow"),
    "equal": ("like chance", "dim"),
    "open": ("", "dim"),
}


def scores_table(view: ScoreView) -> Table:
    """Lay out the scores of whole suites, a section each; what failed stands in the section's heading."""
    from rich import box  # rich takes longer to import than the rest of the command line together
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    # a narrow terminal takes its toll here, where words wrap; a number is never cut
    table.add_column("score")
    for name in ("value", "95 % interval", "chance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for suite in view.suites:
        heading = Text.assemble((show_hidden(suite.title), "bold"), "\n", (_state(suite), "dim"))
        table.add_row(heading)
        for number, row in enumerate(suite.rows):
            verdict, style = _VERDICTS[row.verdict.tone]
            notes = [note for note in (row.missing, row.judge and f"by {row.judge}") if note]
            label = Text.assemble(row.label, ("".join(f"\n{note}" for note in notes), "dim"))
            table.add_row(
                Padding(label, (0, 0, 0, 2)),
                *(Text(cell) for cell in (row.value, row.interval or "", row.chance or "")),
                Text("" if row.missing else verdict, style=style),
                end_section=number == len(suite.rows) - 1,
            )
    return table


def speed_table(view: SpeedView) -> Group:
    """Lay out a measured speed: a row for each test, and below what else was measured."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("test", no_wrap=True)
    table.add_column("tokens/s", justify="right", no_wrap=True)
    table.add_column("what")
    for row in view.rows:
        energy = "" if row.energy == NO_COUNTER else f"\n{row.energy} a token"
        table.add_row(row.name, f"{row.speed} {row.spread}".rstrip(), Text.assemble(row.label, (energy, "dim")))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    for fact in view.facts:
        facts.add_row(Text(show_hidden(fact.name), style="dim"), Text(show_hidden(fact.value)))
    return Group(table, "", facts)


def _state(suite: SuiteView) -> str:
    """How many items a suite stands on, and how many of them gave no number."""
    failures = [f"{n} {kind}" for kind, n in suite.counts.items() if kind != "scored" and n != "0"]
    kind = "starter items" if suite.is_starter else "items"
    done = suite.n_done if suite.n_done == suite.n_items else f"{suite.n_done} of {suite.n_items}"
    return ", ".join([f"{done} {kind}", *failures])
