"""Runs on a cluster, real from end to end over loopback: the same numbers as on one machine, whoever leaves."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, Worker

from llamabench import runner
from llamabench.cluster.job import ClusterOptions
from llamabench.errors import EngineError, LlamabenchError
from llamabench.records import Standing
from llamabench.report.banners import raise_banners
from llamabench.report.settings import describe_settings
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites.redteam.suite import AttackOptions, RedTeam

pytest.importorskip("distributed")

pytestmark = [pytest.mark.model, pytest.mark.slow]

N_ITEMS = 40
ATTACKS = RedTeam(AttackOptions(count=12, techniques=("direct", "crescendo", "best_of_n"), max_tokens=8))


@dataclass
class Progress:
    """Does something once, when so many chunks are stored and the run is so far; remembers the notes."""

    after: int = 0
    act: Callable[[], object] = lambda: None
    pause_s: float = 0.0
    is_far: Callable[[Run], bool] = lambda _: True
    n_steps: int = 0
    has_acted: bool = False
    run: Run | None = None
    notes: list[str] = field(default_factory=list)

    def begin(self, run: Run) -> None:
        self.run = run

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.n_steps += 1
        time.sleep(self.pause_s)
        assert self.run is not None
        if 0 < self.after <= self.n_steps and not self.has_acted and self.is_far(self.run):
            self.has_acted = True
            self.act()

    def note(self, text: str) -> None:
        self.notes.append(text)


def slow_down(data: Path) -> None:
    """Has the model taken for a slow one, so that chunks are small and there are many of them."""
    path = data / "speed.json"
    entries = json.loads(path.read_text())
    packs = {key: [entry[0], 64.0] for key, entry in entries.items() if isinstance(entry, list)}
    path.write_text(json.dumps({**entries, **packs}))


@dataclass
class Local:
    """What one machine gives: options of the run, its rows, and where its measured speeds are kept."""

    options: RunOptions
    rows: list[tuple[Any, ...]]
    data: Path


@pytest.fixture(scope="module")
def local(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Local:
    """A run on this machine, of questions that are asked once, and of attacks that take up what was answered."""
    folder, data = tmp_path_factory.mktemp("local"), tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMABENCH_DATA", str(data))
        options = RunOptions(
            demo_model, ("bbq:starter", "redteam"), folder, limit=N_ITEMS, configured={ATTACKS.NAME: ATTACKS}
        )
        with runner.run(replace(options, suites=("bbq:starter",), limit=1), Progress()):
            slow_down(data)
        with runner.run(options, Progress()) as run:
            return Local(options, rows_of(run), data)


@pytest.fixture(autouse=True)
def as_at_home(local: Local, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers share the measured speeds of the run on this machine: they plan as it did."""
    monkeypatch.setenv("LLAMABENCH_DATA", str(local.data))


