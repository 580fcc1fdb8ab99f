"""One folder per run, one SQLite file in it: the only truth about the run. Reports are made from it.

Every finished chunk is one transaction, on disk before the next begins, so a run that is killed at any moment loses
at most the chunk in flight.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from llamabench.errors import LlamabenchError, StoreError
from llamabench.records import Audit, ChunkTiming, ItemRow, Metric, OutcomeKind, RunInfo, Score, Speed
from llamabench.results import codec
from llamabench.results.file import FILE_NAME, holds_run, migrate, say_reason, sync_folder
from llamabench.results.judges import Judges
from llamabench.results.lock import FolderLock
from llamabench.results.rows import INSERT_ITEM, INSERT_RUN, info_values, read_info, read_row, row_values, storable

__all__ = ["FILE_NAME", "Event", "Origin", "Run", "holds_run", "now", "open_finished"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run."""

    time: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A chunk that a cluster answered.

    Attributes:
        suite: Name of the suite.
        first: Place of its first item in the suite's order.
        n_items: How many items it has.
        workers: Who answered, by their places among the workers of the run.
    """

    suite: str
    first: int
    n_items: int
    workers: tuple[int, ...]


def now() -> str:
    """The time with its zone, ISO 8601, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


class Run(Judges):
    """A run on disk.

    Args:
        folder: The run's own folder, which holds `run.sqlite`.

    Raises:
        StoreError: There is no run in it, or it cannot be read.
    """

    def __init__(self, folder: Path):
        super().__init__(folder)
        try:
            self.info = self._read_info()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, folder: Path, info: RunInfo) -> Self:
        """Makes a new run; an existing one is never touched.

        Raises:
            StoreError: The folder cannot be made or written, or holds a run already.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FolderLock(folder):
                _create_file(folder, info)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(
                f"The run folder {folder} cannot be written: {say_reason(exc)}. Choose another with --out."
            ) from exc
        run = cls(folder)
        run.claim()
        return run

    def check(self) -> None:
        """Reads every page and every item.

        Raises:
            DamagedError: One is not what was stored.
        """
        super().check()
        for (suite,) in self._select("SELECT DISTINCT suite FROM item"):
            for _ in self.rows(suite):
                pass

    def _read_info(self) -> RunInfo:
        row = self._guard(lambda: self._database.execute("SELECT info, digest FROM run").fetchone())
        if row is None:
            raise StoreError(f"{self.folder} holds a run that never began. Delete the folder and start again.")
        return self._parse(lambda: read_info(*row))

    # --- writing --------------------------------------------------------------------------------

    def replace_info(self, info: RunInfo) -> None:
        """Stores what the run is once more, when its plan has changed."""

        def write() -> None:
            with self._database:
                self._database.execute("UPDATE run SET info = ?, digest = ?", info_values(info))

        self._guard(write)
        self.info = info

    def commit_chunk(
        self, suite: str, rows: Sequence[ItemRow], *, first: int, seconds: float, workers: Sequence[int] = ()
    ) -> None:
        """Stores a finished chunk in one transaction.

        Args:
            suite: Name of the suite.
            rows: Its items.
            first: Place of the first of them in the suite's order.
            seconds: Time the chunk took.
            workers: Who answered, by their places among the workers of the run; nobody where no cluster was asked.

        Raises:
            StoreError: It cannot be written; nothing of the chunk is stored then.
        """
        values = [row_values(row, first + place) for place, row in enumerate(rows)]

        def write() -> None:
            with self._database:
                self._database.executemany(INSERT_ITEM, values)
                self._database.execute("INSERT INTO timing VALUES (?, ?, ?)", (suite, seconds, len(rows)))
                if workers:
                    origin = (suite, first, len(rows), json.dumps(list(workers)))
                    self._database.execute("INSERT OR REPLACE INTO origin VALUES (?, ?, ?, ?)", origin)

        self._guard(write)

    def forget(self, suite: str, names: Iterable[str]) -> None:
        """Takes items out, as if they had not been asked."""

        def write() -> None:
            with self._database:
                places = [(suite, storable(name)) for name in names]
                self._database.executemany("DELETE FROM item WHERE suite = ? AND id = ?", places)

        self._guard(write)

    def save_scores(self, suite: str, scores: Sequence[Score]) -> None:
        """Stores a suite's scores in place of any it had."""

        def write() -> None:
            with self._database:
                self._database.execute("DELETE FROM score WHERE suite = ?", (suite,))
                self._database.executemany(
                    "INSERT INTO score VALUES (?, ?, ?, ?)",
                    [(suite, i, json.dumps(codec.encode(s.metric)), s.signature) for i, s in enumerate(scores)],
                )

        self._guard(write)

    def save_audit(self, audit: Audit) -> None:
        """Stores how a suite's scores compare with exact ones."""

        def write() -> None:
            with self._database:
                document = json.dumps(codec.encode(audit))
                self._database.execute("INSERT OR REPLACE INTO audit VALUES (?, ?)", (audit.suite, document))

        self._guard(write)

    def save_speed(self, speed: Speed) -> None:
        """Stores a measurement of the machine's speed beside any earlier ones."""

        def write() -> None:
            with self._database:
                document = json.dumps(codec.encode(speed))
                self._database.execute("INSERT INTO speed VALUES (?, ?)", (speed.measured, document))

        self._guard(write)

    def save_reference(self, suite: str, values: Mapping[str, Mapping[str, float]]) -> None:
        """Stores what a reference model's answers gave, by item."""

        def write() -> None:
            rows = [(suite, storable(name), json.dumps(dict(numbers))) for name, numbers in values.items()]
            with self._database:
                self._database.executemany("INSERT INTO reference VALUES (?, ?, ?)", rows)

        self._guard(write)

    def add_event(self, kind: str, text: str) -> None:
        """Notes something that a reader of the report should know."""

        def write() -> None:
            with self._database:
                self._database.execute("INSERT INTO event VALUES (?, ?, ?)", (now(), kind, text))

        self._guard(write)

    def finish(self) -> None:
        """Marks the run as complete."""

        def write() -> None:
            with self._database:
                self._database.execute("UPDATE run SET finished = ?", (now(),))

        self._guard(write)

    def reopen(self) -> None:
        """Takes back that the run is complete: it goes on."""

        def write() -> None:
            with self._database:
                self._database.execute("UPDATE run SET finished = NULL")

        self._guard(write)

    # --- reading --------------------------------------------------------------------------------

    @property
    def has_items(self) -> bool:
        """Whether any item is stored."""
        return bool(self._select("SELECT EXISTS (SELECT 1 FROM item)")[0][0])

    @property
    def is_finished(self) -> bool:
        """Whether every suite was run and scored."""
        return self._select("SELECT finished FROM run")[0][0] is not None

    def done_ids(self, suite: str) -> set[str]:
        """Ids of the items that are stored."""
        return {row[0] for row in self._select("SELECT id FROM item WHERE suite = ?", suite)}

    def has_reference(self, suite: str) -> bool:
        """Whether a reference model's answers are stored beside a suite's items."""
        return bool(self._select("SELECT EXISTS (SELECT 1 FROM reference WHERE suite = ?)", suite)[0][0])

    def counts(self, suite: str) -> dict[OutcomeKind, int]:
        """Stored items by outcome."""
        found = dict(self._select("SELECT outcome, COUNT(*) FROM item WHERE suite = ? GROUP BY outcome", suite))
        kinds: tuple[OutcomeKind, ...] = ("scored", "unparsed", "errored")
        return {kind: found.get(kind, 0) for kind in kinds}

    def rows(self, suite: str) -> Iterator[ItemRow]:
        """Stored items in the suite's order, read as they are asked for.

        Where a reference model was asked too, its numbers stand among the values, each after `reference_`; where a
        judge was asked about the answers, what it said, named as `results.rows.name_judgements` does.
        """
        judges = {aspect: judge.number for aspect, judge in self.judges_of(suite).items()}
        said = "SELECT json_group_object(judge, verdicts) FROM judgement AS j WHERE j.suite = item.suite"
        said = f"({said} AND j.id = item.id)" if judges else "'{}'"
        cursor = self._guard(
            lambda: self._database.execute(
                "SELECT suite, id, ordinal, grp, cluster, outcome, facts, item.vals, error, exchanges, digest,"
                f" reference.vals, {said} FROM item LEFT JOIN reference USING (suite, id)"
                " WHERE suite = ? ORDER BY ordinal",
                (suite,),
            )
        )
        while (row := self._guard(cursor.fetchone)) is not None:
            yield self._parse(partial(read_row, row, judges))

    def placed_rows(self, suite: str) -> Iterator[tuple[int, ItemRow]]:
        """Stored items as `rows` gives them, each with its place in the suite's order."""
        places = self._select("SELECT ordinal FROM item WHERE suite = ? ORDER BY ordinal", suite)
        return zip((place for (place,) in places), self.rows(suite), strict=True)

    def scores(self) -> list[Score]:
        """Stored scores, in the order of the suites and of their metrics."""
        order = {choice.name: number for number, choice in enumerate(self.info.suites)}
        rows = self._select("SELECT suite, metric, signature FROM score ORDER BY suite, ordinal")
        rows.sort(key=lambda row: order.get(row[0], len(order)))
        return self._parse(
            lambda: [Score(s, codec.decode(Metric, json.loads(metric)), sign) for s, metric, sign in rows]
        )

    def audits(self) -> list[Audit]:
        """What scoring again found, by suite."""
        rows = self._select("SELECT document FROM audit ORDER BY suite")
        return self._parse(lambda: [codec.decode(Audit, json.loads(document)) for (document,) in rows])

    def speeds(self) -> list[Speed]:
        """Measurements of the machine's speed, oldest first."""
        rows = self._select("SELECT document FROM speed ORDER BY rowid")
        return self._parse(lambda: [codec.decode(Speed, json.loads(document)) for (document,) in rows])

    def events(self) -> list[Event]:
        """What happened, oldest first."""
        return [Event(*row) for row in self._select("SELECT time, kind, text FROM event ORDER BY rowid")]

    def origins(self) -> list[Origin]:
        """Which workers of a cluster answered which chunk; none where no cluster was asked."""
        rows = self._select("SELECT suite, ordinal, n_items, workers FROM origin ORDER BY suite, ordinal")
        return self._parse(
            lambda: [Origin(suite, first, n_items, tuple(json.loads(who))) for suite, first, n_items, who in rows]
        )

    def timings(self) -> dict[str, float]:
        """Seconds spent per suite."""
        return dict(self._select("SELECT suite, SUM(seconds) FROM timing GROUP BY suite"))

    def chunks(self) -> list[ChunkTiming]:
        """How long each chunk took, in the order they were stored."""
        return [ChunkTiming(*row) for row in self._select("SELECT suite, seconds, n_items FROM timing ORDER BY rowid")]


def open_finished(folder: Path, what: str = "run in") -> Run:
    """Opens a finished run.

    Args:
        folder: The run's own folder.
        what: What to call it, before its folder, where it is not finished.

    Raises:
        StoreError: There is no run in the folder, or it cannot be read.
        LlamabenchError: The run is not finished.
    """
    found = Run(folder)
    if found.is_finished:
        return found
    found.close()
    raise LlamabenchError(f"The {what} {folder} is not finished. Go on with it by its own command first.")


def _create_file(folder: Path, info: RunInfo) -> None:
    path = folder / FILE_NAME
    if path.exists():
        raise StoreError(f"{folder} holds a run already.")
    unfinished = folder / (FILE_NAME + ".new")
    unfinished.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(unfinished)) as database:
        migrate(database, 0)
        database.execute(INSERT_RUN, info_values(info))
        database.commit()
    os.replace(unfinished, path)
    for parent in (folder, folder.parent):
        sync_folder(parent)
