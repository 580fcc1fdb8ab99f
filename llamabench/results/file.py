"""The SQLite file of a run: opened, brought to the newest schema, claimed, and its errors put into words."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from llamabench.errors import DamagedError, StoreError
from llamabench.results.lock import FolderLock
from llamabench.results.schema import MIGRATIONS

FILE_NAME = "run.sqlite"

_READ_WAIT_S = 10.0
_WRITE_WAIT_S = 60.0
"""Seconds that another program may hold the file, as one does that copies it, before reading or writing fails."""

_MOST_VERSIONS = 1000
"""More changes of the schema than there will ever be."""

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ}

_T = TypeVar("_T")


def holds_run(folder: Path) -> bool:
    """Whether there is a run in a folder.

    Raises:
        StoreError: That cannot be told.
    """
    try:
        return (folder / FILE_NAME).is_file()
    except OSError as exc:
        raise StoreError(f"The run folder {folder} cannot be read: {say_reason(exc)}.") from exc


class RunFile:
    """An open file; where it cannot be written to, as on a medium for reading only, a copy that goes away again.

    Args:
        folder: The run's own folder, which holds `run.sqlite`.

    Raises:
        StoreError: There is no run in it, or it cannot be read.
        DamagedError: The file is not what was written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not holds_run(folder):
            raise StoreError(f"{folder} holds no run: {FILE_NAME} is missing.")
        self._lock: FolderLock | None = None
        with contextlib.ExitStack() as opened:
            path = self._find_readable(opened)
            self._database = self._guard(lambda: sqlite3.connect(path, timeout=_READ_WAIT_S))
            opened.callback(self._database.close)
            self._guard(self._prepare)
            self._opened = opened.pop_all()

    def _find_readable(self, opened: contextlib.ExitStack) -> Path:
        """The file, or a copy of it where SQLite could not write beside it; removed again when all is closed."""
        path = self.folder / FILE_NAME
        try:
            if path.stat().st_size == 0:
                raise self._damaged("it is empty")
            self._is_copy = not (os.access(self.folder, os.W_OK) and os.access(path, os.W_OK))
            if not self._is_copy:
                return path
            copies = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="llamabench-")))
            for end in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{end}", copies / f"{FILE_NAME}{end}")
            return copies / FILE_NAME
        except OSError as exc:
            raise StoreError(f"The run in {self.folder} cannot be read: {say_reason(exc)}.") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, and leaves the run to others."""
        self._opened.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def claim(self) -> None:
        """Keeps other processes from writing to the run until it is closed; all can read it.

        Raises:
            StoreError: Another process has claimed it, or it cannot be written to; the run is closed then.
        """
        try:
            if self._is_copy:
                raise StoreError(
                    f"The run in {self.folder} can be read and not written. "
                    "Copy the folder to a place where you may write, and go on there."
                )
            self._lock = FolderLock(self.folder)
            self._guard(lambda: self._database.execute(f"PRAGMA busy_timeout = {_WRITE_WAIT_S * 1000:.0f}"))
        except StoreError:
            self.close()
            raise

    def check(self) -> None:
        """Reads every page.

        Raises:
            DamagedError: One is not as it should be.
        """
        (found,) = self._select("PRAGMA quick_check(1)")[0]
        if found != "ok":
            raise self._damaged(str(found).splitlines()[-1])

    def _guard(self, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except UnicodeDecodeError as exc:  # SQLite names what is broken by its name, which is broken as well
            raise self._damaged("a name in it is no text any more") from exc
        except sqlite3.Error as exc:
            reason, code = say_reason(exc), getattr(exc, "sqlite_errorcode", None)
            if reason.startswith("Could not decode"):  # what follows is the text, which is long
                raise self._damaged("a text in it is none any more") from exc
            if code in _BROKEN or type(exc) is sqlite3.DatabaseError or reason.startswith("no such"):
                raise self._damaged(reason) from exc
            if code == sqlite3.SQLITE_BUSY:
                reason = "another program holds it locked. Close that program, then give the command again"
            raise StoreError(
                f"The run in {self.folder} cannot be read or written: {reason}. What was stored before is kept."
            ) from exc

    def _parse(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except (ValueError, KeyError, TypeError) as exc:
            raise self._damaged(say_reason(exc)) from exc

    def _damaged(self, reason: str) -> DamagedError:
        return DamagedError(
            f"{self.folder / FILE_NAME} is damaged: {reason}. `llamabench recover {self.folder}` saves what can be "
            "read; the command that made the run does so too, and asks the rest again.",
            reason,
        )

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # each chunk must survive a power cut
        self._database.execute("PRAGMA synchronous = FULL")
        applied = self._database.execute("PRAGMA user_version").fetchone()[0]
        if applied > _MOST_VERSIONS:
            raise self._damaged(f"it says to be of version {applied}")
        if applied > len(MIGRATIONS):
            raise StoreError(f"{self.folder} was written by a newer llamabench. Update llamabench to read it.")
        migrate(self._database, applied)

    def _select(self, query: str, *values: object) -> list[Any]:
        return self._guard(lambda: self._database.execute(query, values).fetchall())


def migrate(database: sqlite3.Connection, applied: int) -> None:
    """Brings a file to the newest schema, each step whole or not at all."""
    for number, script in enumerate(MIGRATIONS[applied:], applied + 1):
        # `executescript` ends any transaction before it begins, so the script brings its own
        database.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {number};COMMIT;")


def sync_folder(folder: Path) -> None:
    """Has the names in a folder on disk: a file outlives a power cut by its name only."""
    with contextlib.suppress(OSError):  # not every system can
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def say_reason(exc: Exception) -> str:
    """What went wrong, without its number."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc)
