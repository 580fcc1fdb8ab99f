"""The SQLite file of a run: opened, brought to the newest schema, claimed, and its errors put into words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from llamabench.errors import StoreError
from llamabench.results.lock import FolderLock
from llamabench.results.schema import MIGRATIONS

FILE_NAME = "run.sqlite"

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
    """An open file.

    Args:
        folder: The run's own folder, which holds `run.sqlite`.

    Raises:
        StoreError: There is no run in it, or it cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not holds_run(folder):
            raise StoreError(f"{folder} holds no run: {FILE_NAME} is missing.")
        self._database = self._guard(lambda: sqlite3.connect(folder / FILE_NAME, timeout=10))
        self._lock: FolderLock | None = None
        try:
            self._guard(self._prepare)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, and leaves the run to others."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def claim(self) -> None:
        """Keeps other processes from writing to the run until it is closed; all can read it.

        Raises:
            StoreError: Another process has claimed it; the run is closed then.
        """
        try:
            self._lock = FolderLock(self.folder)
        except StoreError:
            self.close()
            raise

    def _guard(self, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except sqlite3.Error as exc:
            if type(exc) is sqlite3.DatabaseError:  # cut short, or no SQLite file at all
                raise self._damaged(exc) from exc
            raise StoreError(
                f"The run in {self.folder} cannot be read or written: {say_reason(exc)}. "
                "What was stored before is kept."
            ) from exc

    def _parse(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except (ValueError, KeyError, TypeError) as exc:
            raise self._damaged(exc) from exc

    def _damaged(self, exc: Exception) -> StoreError:
        path = self.folder / FILE_NAME
        return StoreError(f"{path} is damaged: {say_reason(exc)}. Begin a new run with --no-resume.")

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # each chunk must survive a power cut
        self._database.execute("PRAGMA synchronous = FULL")
        applied = self._database.execute("PRAGMA user_version").fetchone()[0]
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


def say_reason(exc: Exception) -> str:
    """What went wrong, without its number."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc)
