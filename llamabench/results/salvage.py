"""What can be read of a damaged run, put into a fresh file; the damaged one stays beside it under another name.

A row counts only with its digest, so nothing that the damage made up is believed. The fresh file is whole, and on
disk, before the damaged one gives way to it: a process that is killed in between leaves both.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamabench.errors import StoreError
from llamabench.records import RunInfo
from llamabench.results.carving import PAGE_BYTES, Pages, Record, carve_keys, carve_rows, read_pages
from llamabench.results.digests import is_sound
from llamabench.results.file import FILE_NAME, migrate, say_reason, sync_folder
from llamabench.results.lock import FolderLock
from llamabench.results.rows import INSERT_ITEM, INSERT_RUN, N_COLUMNS, info_values, read_info
from llamabench.results.store import now

SALVAGED = "salvaged"
"""Kind of the event that says what was saved."""

_SAVED = f"{FILE_NAME}.saved"
_LOG, _SHARED = f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"
_MOST_NAMED = 12

_OTHERS: dict[str, tuple[int, ...]] = {
    "timing": (),
    "event": (),
    "audit": (1,),
    "speed": (1,),
    "reference": (2,),
    "judge": (2,),
    "judgement": (3,),
    "rating": (2,),
    "origin": (3,),
}
"""Tables whose rows have no digest, with the places of their columns of JSON."""

_Rows = dict[tuple[str, str], Record]


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was saved of a damaged run.

    Attributes:
        damaged: The damaged file, under its new name.
        reason: What was wrong with it.
        n_saved: Items that were saved, by suite.
        lost: Items that were stored and are lost, as far as can be told: suite and id.
        was_finished: Whether the run was finished, and no item of it is lost.
    """

    damaged: Path
    reason: str
    n_saved: Mapping[str, int]
    lost: tuple[tuple[str, str], ...]
    was_finished: bool

    def __str__(self) -> str:
        n_saved = sum(self.n_saved.values())
        text = f"{FILE_NAME} was damaged ({self.reason}): {n_saved:,} of at least {n_saved + len(self.lost):,} stored "
        text += f"items were saved. The damaged file is kept as {self.damaged.name}."
        if not self.lost:
            return text
        named = ", ".join(f"{name} of {suite}" for suite, name in self.lost[:_MOST_NAMED])
        more = f" and {len(self.lost) - _MOST_NAMED:,} more" if len(self.lost) > _MOST_NAMED else ""
        return f"{text} Lost, and asked again with their neighbours when the run goes on: {named}{more}."


def salvage(folder: Path, reason: str) -> Salvage:
    """Saves what can be read of a run, and puts it in the run's place.

    Scores are not saved: they are to be made again of the items.

    Args:
        folder: The run's own folder.
        reason: What is wrong with the file, to be kept with the run.

    Raises:
        StoreError: Another process is at work on the run, what was run cannot be read any more, or the fresh file
            cannot be written; the damaged one is where it was then.
    """
    try:
        with FolderLock(folder):
            return _salvage(folder, reason)
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(
            f"What can be read of {folder / FILE_NAME}, which is damaged, cannot be saved: {say_reason(exc)}. "
            "The file is as it was."
        ) from exc


def finish_salvage(folder: Path) -> None:
    """Puts a fresh file in the damaged one's place, where a process was killed before it could.

    Raises:
        StoreError: Another process is at work on the run.
        OSError: It cannot.
    """
    if (folder / _SAVED).exists():
        with FolderLock(folder):
            _replace(folder)


def _salvage(folder: Path, reason: str) -> Salvage:
    path, log_path = folder / FILE_NAME, folder / _LOG
    data = path.read_bytes()
    log = log_path.read_bytes() if log_path.exists() else b""
    images = [read_pages(data), read_pages(data, log)]  # where the log is damaged, the file may still hold a row
    found = _find_info(images)
    if found is None:
        raise StoreError(
            f"Nothing of {path} can be gone on with: it is damaged ({reason}), and what was run cannot be read any "
            "more. Begin a new run with --no-resume."
        )
    info, finished = found
    rows = _find_items(images)
    stored = {key for pages in images for key in _find_names(pages)}
    suites = [choice.name for choice in info.suites]
    lost = sorted(key for key in stored - rows.keys() if key[0] in suites)
    counts = {name: sum(suite == name for suite, _ in rows) for name in suites}
    is_whole = not lost and not info.ends and all(counts[one.name] == one.n_items for one in info.suites)
    damaged = _keep_damaged(folder)
    saved = Salvage(damaged, reason, counts, tuple(lost), finished is not None and is_whole)
    unfinished = folder / f"{_SAVED}.part"
    unfinished.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(unfinished)) as database:
        migrate(database, 0)
        database.execute(INSERT_RUN, info_values(info))
        database.executemany(INSERT_ITEM, rows.values())
        _copy_others(images[-1], database, folder)
        database.execute("INSERT INTO event VALUES (?, ?, ?)", (now(), SALVAGED, str(saved)))
        database.commit()
    os.replace(unfinished, folder / _SAVED)
    sync_folder(folder)
    _replace(folder)
    return saved


