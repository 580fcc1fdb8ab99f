"""Tables that measurements put into docs/scorers.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs/scorers.md"
_END = "<!-- end of what was measured -->"


@dataclass(frozen=True, slots=True)
class Table:
    """A table for the page: a heading, names of columns, rows of cells."""

    heading: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def text(self) -> str:
        """The table in Markdown."""
        lines = [f"**{self.heading}**", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *(_line(row) for row in self.rows)])


def write_docs(script: str, tables: Sequence[Table]) -> None:
    """Puts the tables of a script between its marks in `docs/scorers.md`."""
    begin = f"<!-- measured: benchmarks/scorers/{script} --write -->"
    before, rest = DOCS.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(_END, 1)
    middle = "\n\n".join(table.text() for table in tables)
    DOCS.write_text(f"{before}{begin}\n\n{middle}\n\n{_END}{after}", encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
