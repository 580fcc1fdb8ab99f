"""Reads rows of data files so that every error names the file and the line."""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from llamabench.errors import DataError, name_cause
from llamabench.extras import pip_command
from llamabench.records import Json


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a data file; `place` says where it stands, `number` counts the file's rows from 1."""

    place: str
    number: int
    fields: Mapping[str, Json]

    def text(self, name: str) -> str:
        """Returns a field that must be text."""
        value = self._need(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def filled_text(self, name: str) -> str:
        """Returns a field that must be text with something in it."""
        value = self.text(name)
        if not value.strip():
            raise self._wrong(name, "text that is not empty")
        return value

    def optional_text(self, name: str) -> str | None:
        """Returns a field that may be absent or empty, None where it is, and must be text otherwise."""
        if self.fields.get(name) is None:
            return None
        return self.text(name) if self.text(name).strip() else None

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Returns a field that must be one of a few words."""
        value = self.text(name)
        if value not in allowed:
            raise self._wrong(name, " or ".join(allowed))
        return value

    def integer(self, name: str) -> int:
        """Returns a field that must be a whole number, or text that spells one."""
        value = self._need(name)
        if isinstance(value, str) and value.strip().isdecimal():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number")
        return value

    def decimal(self, name: str) -> float:
        """Returns a field that must be a finite number."""
        value = self._need(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(name, "a number")
        return float(value)

    def flag(self, name: str) -> bool:
        """Returns a field that must be true or false."""
        value = self._need(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Returns a field that must be a list of texts."""
        value = self._need(name)
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self._wrong(name, "a list of texts")
        return tuple(cast(list[str], value))

    def inner(self, name: str) -> Row:
        """Returns a field that must hold fields of its own."""
        value = self._need(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Row(self.place, self.number, value)

    def inners(self, name: str) -> tuple[Row, ...]:
        """Returns a field that must be a list of objects."""
        value = self._need(name)
        if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
            raise self._wrong(name, "a list of objects")
        return tuple(Row(self.place, self.number, part) for part in cast(list[dict[str, Json]], value))

    def error(self, what: str) -> DataError:
        """Makes the error for a row that cannot be used."""
        return DataError(f"{self.place}: {what}.")

    def _need(self, name: str) -> Json:
        if name not in self.fields:
            raise self.error(f'the field "{name}" is missing (found: {", ".join(list(self.fields)[:12]) or "nothing"})')
        return self.fields[name]

    def _wrong(self, name: str, needed: str) -> DataError:
        return self.error(f'the field "{name}" should be {needed}, found {_shorten(self.fields[name])}')


def read_rows(path: Path) -> Iterator[Row]:
    """Streams the objects of a JSON Lines file, gzipped or not, of a file that is one JSON array, or of a Parquet file.

    Args:
        path: The file; what it is is read from its content, not from its name.

    Yields:
        The rows in order; blank lines are skipped.

    Raises:
        DataError: The file cannot be read, or a row is not a JSON object.
    """
    with _open(path) as stream:
        start = stream.read(4)
        stream.seek(0)
        if start == _PARQUET:
            yield from _parquet_rows(path)
        elif start.removeprefix(_BOM)[:1] == b"[":
            yield from _array_rows(path, _decode(stream.read(), str(path)))
        else:
            yield from _line_rows(path, stream)


def read_table(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    """Streams the rows of a CSV file with a header line, or of a Parquet file.

    Args:
        path: The file, UTF-8 with or without a byte-order mark.
        columns: Columns that must be there.

    Yields:
        The rows in order, every field of a CSV file a text.

    Raises:
        DataError: The file cannot be read, a column is missing, or a row has more or fewer fields than the header.
    """
    with _open(path) as stream:
        if stream.read(4) == _PARQUET:
            yield from (_need_columns(row, columns) for row in _parquet_rows(path))
            return
        stream.seek(0)
        lines = (_decode(line, f"{path}, line {number}") for number, line in enumerate(stream, start=1))
        yield from _table_rows(path, lines, columns)


def _table_rows(path: Path, lines: Iterator[str], columns: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in columns if name not in header]
        if missing:
            found = ", ".join(header) or "nothing"
            raise DataError(f"{path}: no column {', '.join(missing)} in the header (found: {found}).")
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            place = f"{path}, line {reader.line_num}"
            if len(cells) != len(header):
                raise DataError(f"{place}: {len(cells)} fields, the header has {len(header)}.")
            yield Row(place, number, dict(zip(header, cells, strict=True)))
    except csv.Error as exc:
        raise DataError(f"{path}, near line {reader.line_num}, cannot be read: {name_cause(exc)}.") from exc


def _need_columns(row: Row, columns: tuple[str, ...]) -> Row:
    missing = [name for name in columns if name not in row.fields]
    if missing:
        raise row.error(f"no column {', '.join(missing)} (found: {', '.join(row.fields)})")
    return row


def read_object(path: Path) -> Row:
    """Reads a file that is one JSON object.

    Raises:
        DataError: The file cannot be read, or is something else.
    """
    with _open(path) as stream:
        value = _parse(_decode(stream.read(), str(path)), path)
    if not isinstance(value, dict):
        raise DataError(f"{path} is not a JSON object.")
    return Row(str(path), 1, value)


def is_pointer(path: Path) -> bool:
    """Says whether a file is only the stand-in that Git LFS leaves when the real file was not fetched."""
    with path.open("rb") as stream:
        return stream.read(24).startswith(b"version https://git-lfs")


# --- bytes to rows ------------------------------------------------------------------------------

_BOM = b"\xef\xbb\xbf"
_PARQUET = b"PAR1"


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Opens a file, unpacked where it is gzipped; whatever goes wrong while it is read names it."""
    try:
        with path.open("rb") as stream:
            is_gzip = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            yield cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if is_gzip else stream
    except (OSError, EOFError, zlib.error) as exc:
        raise DataError(f"{path} cannot be read: {name_cause(exc)}.") from exc


def _decode(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        byte = data[exc.start]
        raise DataError(f"{place}: not UTF-8 text (byte 0x{byte:02x}). Save the file as UTF-8.") from exc


def _parse(text: str, path: Path) -> Json:
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{path} is not valid JSON: {exc}.") from exc
    return value


def _array_rows(path: Path, text: str) -> Iterator[Row]:
    for number, fields in enumerate(cast(list[Json], _parse(text, path)), start=1):
        place = f"{path}, entry {number}"
        if not isinstance(fields, dict):
            raise DataError(f"{place}: not a JSON object.")
        yield Row(place, number, fields)


def _line_rows(path: Path, stream: BinaryIO) -> Iterator[Row]:
    number = 0
    for line_number, line in enumerate(stream, start=1):
        place = f"{path}, line {line_number}"
        text = _decode(line, place)
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise DataError(f"{place}: not valid JSON: {exc}.") from exc
        if not isinstance(fields, dict):
            raise DataError(f"{place}: not a JSON object.")
        number += 1
        yield Row(place, number, fields)


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as exc:
        raise DataError(
            f"{path} is a Parquet file, which needs pyarrow. Save it as JSON Lines, or install pyarrow: "
            f"{pip_command('parquet')}"
        ) from exc
    number = 0
    try:
        with parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}, row {number}", number, fields)
    except (OSError, ValueError) as exc:
        raise DataError(f"{path}, after row {number}, cannot be read: {name_cause(exc)}.") from exc


def _shorten(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
