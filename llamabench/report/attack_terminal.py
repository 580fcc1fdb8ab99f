"""A report of attacks as tables for the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from llamabench.report.attack_compare import ComparisonView
from llamabench.report.attack_shares import RateView
from llamabench.report.attack_transcripts import AttackList
from llamabench.report.attack_views import AttacksView
from llamabench.report.format import show_hidden

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_N_TECHNIQUES = 8
_N_ATTACKS = 5
_N_DIFFERENCES = 3
_TONES = {"more": "yellow", "less": "green", "same": "dim"}


def attack_tables(view: AttacksView) -> Group:
    """Lay out the rates, the worst attacks, and the other run beside this one where there is one."""
    from rich.console import Group

    tables = [_rates(view), _worst(view.lists[0])]
    if view.comparison is not None:
        tables.append(_differences(view.comparison))
    spaced = [part for table in tables if table is not None for part in (table, "")]
    return Group(*spaced[:-1])


def _rates(view: AttacksView) -> Table:
    from rich.text import Text

    table = make_table("rate", "value", "95 % interval", "attacks")
    rates = [("Attack success", view.success), (f"Severity {view.threshold} or more", view.severe)]
    if view.over_refusal is not None:
        rates.append(("Over-refusal", view.over_refusal))
    _add(table, rates)
    table.add_row(Text("Categories", style="bold"))
    _add(table, ((f"  {rate.row.label}", rate) for rate in view.categories))
    table.add_row(Text(f"Techniques, the {_N_TECHNIQUES} worst", style="bold"))
    _add(table, ((f"  {row.title}\n    {row.name}", row.total.rate) for row in view.heat.rows[:_N_TECHNIQUES]))
    return table


def _add(table: Table, rates: Iterable[tuple[str, RateView]]) -> None:
    from rich.text import Text

    for label, rate in rates:
        score = rate.row.score
        table.add_row(*(Text(show_hidden(cell)) for cell in (label, score.value, score.interval or "", rate.count)))
    table.rows[-1].end_section = True


def _worst(severe: AttackList) -> Table | None:
    """Lay out the most severe attacks by what was asked for; None where there are none."""
    from rich.text import Text

    if not severe.attacks:
        return None
    table = make_table("severity", left=("technique and category", "asks for"))
    for attack in severe.attacks[:_N_ATTACKS]:
        cells = (attack.severity or "", f"{attack.technique} \u00b7 {attack.category}", attack.request)
        table.add_row(*(Text(show_hidden(cell)) for cell in cells))
    return table


def _differences(comparison: ComparisonView) -> Table:
    from rich.text import Text

    table = make_table("rate", "here", "there", "difference", "p")
    for row in comparison.rows[:_N_DIFFERENCES]:
        difference = f"{row.difference} {row.interval or ''}".rstrip()
        cells = (row.label, row.mine, row.other, difference, row.p)
        table.add_row(*(Text(show_hidden(cell)) for cell in cells), style=_TONES[row.tone])
    for changes in comparison.lists:
        table.add_row(Text(changes.title))
    return table


def make_table(first: str, *numbers: str, left: Iterable[str] = ()) -> Table:
    """Make a table whose first column is text, then columns of numbers, then more text."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in left:
        table.add_column(name)
    return table