def _find_info(images: Iterable[Pages]) -> tuple[RunInfo, str | None] | None:
    """What was run, and when it was finished; the log's word comes last and counts."""
    found = None
    for record in itertools.chain.from_iterable(map(carve_rows, images)):
        match record:
            case [str(text), None | str() as finished]:
                digest = None
            case [str(text), None | str() as finished, None | str() as digest]:
                pass
            case _:
                continue
        if text.startswith('{"'):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found = read_info(text, digest), finished
    return found


def _find_items(images: Iterable[Pages]) -> _Rows:
    rows: _Rows = {}
    for record in itertools.chain.from_iterable(map(carve_rows, images)):
        match record:
            case [str(suite), str(id_), int(), *_] if len(record) in (N_COLUMNS, N_COLUMNS + 1) and _is_item(record):
                rows[suite, id_] = (*record[:N_COLUMNS], *(record[N_COLUMNS:] or (None,)))
    return rows


def _is_item(record: Record) -> bool:
    digest = record[N_COLUMNS] if len(record) > N_COLUMNS else None
    columns = record[:N_COLUMNS]
    if digest is not None:
        return (
            isinstance(digest, str) and not any(isinstance(one, bytes) for one in columns) and is_sound(columns, digest)
        )
    return _are_json(columns, (6, 7, 9))


def _are_json(columns: Record, places: Iterable[int]) -> bool:
    try:
        for place in places:
            text = columns[place]
            json.loads(text if isinstance(text, str) else "")
    except (ValueError, RecursionError):
        return False
    return True


def _find_names(pages: Pages) -> Iterator[tuple[str, str]]:
    """Suite and id of all items that the index of ids knows, whether their rows can be read or not."""
    for key in carve_keys(pages):
        match key:
            case [str(suite), str(id_), int()]:
                yield suite, id_


# --- tables without digests -----------------------------------------------------------------------


def _copy_others(pages: Pages, target: sqlite3.Connection, folder: Path) -> None:
    """Copies what SQLite itself can still read of the other tables, by the file's own schema or by a fresh one."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".salvage-") as name:
        own, fresh = Path(name) / "own", Path(name) / "fresh"
        _write_image(pages, own)
        _write_image({**pages, **_make_schema(Path(name) / "schema", n_pages=max(pages))}, fresh)
        for table, places in _OTHERS.items():
            found = max((_read_table(path, table, places) for path in (own, fresh)), key=len)
            for row in found:
                with contextlib.suppress(sqlite3.Error):  # what the damage made does not fit the schema
                    target.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608


def _make_schema(path: Path, *, n_pages: int) -> dict[int, bytes]:
    """The pages of the schema in a file of so many pages that was made by this version."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        migrate(database, 0)
        roots = {root for (root,) in database.execute("SELECT rootpage FROM sqlite_master")}
    pages = {number: page for number, page in read_pages(path.read_bytes()).items() if number not in roots}
    pages[1] = pages[1][:28] + n_pages.to_bytes(4, "big") + pages[1][32:]
    return pages


def _write_image(pages: Pages, path: Path) -> None:
    """One file of all pages, with no log to be read beside it."""
    with path.open("wb") as file:
        for number in range(1, max(pages) + 1):
            file.write(pages.get(number, bytes(PAGE_BYTES)))
        file.seek(18)
        file.write(b"\x01\x01")


def _read_table(path: Path, table: str, places: Iterable[int]) -> list[Any]:
    """Rows of a table up to the first that cannot be read."""
    rows: list[Any] = []
    with contextlib.closing(sqlite3.connect(path)) as database, contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        for row in database.execute(f"SELECT * FROM {table}"):  # noqa: S608 - a name from `_OTHERS`
            if _are_json(row, places):
                rows.append(row)
    return rows


# --- one file for the other -----------------------------------------------------------------------


def _keep_damaged(folder: Path) -> Path:
    """Gives the damaged file, with its log, a second name."""
    stem, _, end = FILE_NAME.partition(".")
    names = (folder / f"{stem}.damaged-{number}.{end}" for number in itertools.count(1))
    kept = next(path for path in names if not path.exists())
    for source, target in ((_LOG, kept.with_name(f"{kept.name}-wal")), (FILE_NAME, kept)):
        if (folder / source).exists():
            target.unlink(missing_ok=True)
            try:
                os.link(folder / source, target)
            except OSError:  # no second names on this file system
                shutil.copyfile(folder / source, target)
    return kept


def _replace(folder: Path) -> None:
    # the log belongs to the damaged file: SQLite must not find it beside the fresh one
    (folder / _LOG).unlink(missing_ok=True)
    (folder / _SHARED).unlink(missing_ok=True)
    os.replace(folder / _SAVED, folder / FILE_NAME)
    sync_folder(folder)
