"""A comparison as a Markdown summary for a model card or a pull request, and as tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from llamabench.report.compare_views import ChangeRow, CompareView, ComparisonView
from llamabench.report.costs import CostsView
from llamabench.report.format import show_hidden
from llamabench.report.items import Pair

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

HOW_TO_READ = (
    "Brackets are 95 % intervals of the change, from pairs of items, whole templates at a time. Verdicts are corrected "
    "for the number of scores looked at (Holm), and need the interval to leave out 0."
)

_STYLES = {"improved": "green", "regressed": "red", "changed": "magenta", "open": "dim"}
_MARKUP = re.compile(r"([\\`*_{}\[\]<>&#|~])")
_OPENING = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")
"""What begins a list or underlines a heading, where it stands first."""


# --- Markdown -----------------------------------------------------------------------------------


def write_markdown(view: CompareView) -> str:
    """Writes the summary of all comparisons, a section each."""
    lines = [f"# {_plain(view.title)}", ""]
    if view.has_demo:
        lines += ["One of the models is a toy that ships with llamabench: this says nothing about real models.", ""]
    for one in view.comparisons:
        lines += _write_comparison(one)
    return "\n".join([*lines, *_write_costs(view.costs), HOW_TO_READ, ""])


def _write_comparison(view: ComparisonView) -> Iterator[str]:
    areas = view.areas
    yield from (f"## {_plain(view.second)} against {_plain(view.first)}", "", view.verdict, "")
    if view.templates:
        yield from (*(f"- {_plain(text)}" for text in view.templates), "")
    if view.is_grave:
        yield from ("The two were not asked the same:", "")
    if view.mismatches:
        yield from (*(f"- {_plain(text)}" for text in view.mismatches), "")
    yield from _write_part("Areas of improvement", map(_write_row, areas.improved))
    yield from _write_part("Areas of regression", map(_write_row, areas.regressed))
    if areas.changed:
        yield from _write_part("Changed, neither way being good by itself", map(_write_row, areas.changed))
    unchanged = [*map(_write_row, areas.unchanged), *_write_rest(areas.n_unchanged_groups)]
    yield from _write_part("Unchanged, as far as these items tell", unchanged)
    absent = [*map(_write_row, areas.too_few), *_write_rest(areas.n_too_few_groups, "too few items")]
    absent += [f"{_plain(pair.name)}: {_plain(pair.value)}" for pair in areas.not_compared]
    yield from _write_part("Not measurable here", absent)
    if view.divergence:
        yield from _write_part(
            "Distributions", (f"{_plain(pair.name)}: {_plain(pair.value)}" for pair in view.divergence)
        )


def _write_part(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from (f"### {title}", "")
    yield from [f"- {line}" for line in lines] or ["Nothing."]
    yield ""


def _write_rest(n: str, what: str = "no evidence") -> list[str]:
    return [] if n == "0" else [f"Scores of categories: {n} with {what}"]


def _write_row(row: ChangeRow) -> str:
    name = f"**{_plain(row.suite)}**: {_plain(row.label)}"
    if row.group is not None:
        name += f", {_plain(row.group)}"
    seen = (
        f"; a change of {row.detectable} would have been seen" if row.detectable and row.verdict.tone == "open" else ""
    )
    return f"{name}: {row.number.replace('[', '(').replace(']', ')')}, {row.n}{seen}"


def _write_costs(view: CostsView) -> Iterator[str]:
    yield from (
        "## Cost",
        "",
        "| model | mean of main scores | size | memory | prompt, tokens/s | text, tokens/s |",
        "|-|-:|-:|-:|-:|-:|",
    )
    for row in view.rows:
        cells = (_plain(row.name), row.mean, row.size, row.memory, row.prompt_speed, row.text_speed)
        yield f"| {' | '.join(cell or '–' for cell in cells)} |"
    yield from ("", view.note, "")


def _plain(text: str) -> str:
    """Text of a model or a file that Markdown shows as it is."""
    escaped = _MARKUP.sub(r"\\\1", show_hidden(text).replace("\n", " ")).lstrip()
    return _OPENING.sub(r"\1\\\2", escaped)


# --- terminal -----------------------------------------------------------------------------------


def comparison_tables(view: CompareView) -> Group:
    """Lays out all comparisons: a table of whole suites each, then what changed in categories, and the costs."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for one in view.comparisons:
        parts += [Text(show_hidden(f"{one.first} → {one.second}"), style="bold"), Text(one.verdict), ""]
        parts += [_suites_table(one), ""]
        groups = [row for row in (*one.areas.regressed, *one.areas.improved) if row.group is not None]
        if groups:
            parts += [_rows_table("in categories", groups), ""]
        parts += [_by_reason("Not measurable here", one.areas.not_compared), ""] if one.areas.not_compared else []
        parts += [_list("Distributions", one.divergence), ""] if one.divergence else []
        parts += [Text(show_hidden(one.no_divergence), style="dim"), ""] if one.no_divergence else []
    parts += [Text(HOW_TO_READ, style="dim"), ""]
    return Group(*parts, _costs_table(view.costs), "", Text(view.costs.note, style="dim"))


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number > 0)
    return table


def _suites_table(view: ComparisonView) -> Table:
    from rich.text import Text

    table = _table("score", "first → second", "change", "verdict")
    for suite in view.suites:
        table.add_row(Text.assemble((show_hidden(suite.title), "bold"), "\n", (suite.facts, "dim")))
        for number, row in enumerate(suite.rows):
            table.add_row(*_cells(row, row.label), end_section=number == len(suite.rows) - 1)
    return table


def _rows_table(title: str, rows: Sequence[ChangeRow]) -> Table:
    table = _table(title, "first → second", "change", "verdict")
    for row in rows:
        table.add_row(*_cells(row, f"{row.suite}, {row.group}: {row.label}"))
    return table


def _cells(row: ChangeRow, label: str) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    change = Text(row.change) if row.interval is None else Text.assemble(row.change, ("\n" + row.interval, "dim"))
    style = _STYLES[row.verdict.tone]
    flips = "" if row.flips is None else f"\n{row.flips}"
    verdict = Text.assemble((row.verdict.text, style), (flips, "dim"))
    return [Padding(Text(show_hidden(label)), (0, 0, 0, 2)), Text(row.value), change, verdict]


def _list(title: str, pairs: Sequence[Pair]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_row(Text(title, style="bold"))
    for pair in pairs:
        table.add_row(Text(show_hidden(pair.name), style="dim"), Text(show_hidden(pair.value)))
    return table


def _by_reason(title: str, pairs: Sequence[Pair]) -> Text:
    """A line for each reason, with all that it holds for: there may be dozens of scores and few reasons."""
    from rich.text import Text

    names: dict[str, list[str]] = {}
    for pair in pairs:
        names.setdefault(pair.value, []).append(pair.name)
    text = Text(title, style="bold")
    for reason, those in names.items():
        text.append(f"\n  {show_hidden(reason)}: ", style="not bold")
        text.append(show_hidden("; ".join(those)), style="not bold dim")
    return text


def _costs_table(view: CostsView) -> Table:
    from rich.text import Text

    table = _table("model", "mean of\nmain scores", "size", "memory", "pp tok/s", "tg tok/s")
    for row in view.rows:
        cells = (row.mean, row.size, row.memory, row.prompt_speed, row.text_speed)
        name = Text(show_hidden(row.name), style="bold" if row.is_best and len(view.rows) > 1 else "")
        table.add_row(name, *(cell or "–" for cell in cells))
    return table