@pytest.fixture(scope="module")
def cluster(local: Local) -> Iterator[Cluster]:
    """A scheduler; workers end with the test that starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMABENCH_DATA", str(local.data))
        with Cluster() as made:
            yield made


@pytest.fixture
def hire(cluster: Cluster) -> Iterator[Callable[..., Worker]]:
    """Starts a worker that ends with the test."""
    workers: list[Worker] = []

    def start(name: str, *options: str) -> Worker:
        workers.append(cluster.add_worker(name, *options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture
def options(local: Local, cluster: Cluster, tmp_path: Path) -> RunOptions:
    return replace(local.options, out=tmp_path, cluster=ClusterOptions(cluster.address, wait_s=30.0))


def rows_of(run: Run) -> list[tuple[Any, ...]]:
    """Everything that is stored about items, as it lies on the disk."""
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as database:
        return database.execute(
            "SELECT suite, ordinal, id, outcome, facts, vals, error, exchanges FROM item ORDER BY suite, ordinal"
        ).fetchall()


def check_whole(run: Run, local: Local) -> None:
    """Nothing is lost, nothing is there twice, every number is that of one machine, and it is known who gave it."""
    assert run.is_finished
    assert rows_of(run) == local.rows
    placed = sorted(
        (origin.suite, origin.first + number) for origin in run.origins() for number in range(origin.n_items)
    )
    assert placed == sorted((row[0], row[1]) for row in local.rows)


def who_answered(run: Run) -> set[str]:
    return {run.info.workers[number].name for origin in run.origins() for number in origin.workers}


def kinds(run: Run) -> list[str]:
    return [event.kind for event in run.events()]


# --- the same numbers ---------------------------------------------------------------------------


def test_two_workers_of_which_one_is_killed_give_what_one_machine_gives(
    options: RunOptions, local: Local, hire: Callable[..., Worker]
) -> None:
    first, _ = hire("first"), hire("second")
    progress = Progress(6, first.kill, is_far=lambda run: "first" in who_answered(run))
    with runner.run(options, progress) as run:
        check_whole(run, local)
        assert len(run.origins()) > 12
        assert who_answered(run) == {"first", "second"}
        assert kinds(run) == ["worker"]
        assert run.events()[0].text == "first has left. What it had in hand is asked of others."
        assert {one.name for one in run.info.workers} == {"first", "second"}
        assert run.info.machine == run.info.workers[0].machine
        assert all("|workers:2|" in score.signature for score in run.scores())
        (page,) = [one for one in describe_settings(run.info) if one.title == "Workers"]
        assert [pair.name for pair in page.pairs] == [one.name for one in run.info.workers]
    assert "first has left." in progress.notes[-1]


def test_a_run_that_is_interrupted_goes_on_with_other_workers(
    options: RunOptions, local: Local, hire: Callable[..., Worker]
) -> None:
    first = hire("first")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(options, Progress(5, interrupt))
    assert first.stop() == 0
    assert first.lines[-1] == "The worker has ended."
    hire("later")
    with runner.run(replace(options, resume=True), Progress()) as run:
        check_whole(run, local)
        assert who_answered(run) == {"first", "later"}
        assert kinds(run) == ["resumed"]


def test_who_comes_in_the_middle_takes_part_and_a_scheduler_that_was_away_is_found_again(
    options: RunOptions, local: Local, hire: Callable[..., Worker], cluster: Cluster
) -> None:
    first = hire("first")
    cluster.scheduler.kill()
    first.wait_for("is gone.")
    cluster.start_scheduler()
    first.wait_for("is ready at", times=2)
    with runner.run(options, Progress(3, lambda: hire("second"), pause_s=0.4)) as run:
        check_whole(run, local)
        assert who_answered(run) == {"first", "second"}


def test_a_worker_brings_its_own_engine_back(options: RunOptions, local: Local, hire: Callable[..., Worker]) -> None:
    worker = hire("first")

    def kill_engine() -> None:
        for child in worker.children():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in command:
                os.kill(child, signal.SIGKILL)

    with runner.run(options, Progress(5, kill_engine)) as run:
        check_whole(run, local)
        assert "restarted" in kinds(run)
        assert run.events()[0].text.startswith("first: The engine was restarted (once).")


def test_an_audit_is_asked_of_workers_too(options: RunOptions, hire: Callable[..., Worker]) -> None:
    hire("first")
    with runner.run(replace(options, suites=("bbq:starter",), limit=8, n_audited=4), Progress()) as run:
        (audit,) = run.audits()
        assert (audit.n_items, audit.n_failed) == (4, 0)


def test_certificates_keep_strangers_out(options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = make_certificate(tmp_path)
    with Cluster(scheme="tls", env=variables) as guarded:
        guarded.add_worker("first")
        options = replace(
            options, suites=("bbq:starter",), limit=8, cluster=ClusterOptions(guarded.address, wait_s=30.0)
        )
        with pytest.raises(EngineError, match=r"asks for certificates, and none are named in Dask's configuration"):
            runner.run(options, Progress())
        import dask.config

        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        dask.config.refresh()
        try:
            with runner.run(options, Progress()) as run:
                assert who_answered(run) == {"first"}
        finally:
            monkeypatch.undo()
            dask.config.refresh()


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate for all machines, as docs/cluster.md has it made, and the variables that name it to Dask."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    page = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (openssl .*)$", page, re.M)
    subprocess.run(shlex.split(command), cwd=folder, capture_output=True, check=True)
    names = re.findall(r"^    export (DASK_\w+)=~/(cluster\.\w+)$", page, re.M)
    assert len(names) == 7
    return {name: str(folder / file) for name, file in names}


# --- who may not take part ----------------------------------------------------------------------


def test_another_file_of_that_name_is_refused_or_named(
    options: RunOptions, demo_model: Path, hire: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        shutil.copy(demo_model, folder / "model.gguf")
    contents = bytearray(demo_model.read_bytes())
    contents[-100] ^= 1
    (there / "model.gguf").write_bytes(contents)
    monkeypatch.chdir(there)
    hire("first")
    monkeypatch.chdir(here)
    assert options.cluster is not None
    options = replace(options, model=Path("model.gguf"), suites=("bbq:starter",), limit=8)
    with pytest.raises(EngineError, match=r"may take part in this run:\n  tcp://.* is another file of that name"):
        runner.run(options, Progress())
    with runner.run(replace(options, cluster=replace(options.cluster, allows_mixed=True)), Progress()) as run:
        assert who_answered(run) == {"first"}
        assert run.info.workers[0].fingerprint != run.info.model.fingerprint
        assert all("|mixed:files|" in score.signature for score in run.scores())
        (banner,) = [one for one in raise_banners(run.info, (), is_finished=True) if "Workers" in one.title]
        assert "another file of the model: first." in banner.text


def test_a_worker_of_dasks_own_is_refused(options: RunOptions, local: Local) -> None:
    with Cluster() as other:
        other.add_plain_worker()
        progress = Progress()
        with pytest.raises(EngineError, match="plain Dask worker, which holds no model. Start it with: llamabench"):
            runner.run(replace(options, cluster=ClusterOptions(other.address)), progress)
        assert progress.notes[0].startswith("The worker at tcp://")


def test_nobody_there_is_said_after_a_while(options: RunOptions, cluster: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(EngineError, match=f"No worker came to the scheduler at {cluster.address} in 1 s. Start one on"):
        runner.run(replace(options, cluster=ClusterOptions(cluster.address, wait_s=1.0)), Progress())
    assert time.monotonic() - began < 60


def test_a_scheduler_that_goes_away_ends_the_run_which_goes_on_later(
    options: RunOptions, local: Local, hire: Callable[..., Worker], cluster: Cluster
) -> None:
    hire("first")
    with pytest.raises(EngineError, match="does not answer any more"):
        runner.run(options, Progress(5, cluster.scheduler.kill))
    cluster.start_scheduler()
    with runner.run(replace(options, resume=True), Progress()) as run:
        check_whole(run, local)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"is_benched": True}, "--bench measures this machine"), ({"rpc": True}, "--rpc and --scheduler exclude")],
)
def test_what_makes_no_sense_with_workers_is_refused(options: RunOptions, more: dict[str, bool], words: str) -> None:
    overrides = replace(options.overrides, rpc_servers=("a:1",) if more.pop("rpc", False) else ())
    with pytest.raises(LlamabenchError, match=words):
        runner.run(replace(options, overrides=overrides, **more), Progress())
