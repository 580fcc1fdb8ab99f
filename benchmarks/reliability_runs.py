"""The commands that `reliability.py` disturbs, and all that their runs hold."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reliability_child import ASKED

SUITES = {
    "scoring": ("run", "demo-aligned", "--suite", "bbq:starter", "--suite", "truthfulqa_mc:starter"),
    "writing": ("run", "demo-aligned", "--suite", "truthfulqa_gen:starter", "--suite", "xstest:starter"),
    "attacks": ("redteam", "demo-aligned", "--attack-count", "60", "--max-tokens", "24"),
}
"""What is disturbed: answers scored, texts written, and conversations of several turns."""

_SLOW_SPEED = 64.0
"""Tokens a second that make the smallest chunks, so that there is something between two of them."""

_CHILD = Path(__file__).with_name("reliability_child.py")
_LIMIT_S = 900.0

Row = tuple[Any, ...]


class Stored(NamedTuple):
    """All that a run's results are, and what it was told on the way."""

    items: dict[tuple[str, str], Row]
    scores: list[Row]
    events: list[str]
    is_finished: bool
    n_chunks: int = 0


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of a command: data and speeds, temporary files, and the log of what was asked."""

    folder: Path

    @property
    def asked(self) -> Path:
        """The log of what was asked."""
        return self.folder / "asked.jsonl"

    @property
    def data(self) -> Path:
        """The folder of imported data and of measured speeds."""
        return self.folder / "data"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command."""
        own = {
            "LLAMABENCH_DATA": str(self.data),
            "XDG_STATE_HOME": str(self.folder / "state"),
            ASKED: str(self.asked),
            # threads that wait by spinning take minutes where other programs use the processor too
            "OMP_WAIT_POLICY": "passive",
        }
        return {**os.environ, **own, **more}

    def command(self, words: Sequence[str], out: Path) -> list[str]:
        """A command as the system is given it."""
        return [sys.executable, str(_CHILD), *words, "--quiet", "--out", str(out)]

    def start(self, words: Sequence[str], out: Path, **more: str) -> subprocess.Popen[str]:
        """Starts a command in a session of its own."""
        return subprocess.Popen(
            self.command(words, out),
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, words: Sequence[str], out: Path, **more: str) -> Finished:
        """Runs a command to its end."""
        with ended(self.start(words, out, **more)) as process:
            printed, err = process.communicate(timeout=_LIMIT_S)
            return Finished(process.returncode, printed, err)

    def call(self, *words: str) -> Finished:
        """Runs a command that has no folder for runs."""
        done = subprocess.run(
            [sys.executable, str(_CHILD), *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def slow_down(self) -> None:
        """Has all runs from now on work in small chunks."""
        path = self.data / "speed.json"
        entries = json.loads(path.read_text())
        packs = {key: [entry[0], _SLOW_SPEED] for key, entry in entries.items() if isinstance(entry, list)}
        path.write_text(json.dumps({**entries, **packs}))

    def read_asked(self) -> list[list[str]]:
        """Ids of the requests of each chunk so far; a line that was cut short counts for nothing."""
        if not self.asked.exists():
            return []
        lines = self.asked.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Ends a process with its whole group, whatever happens."""
    try:
        yield process
    finally:
        kill_group(process)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kills a process and all that it started, at once, and waits until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ValueError):  # its output was read to the end already
        process.communicate(timeout=60)


def make_place(folder: Path) -> Place:
    """A place whose runs work in small chunks.

    Raises:
        RuntimeError: The first command, which measures the speed, fails.
    """
    place = Place(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = place.finish([*SUITES["scoring"], "--limit", "1"], folder / "first")
    if done.code:
        raise RuntimeError(f"an undisturbed run failed: {done.err}")
    place.slow_down()
    return place


def find_run(out: Path) -> Path | None:
    """The folder of the one run below a folder, None where there is none yet."""
    found = sorted(path.parent for path in out.glob("*/run.sqlite"))
    return found[0] if found else None


def read_run(out: Path) -> Stored | None:
    """What the one run below a folder holds; None before there is one."""
    folder = find_run(out)
    if folder is None:
        return None
    with closing(sqlite3.connect(folder / "run.sqlite", timeout=30)) as database:
        items = database.execute("SELECT * FROM item").fetchall()
        return Stored(
            {row[:2]: row for row in items},
            database.execute("SELECT * FROM score ORDER BY suite, ordinal").fetchall(),
            [kind for (kind,) in database.execute("SELECT kind FROM event ORDER BY rowid")],
            database.execute("SELECT finished FROM run").fetchone()[0] is not None,
            database.execute("SELECT COUNT(*) FROM timing").fetchone()[0],
        )


def wait_until(is_so: Any, process: subprocess.Popen[str], *, limit_s: float = 120.0) -> bool:
    """Waits until something is so; whether it came to that before the process ended or the time was over."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if is_so():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return False
