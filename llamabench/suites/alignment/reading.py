"""Files of tests: TOML or JSON Lines to tests, with every fault and the line it is on."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llamabench.errors import DataError, name_cause
from llamabench.records import Facts, Json
from llamabench.suites.alignment.fields import FaultyTestError, find_misjudged, make_test
from llamabench.suites.alignment.lines import Place, find_tables
from llamabench.suites.alignment.model import Test

_MOST_BYTES = 16 << 20
_LINES = (".jsonl", ".ndjson", ".json")
_TABLE = "test"
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a file of tests.

    Attributes:
        line: Where, from 1; None where that is not known.
        test: Id of the test, or what stands in its place; None where it is about the file.
        field: The field, None where it is about more than one.
        message: What is wrong, and what would be right.
    """

    line: int | None
    test: str | None
    field: str | None
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        test = f"{self.test}: " if self.test is not None else ""
        field = f"`{self.field}` " if self.field is not None else ""
        end = "" if self.message.endswith("?") else "."
        return f"{where}{test}{field}{self.message}{end}"


@dataclass(frozen=True, slots=True)
class FoundTest:
    """A test, the line it begins on, and its fields as the file gives them."""

    test: Test
    line: int | None
    fields: Facts


@dataclass(frozen=True, slots=True)
class TestFile:
    """What a file of tests holds: those that can be used, and all that is wrong."""

    path: Path
    tests: tuple[FoundTest, ...]
    faults: tuple[Fault, ...]

    def need_sound(self) -> None:
        """Refuses a file with faults.

        Raises:
            DataError: The first faults with their lines.
        """
        if not self.faults:
            return
        shown = "\n".join(f"{self.path}, {fault}" for fault in self.faults[:_MOST_SHOWN])
        n_more = len(self.faults) - _MOST_SHOWN
        more = f"\n{n_more} more: llamabench alignment validate {self.path}" if n_more > 0 else ""
        raise DataError(f"{shown}{more}")


def read_tests(path: Path, *, tries_examples: bool = False) -> TestFile:
    """Reads a file of tests whole; nothing that may stand in it raises.

    Args:
        path: A file whose name ends in .toml, or in .jsonl.
        tries_examples: Whether the answers that tests give as good and bad are judged, and are faults where they are
            judged otherwise.

    Raises:
        DataError: The file cannot be opened, or is of another kind.
    """
    text = _read_text(path)
    if isinstance(text, Fault):
        return TestFile(path, (), (text,))
    tests: list[FoundTest] = []
    faults: list[Fault] = []
    seen: dict[str, int | None] = {}
    entries = _toml_entries(text) if path.suffix.lower() == ".toml" else _json_entries(text)
    for entry in entries:
        found = [entry] if isinstance(entry, Fault) else _make(entry, seen, tries_examples=tries_examples)
        if isinstance(found, FoundTest):
            seen[found.test.id] = found.line
            tests.append(found)
        else:
            faults += found
    if not tests and not faults:
        faults.append(Fault(None, None, None, "the file holds no test; one begins with [[test]]"))
    return TestFile(path, tuple(tests), tuple(sorted(faults, key=lambda fault: fault.line or 0)))


@dataclass(frozen=True, slots=True)
class _Entry:
    """The fields of a test, how to call it where it has no id, and where they stand."""

    fields: Mapping[str, Json]
    number: int
    place: Place | None

    @property
    def name(self) -> str:
        name = self.fields.get("id")
        return name if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 80 else f"test {self.number}"

    def find(self, field: str | None) -> int | None:
        return None if self.place is None else self.place.find(field)


def _make(entry: _Entry, seen: Mapping[str, int | None], *, tries_examples: bool) -> FoundTest | list[Fault]:
    try:
        test = make_test(entry.fields)
    except FaultyTestError as exc:
        return [Fault(entry.find(fault.field), entry.name, fault.field, fault.message) for fault in exc.faults]
    if test.id in seen:
        first = seen[test.id]
        where = f"on line {first}" if first is not None else "above"
        return [Fault(entry.find("id"), test.id, "id", f"stands {where} already")]
    faults = find_misjudged(test) if tries_examples else ()
    misjudged = [Fault(entry.find(fault.field), test.id, fault.field, fault.message) for fault in faults]
    return misjudged or FoundTest(test, entry.find(None), entry.fields)


def _read_text(path: Path) -> str | Fault:
    if path.suffix.lower() not in (".toml", *_LINES):
        raise DataError(f"{path} is no file of tests: its name must end in .toml or .jsonl.")
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise DataError(f"{path} has {size:,} bytes, a file of tests may have {_MOST_BYTES:,}.")
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise DataError(f"{path} cannot be read: {name_cause(exc)}.") from exc
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        return Fault(line, None, None, f"not UTF-8 text (byte 0x{data[exc.start]:02x}); save the file as UTF-8")


# --- TOML ---------------------------------------------------------------------------------------


def _toml_entries(text: str) -> Iterator[_Entry | Fault]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        yield _toml_fault(str(exc), text)
        return
    except (ValueError, RecursionError) as exc:
        yield Fault(None, None, None, f"not valid TOML: {exc}")
        return
    tables = document.pop(_TABLE, [])
    for name in document:
        # a table has its line, whatever it is called
        places = find_tables(text, name)
        line = places[0].line if places else None
        yield Fault(line, None, name, f"cannot stand here; a test begins with [[{_TABLE}]]")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        yield Fault(None, None, _TABLE, f"must be tables; a test begins with [[{_TABLE}]]")
        return
    places = find_tables(text, _TABLE)
    has_lines = len(places) == len(tables)
    for number, table in enumerate(tables, start=1):
        yield _Entry(table, number, places[number - 1] if has_lines else None)


def _toml_fault(message: str, text: str) -> Fault:
    found = _TOML_PLACE.search(message)
    if found is None:
        return Fault(None, None, None, f"not valid TOML: {message}")
    line = int(found.group(1)) if found.group(1) else text.count("\n") + 1
    where = f" (column {found.group(2)})" if found.group(2) else " (end of file)"
    return Fault(line, None, None, f"not valid TOML: {message[: found.start()]}{where}")


# --- JSON Lines ---------------------------------------------------------------------------------


def _json_entries(text: str) -> Iterator[_Entry | Fault]:
    number = 0
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        number += 1
        try:
            fields = json.loads(part, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as exc:
            yield Fault(line, None, None, f"not valid JSON: {exc}")
            continue
        if isinstance(fields, dict):
            yield _Entry(fields, number, Place(line))
        else:
            yield Fault(line, None, None, "not a JSON object; a test is one object on one line")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!a} stands twice")
    return fields
