"""Runs that are killed at any moment lose nothing: the same command ends with the same numbers, bit for bit."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from stored_runs import count_items

pytestmark = [pytest.mark.model, pytest.mark.slow]

SUITES = ("bbq:starter", "truthfulqa_mc:starter")
LIMIT = 30
N_ITEMS = LIMIT * len(SUITES)
SLOW_SPEED = 64.0
"""Tokens a second that make the smallest chunks, so that there is something between two of them."""


class Stored(NamedTuple):
    """All that a run's results are."""

    items: list[tuple[Any, ...]]
    scores: list[tuple[Any, ...]]


class Commands:
    """The same command again and again, with data and speeds of its own."""

    def __init__(self, folder: Path):
        self.data = folder / "data"
        self.environment = {
            **os.environ,
            "LLAMABENCH_DATA": str(self.data),
            # threads that wait by spinning take minutes where other programs use the processor too
            "OMP_WAIT_POLICY": "passive",
        }

    def start(self, out: Path, *, limit: int = LIMIT) -> subprocess.Popen[str]:
        suites = [word for name in SUITES for word in ("--suite", name)]
        return subprocess.Popen(
            [sys.executable, "-m", "llamabench", "run", "demo", *suites, "--limit", str(limit), "--out", str(out)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, out: Path, *, limit: int = LIMIT) -> str:
        """Run it to its end; what it printed on the error stream."""
        process = self.start(out, limit=limit)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return err

    def slow_down(self) -> None:
        path = self.data / "speed.json"
        entries = json.loads(path.read_text())
        packs = {key: [entry[0], SLOW_SPEED] for key, entry in entries.items() if isinstance(entry, list)}
        path.write_text(json.dumps({**entries, **packs}))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    commands = Commands(tmp_path_factory.mktemp("kill"))
    commands.finish(tmp_path_factory.mktemp("first"), limit=1)
    commands.slow_down()
    return commands


@pytest.fixture(scope="module")
def reference(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """What a run that nobody disturbs gives."""
    out = tmp_path_factory.mktemp("reference")
    commands.finish(out)
    assert query(out, "SELECT json_extract(info, '$.plan.chunk_tokens') FROM run") == [(256,)]
    assert len(query(out, "SELECT * FROM timing")) > 10
    assert query(out, "SELECT * FROM event") == []
    return read(out)


def query(out: Path, statement: str) -> list[tuple[Any, ...]]:
    (folder,) = out.iterdir()
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        return database.execute(statement).fetchall()


def read(out: Path) -> Stored:
    return Stored(
        query(out, "SELECT * FROM item ORDER BY suite, ordinal"),
        query(out, "SELECT * FROM score ORDER BY suite, ordinal"),
    )


def wait_for_items(process: subprocess.Popen[str], out: Path, n_items: int) -> None:
    deadline = time.monotonic() + 60
    while count_items(out) < n_items:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def check_all_is_gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def check_goes_on(commands: Commands, out: Path, reference: Stored, *, n_before: int) -> None:
    commands.finish(out)
    again = read(out)
    names = [(row[0], row[1]) for row in again.items]
    assert len(names) == len(set(names)) == N_ITEMS
    assert again.items == reference.items
    assert again.scores == reference.scores
    events = [kind for (kind,) in query(out, "SELECT kind FROM event")]
    assert events == (["resumed"] if n_before else [])


def kill_parent(process: subprocess.Popen[str]) -> None:
    process.kill()


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def terminate_parent(process: subprocess.Popen[str]) -> None:
    process.terminate()


@pytest.mark.parametrize(("end", "seed"), [(kill_parent, 1), (terminate_parent, 2), (kill_group, 6)])
def test_a_killed_run_goes_on(
    commands: Commands, reference: Stored, tmp_path: Path, end: Callable[[subprocess.Popen[str]], None], seed: int
) -> None:
    rng = random.Random(seed)
    process = commands.start(tmp_path)
    wait_for_items(process, tmp_path, rng.randint(1, N_ITEMS - 12))
    children = children_of(process)
    time.sleep(rng.uniform(0, 0.01))
    end(process)
    process.communicate(timeout=20)
    assert process.returncode < 0
    check_all_is_gone(children)
    n_before = count_items(tmp_path)
    assert 0 < n_before < N_ITEMS
    check_goes_on(commands, tmp_path, reference, n_before=n_before)


def test_a_run_killed_again_and_again_gets_there(commands: Commands, reference: Stored, tmp_path: Path) -> None:
    for n_items in (5, 35):
        process = commands.start(tmp_path)
        wait_for_items(process, tmp_path, n_items)
        process.kill()
        process.communicate(timeout=20)
    commands.finish(tmp_path)
    assert read(tmp_path) == reference
    assert query(tmp_path, "SELECT kind FROM event") == [("resumed",)] * 2


@pytest.mark.parametrize("seed", [3, 4])
def test_a_run_killed_while_it_begins_goes_on(commands: Commands, reference: Stored, tmp_path: Path, seed: int) -> None:
    process = commands.start(tmp_path)
    time.sleep(random.Random(seed).uniform(0.3, 1.5))
    children = children_of(process)
    kill_parent(process)
    process.communicate(timeout=20)
    check_all_is_gone(children)
    check_goes_on(commands, tmp_path, reference, n_before=count_items(tmp_path))


def test_a_killed_worker_is_started_again(commands: Commands, reference: Stored, tmp_path: Path) -> None:
    rng = random.Random(5)
    process = commands.start(tmp_path)
    killed: set[int] = set()
    for n_items in sorted(rng.sample(range(1, N_ITEMS - 12), 2)):
        wait_for_items(process, tmp_path, n_items)
        (worker,) = [child for child in children_of(process) if "spawn_main" in " ".join(child.cmdline())]
        killed.add(worker.pid)
        worker.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert read(tmp_path) == reference
    events = query(tmp_path, "SELECT kind, text FROM event")
    assert {kind for kind, _ in events} == {"restarted"}
    assert 1 <= len(events) <= len(killed) == 2
    for _, text in events:
        assert re.match(r"The engine was restarted.*The process that ran \S+ was ended by SIGKILL\.", text)
        assert text in err


def test_ctrl_c_saves_what_is_done(commands: Commands, reference: Stored, tmp_path: Path) -> None:
    process = commands.start(tmp_path)
    wait_for_items(process, tmp_path, 20)
    children = children_of(process)
    # as a terminal does: to every process of the group
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert re.search(r"^Interrupted\. .*items of bbq.* are saved in \S+ The same command goes on", err, re.M)
    check_all_is_gone(children)
    check_goes_on(commands, tmp_path, reference, n_before=count_items(tmp_path))


def test_the_same_command_twice_at_once_is_refused(commands: Commands, reference: Stored, tmp_path: Path) -> None:
    first = commands.start(tmp_path)
    wait_for_items(first, tmp_path, 1)
    second = commands.start(tmp_path)
    _, err = second.communicate(timeout=60)
    if second.returncode != 0:  # 0 when the first was done already
        assert second.returncode == 1
        assert "Another llamabench is at work on this run" in err
    first.communicate(timeout=60)
    assert first.returncode == 0
    if second.returncode:
        assert read(tmp_path) == reference
