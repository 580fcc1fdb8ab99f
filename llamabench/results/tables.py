"""A run as tables: CSV for spreadsheets, Parquet for data frames."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from llamabench.errors import MissingPackageError
from llamabench.extras import pip_command
from llamabench.records import ItemRow
from llamabench.results.export import list_scores
from llamabench.results.store import Run

_FIRST_COLUMNS = ("suite", "id", "group", "cluster", "outcome", "error", "prompts", "answers", "facts")
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_NOT_IN_NAMES = re.compile(r"\W")
_ROWS_AT_ONCE = 2000


def write_csv(run: Run, folder: Path) -> list[Path]:
    """Writes `scores.csv`, and for each suite `items_SUITE.csv` with a column for each value; the files.

    Text that a spreadsheet would take for a formula begins with an apostrophe, as OWASP's "CSV Injection" advises.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scores = list_scores(run)
    paths = [folder / "scores.csv"]
    _write_rows(paths[0], list(scores[0]) if scores else [], ([*map(_cell, row.values())] for row in scores))
    for suite in run.info.suites:
        names = sorted({name for row in run.rows(suite.name) for name in row.values})
        paths.append(folder / f"items_{_NOT_IN_NAMES.sub('_', suite.name)}.csv")
        _write_rows(paths[-1], [*_FIRST_COLUMNS, *names], (_item_cells(row, names) for row in run.rows(suite.name)))
    return paths


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(_cell, header))
        writer.writerows(rows)


def _item_cells(row: ItemRow, names: Sequence[str]) -> list[object]:
    return [*map(_cell, _first_cells(row).values()), *(row.values.get(name) for name in names)]


def _first_cells(row: ItemRow) -> dict[str, str | None]:
    return {
        "suite": row.suite,
        "id": row.id,
        "group": row.group,
        "cluster": row.cluster,
        "outcome": row.outcome,
        "error": row.error,
        "prompts": json.dumps([exchange.prompt for exchange in row.exchanges]),
        "answers": json.dumps([list(exchange.answers) for exchange in row.exchanges]),
        "facts": json.dumps(row.facts),
    }


def _cell(value: object) -> object:
    """A cell as it is written; only text can be a formula, numbers are numbers."""
    if not isinstance(value, str):
        return value
    # lone surrogates have no UTF-8, NUL ends a cell in some readers
    text = value.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def write_parquet(run: Run, folder: Path) -> list[Path]:
    """Writes `scores.parquet` and `items.parquet`, values of items as a map from name to number; the files.

    Raises:
        MissingPackageError: pyarrow is not installed.
        OSError: A file cannot be written.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as exc:
        raise MissingPackageError.for_package("pyarrow", pip_command("parquet")) from exc
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "scores.parquet", folder / "items.parquet"]
    fields = [pa.field(name, _SCORE_TYPES.get(name, "string")) for name in (list_scores(run) or [{}])[0]]
    parquet.write_table(pa.Table.from_pylist(list_scores(run), schema=pa.schema(fields)), paths[0])
    values = pa.map_(pa.string(), pa.float64())
    schema = pa.schema([*(pa.field(name, "string") for name in _FIRST_COLUMNS), pa.field("values", values)])
    with parquet.ParquetWriter(paths[1], schema) as writer:
        records = _item_records(run)
        while rows := list(itertools.islice(records, _ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return paths


_SCORE_TYPES = {
    **dict.fromkeys(("value", "low", "high"), "float64"),
    **dict.fromkeys(("n", "unparsed", "errored"), "int64"),
}


def _item_records(run: Run) -> Iterator[dict[str, Any]]:
    for suite in run.info.suites:
        for row in run.rows(suite.name):
            yield {**_first_cells(row), "values": sorted(row.values.items())}
