"""A run whose engine is killed at random and aborted by its items ends with what an undisturbed run gives."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from faults import FaultyEngine, fail_items

from llamabench import opening, runner
from llamabench.records import Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions

pytestmark = [pytest.mark.model, pytest.mark.slow]

SUITES = ("bbq:starter", "truthfulqa_mc:starter", "preference:starter")
BAD = {"bbq": ("abort", "die"), "truthfulqa_mc": ("end", "abort"), "preference": ("abort",)}
"""Faults of a suite's bad items."""

_MOST_IN_A_ROW = 3


class ChaosEngine(FaultyEngine):
    """The engine of a test's runs; its items fail in the process as the test says."""

    faults: ClassVar[dict[str, str | None]] = {}
    last: ClassVar[ChaosEngine | None] = None

    def _start(self) -> None:
        self.prepare = (fail_items, (dict(self.faults),))
        super()._start()
        type(self).last = self


@dataclass
class Silent:
    """Shows nothing, remembers the notes."""

    notes: list[str] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    n_steps: int = 0

    def begin(self, run: Run) -> None:
        self.begun.set()

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.n_steps += 1

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def start(demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Silent], Path]:
    """Runs all starter items in small chunks; the run's folder."""
    monkeypatch.setattr(runner, "Engine", ChaosEngine)
    monkeypatch.setattr(opening, "_CHUNK_TOKENS", (512, 512))

    def start_run(name: str, progress: Silent) -> Path:
        with runner.run(RunOptions(demo_model, SUITES, tmp_path / name), progress) as stored:
            assert stored.is_finished
            return stored.folder

    return start_run


@contextlib.contextmanager
def killer(progress: Silent, *, seed: int, every_s: tuple[float, float]) -> Iterator[list[int]]:
    """Kills the engine's process at random moments from the run's beginning on; the processes killed.

    On a slow machine it waits after three kills until something was stored: more in a row end a run, rightly.
    """
    rng = random.Random(seed)
    killed: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        progress.begun.wait(60)
        n_steps, n_kills = 0, 0
        while not is_over.wait(rng.uniform(*every_s)):
            if progress.n_steps > n_steps:
                n_steps, n_kills = progress.n_steps, 0
            if n_kills == _MOST_IN_A_ROW:
                continue
            engine = ChaosEngine.last
            process_id = None if engine is None else engine.process_id
            if process_id is not None and process_id not in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
                    killed.append(process_id)
                    n_kills += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


def query(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        return database.execute(statement).fetchall()


def items(folder: Path) -> list[tuple[Any, ...]]:
    """Everything of every item but why it failed."""
    columns = "suite, id, ordinal, grp, cluster, outcome, facts, vals, exchanges, error IS NULL"
    return query(folder, f"SELECT {columns} FROM item ORDER BY suite, ordinal")


def scores(folder: Path) -> list[tuple[Any, ...]]:
    return query(folder, "SELECT * FROM score ORDER BY suite, ordinal")


def choose_bad(seed: int) -> dict[str, dict[str, str]]:
    """Ids of requests that fail, by suite, with the faults they die of."""
    rng = random.Random(seed)
    chosen: dict[str, dict[str, str]] = {}
    for name in SUITES:
        suite, dataset = runner.find_suite(name)
        ids = [item.requests[0].id for item in suite.items(dataset, use_chat=True)]
        faults = BAD[suite.NAME]
        chosen[suite.NAME] = dict(zip(rng.sample(ids, len(faults)), faults, strict=True))
    return chosen


def test_kills_change_nothing(start: Callable[[str, Silent], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChaosEngine, "faults", {})
    reference = start("reference", Silent())
    progress = Silent()
    started = time.monotonic()
    with killer(progress, seed=1, every_s=(0.05, 0.8)) as killed:
        disturbed = start("disturbed", progress)
    print(f"{len(killed)} kills in {time.monotonic() - started:.1f} s")
    assert len(items(reference)) > 500
    assert items(disturbed) == items(reference)
    assert scores(disturbed) == scores(reference)
    assert query(reference, "SELECT * FROM event") == []
    events = query(disturbed, "SELECT kind, text FROM event")
    assert {kind for kind, _ in events} == {"restarted"}
    # the last kill may come when all is answered
    assert len(killed) - 1 <= len(events) <= len(killed)
    assert len(events) >= 3
    assert progress.notes == [text for _, text in events]


def test_kills_and_bad_items_together(start: Callable[[str, Silent], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose_bad(seed=2)
    bad = {name: fault for faults in chosen.values() for name, fault in faults.items()}
    # the undisturbed run has the same bad items, but the model refuses them politely
    monkeypatch.setattr(ChaosEngine, "faults", dict.fromkeys(bad))
    reference = start("reference", Silent())
    monkeypatch.setattr(ChaosEngine, "faults", bad)
    progress = Silent()
    with killer(progress, seed=3, every_s=(0.3, 1.0)) as killed:
        disturbed = start("disturbed", progress)
    print(f"{len(killed)} kills")
    assert killed
    assert items(disturbed) == items(reference)
    assert scores(disturbed) == scores(reference)
    events = query(disturbed, "SELECT kind, text FROM event")
    lost = [text for kind, text in events if kind == "lost"]
    assert sorted(text.split(" has no score")[0] for text in lost) == sorted(bad)
    assert {kind for kind, _ in events} == {"restarted", "lost"}
    with Run(disturbed) as stored:
        for suite, faults in chosen.items():
            counts = stored.counts(suite)
            assert counts["errored"] == len(faults)
            wrong = [row for row in stored.rows(suite) if row.outcome == "errored"]
            for row in wrong:
                assert row.error
                assert not row.values
                assert "GGML_ASSERT" in row.error or "SIGSEGV" in row.error or "exit code 3" in row.error
        whole = [score.metric for score in stored.scores() if score.metric.group is None]
        assert whole
        assert all(metric.errored for metric in whole)


def test_memory_that_runs_out_is_recorded_and_the_run_ends(
    start: Callable[[str, Silent], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from faults import starve_scoring

    class StarvedEngine(FaultyEngine):
        prepare = (starve_scoring, (128,))

    monkeypatch.setattr(runner, "Engine", StarvedEngine)
    folder = start("starved", Silent())
    with Run(folder) as stored:
        assert stored.info.plan.scoring.n_ubatch == 128
        assert sum(stored.counts(choice.name)["errored"] for choice in stored.info.suites) == 0
        assert any("Memory ran out: batches cut" in reason for reason in stored.info.plan.reasons)
        (event,) = stored.events()
        assert event.kind == "shrunk"
        assert event.text.startswith("Memory ran out: batches cut from 512 to 128 tokens. llama.cpp cannot open")
        assert all("|ub:128|" in score.signature for score in stored.scores())
