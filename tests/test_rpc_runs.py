"""Runs with layers on another machine's device, which is this processor over loopback: same scores, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from faults import FaultyEngine
from rpc import Server

from llamabench import opening, runner
from llamabench.engine import recovery
from llamabench.errors import ServerError
from llamabench.records import Overrides, Plan, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions

pytestmark = [pytest.mark.model, pytest.mark.rpc, pytest.mark.slow]

SUITES = ("bbq:starter", "preference:starter")
N_ITEMS = 20
MIB = 1 << 20

PLAIN = Overrides(n_threads=1, n_batch=128, flash_attention="off")
"""One thread, one size of batches and one way to compute attention, so that only the device differs."""


# --- a run, and what llama.cpp says of it -------------------------------------------------------

_lines: list[str] = []


def record_log() -> None:
    """Keeps every line that llama.cpp writes; runs in the engine's process."""
    from llamabench.engine.llama.library import last_words

    last_words.record = _lines


def read_log() -> list[str]:
    return _lines


def be_impatient() -> None:
    """Does not wait long for an answer."""
    from llamabench.engine import servers

    servers._CONNECT_S = servers._ANSWER_S = 0.2
    record_log()


class TellingEngine(FaultyEngine):
    """The engine of the runs; its process keeps the log, and what it says is there when it ends."""

    prepare = (record_log, ())
    log: ClassVar[list[str]] = []

    def close(self, *, now: bool = False) -> None:
        if not now:
            type(self).log = self.wait(self._executor.submit(read_log))
        super().close(now=now)


@dataclass
class Progress:
    """Does something when so many chunks are stored; remembers the notes."""

    after: int = 0
    act: Callable[[], None] = lambda: None
    n_steps: int = 0
    notes: list[str] = field(default_factory=list)

    def begin(self, run: Run) -> None: ...

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.n_steps += 1
        if self.n_steps == self.after:
            self.act()

    def note(self, text: str) -> None:
        self.notes.append(text)


class Start:
    """Starts runs of one model in small chunks."""

    def __init__(self, model: Path, out: Path):
        self.model = model
        self.n_runs = 0
        self.last = self.out = out

    def __call__(
        self, overrides: Overrides = PLAIN, progress: Progress | None = None, *, out: Path | None = None, **more: Any
    ) -> Run:
        self.n_runs += 1
        self.last = out or self.out / str(self.n_runs)
        options = RunOptions(self.model, SUITES, self.last, limit=N_ITEMS, overrides=overrides, **more)
        with runner.run(options, progress or Progress()) as stored:
            assert stored.is_finished
        return Run(stored.folder)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "Engine", TellingEngine)
    monkeypatch.setattr(opening, "_CHUNK_TOKENS", (512, 512))
    monkeypatch.setattr(recovery, "_WAITS_S", (0.3, 0.6))


@pytest.fixture
def start(demo_model: Path, tmp_path: Path) -> Start:
    return Start(demo_model, tmp_path / "runs")


def logprobs(run: Run) -> dict[str, list[float]]:
    """The log-probabilities of every item, which are what scores are made of."""
    found: dict[str, list[float]] = {}
    for choice in run.info.suites:
        for row in run.rows(choice.name):
            assert row.outcome == "scored", row.error
            answers = [answer for exchange in row.exchanges for answer in exchange.answers]
            found[f"{choice.name} {row.id}"] = [answer["logprob"] for answer in answers]  # type: ignore[misc]
    assert len(found) == len(SUITES) * N_ITEMS
    return found


def largest_difference(one: Run, two: Run) -> float:
    before, after = logprobs(one), logprobs(two)
    assert before.keys() == after.keys()
    return max(abs(a - b) for name in before for a, b in zip(before[name], after[name], strict=True))


def scores(run: Run) -> dict[tuple[str, str, str | None], float | None]:
    return {(score.suite, score.metric.name, score.metric.group): score.metric.value for score in run.scores()}


def kinds(run: Run) -> list[str]:
    return [event.kind for event in run.events()]


def log_bytes(what: str, device: str = "RPC0[") -> float:
    """MiB of a kind of buffer that went to a device in the last model and context opened, as the log has it."""
    found = [line for line in TellingEngine.log if f"{what} buffer size =" in line and device in line]
    return float(found[-1].split("=")[1].split()[0]) if found else 0.0


def layers_on_server() -> int:
    """Layers that the log assigns to the server when the model was opened last."""
    opened = [number for number, line in enumerate(TellingEngine.log) if "layer   0 assigned to device" in line]
    return sum("assigned to device RPC0" in line for line in TellingEngine.log[opened[-1] :])


# --- the same scores ----------------------------------------------------------------------------


@pytest.fixture(params=["demo", "stories260K"])
def any_model(request: pytest.FixtureRequest) -> Path:
    if request.param == "demo":
        return request.getfixturevalue("demo_model")
    return request.getfixturevalue("shared_data") / "models" / "stories260K.gguf"


def run_with_and_without(model: Path, out: Path, settings: Overrides) -> tuple[Run, Run]:
    """A run on the processor alone, and one with 40 % of the layers on a server, where they really are."""
    start = Start(model, out)
    alone = start(settings)
    with Server() as server:
        n_layers = round(0.4 * (alone.info.model.n_layers + 1))
        shared = start(replace(settings, rpc_servers=(server.address,), n_gpu_layers=n_layers))
    assert alone.info.plan.n_gpu_layers == 0
    assert shared.info.plan.rpc_servers == (server.address,)
    assert layers_on_server() == n_layers
    assert min(log_bytes(what) for what in ("model", "KV", "compute")) > 0
    assert kinds(shared) == []
    assert f"|ngl:{n_layers}|rpc:1|" in shared.scores()[0].signature
    assert "|rpc:" not in alone.scores()[0].signature
    assert alone.info.id != shared.info.id
    return alone, shared


def test_two_layers_in_five_on_a_server_give_the_same_scores(any_model: Path, tmp_path: Path) -> None:
    alone, shared = run_with_and_without(any_model, tmp_path, PLAIN)
    difference = largest_difference(alone, shared)
    print(f"largest difference of a log-probability: {difference:.2g}")
    assert difference <= 1e-4
    assert scores(shared) == pytest.approx(scores(alone), abs=1e-4)


def test_usual_settings_differ_by_noise(any_model: Path, tmp_path: Path) -> None:
    """Batches are larger on a device, and flash attention sums in another order."""
    alone, shared = run_with_and_without(any_model, tmp_path, Overrides())
    before, after = logprobs(alone), logprobs(shared)
    difference = largest_difference(alone, shared)
    changed = [name for name in before if np.argmax(before[name]) != np.argmax(after[name])]
    print(f"largest difference of a log-probability: {difference:.2g}, {len(changed)} answers changed")
    assert difference <= 0.1
    assert len(changed) <= 1


def test_what_lies_on_the_server_was_planned_to_the_byte(start: Start) -> None:
    with Server() as server:
        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3))
    (planned,) = [part for part in run.info.plan.layout if part.device == "RPC0"]
    assert run.info.plan.is_exact_layout
    for what, n_bytes in (
        ("model", planned.weight_bytes),
        ("KV", planned.context_bytes),
        ("compute", planned.compute_bytes),
    ):
        assert log_bytes(what) == pytest.approx(n_bytes / MIB, abs=0.01)


# --- too little memory --------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1 << 10, 5 * MIB])
def test_a_limit_too_small_for_the_model_is_planned_around(start: Start, limit: int) -> None:
    alone = start()
    with Server() as server:
        limited = start(replace(PLAIN, rpc_servers=(server.address,), vram_limit_bytes=limit))
        assert server.is_alive
    on_server = sum(log_bytes(what) for what in ("model", "KV", "compute"))
    assert on_server * MIB <= limit + 0.02 * MIB
    assert limited.info.plan.n_gpu_layers <= limited.info.model.n_layers
    assert largest_difference(alone, limited) <= 1e-4
    assert kinds(limited) == []


def test_a_server_with_little_memory_is_planned_around(start: Start) -> None:
    with Server(free_bytes=513 * MIB) as server:  # half a GiB is kept free on each device
        run = start(replace(PLAIN, rpc_servers=(server.address,)))
    assert sum(log_bytes(what) for what in ("model", "KV", "compute")) <= 1.02
    assert run.info.plan.n_gpu_layers <= run.info.model.n_layers
    assert kinds(run) == []


@pytest.mark.parametrize(
    ("spare_bytes", "words"),
    [(700_000, "layers on devices cut from 4 to"), (3_000_000, "batches cut from")],
    ids=["weights", "context"],
)
def test_a_server_that_has_less_than_it_says(start: Start, spare_bytes: int, words: str) -> None:
    alone = start()
    with Server(spare_bytes=spare_bytes) as server:
        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=4))
        assert server.is_alive
    assert set(kinds(run)) == {"shrunk"}
    assert words in run.events()[0].text
    assert "RPC0[" in run.events()[0].text
    assert 0 < run.info.plan.n_gpu_layers < 4
    assert largest_difference(alone, run) <= 0.01


def test_a_server_whose_memory_ends_in_the_middle(start: Start) -> None:
    alone = start()
    with Server() as server:
        progress = Progress(2, server.starve)
        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=4), progress)
    assert {"restarted"} <= set(kinds(run)) <= {"restarted", "shrunk", "waited", "moved"}
    # what is asked of the server is less: layers, or tokens at once, whichever ran out
    assert run.info.plan.n_gpu_layers < 4 or run.info.plan.scoring.n_batch < alone.info.plan.scoring.n_batch
    assert largest_difference(alone, run) <= 0.01


# --- servers that leave -------------------------------------------------------------------------


@pytest.fixture
def reference(start: Start) -> Run:
    """An undisturbed run with three layers on a server."""
    with Server() as server:
        return start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3))


def test_a_server_that_is_started_again_is_used_again(start: Start, reference: Run) -> None:
    with Server() as server:

        def kill() -> None:
            server.kill()
            threading.Timer(0.5, server.start).start()

        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3), Progress(5, kill))
    assert kinds(run)[0] == "restarted"
    assert set(kinds(run)) <= {"restarted", "waited"}
    assert server.address in run.events()[0].text
    assert run.info.plan.rpc_servers == (server.address,)
    assert logprobs(run) == logprobs(reference)
    assert scores(run) == scores(reference)


def test_a_server_that_stays_away_is_done_without(start: Start, reference: Run) -> None:
    with Server() as server:
        progress = Progress(5, server.kill)
        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3), progress)
    assert kinds(run) == ["restarted", "waited", "waited", "moved"]
    last = run.events()[-1].text
    assert last.startswith(
        f"{server.address} is not used any more: 3 layers run on the host instead. No server listens"
    )
    assert run.info.plan.rpc_servers == ()
    assert run.info.plan.n_gpu_layers == 0
    assert run.info.plan.reasons[-1] in last
    assert largest_difference(reference, run) <= 1e-4
    assert progress.notes == [event.text for event in run.events()]


def test_a_server_that_does_not_answer_any_more_is_done_without(
    start: Start, reference: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TellingEngine, "prepare", (be_impatient, ()))
    with Server() as server:
        overrides = replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3)
        run = start(overrides, Progress(3, server.freeze), watchdog_s=1.0)
    assert kinds(run) == ["restarted", "waited", "waited", "moved"]
    assert "made no progress" in run.events()[0].text
    # the system itself takes two connections for it, and no more
    assert "did not answer within 0.2 s" in run.events()[1].text
    assert "cannot be reached within 0.2 s" in run.events()[-1].text
    assert largest_difference(reference, run) <= 1e-4


def test_a_server_that_ends_while_the_model_is_opened(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        usual = TellingEngine.open

        def kill_and_open(self: TellingEngine, plan: Plan) -> Plan:
            server.kill()
            return usual(self, plan)

        monkeypatch.setattr(TellingEngine, "open", kill_and_open)
        run = start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3))
    assert kinds(run) == ["waited", "waited", "moved"]
    assert len(logprobs(run)) == len(SUITES) * N_ITEMS


def test_a_run_under_way_goes_on_without_its_server(start: Start, reference: Run) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with Server() as server:
        overrides = replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3)
        with pytest.raises(KeyboardInterrupt):
            start(overrides, Progress(5, interrupt))
    run = start(overrides, out=start.last, resume=True)
    assert kinds(run) == ["resumed", "restarted", "waited", "waited", "moved"]
    assert largest_difference(reference, run) <= 1e-4


def test_a_new_run_needs_its_server(start: Start) -> None:
    with Server() as server:
        pass
    with pytest.raises(ServerError, match=f"No server listens at {server.address}. Start one there: llamabench rpc-"):
        start(replace(PLAIN, rpc_servers=(server.address,), n_gpu_layers=3))
    assert not start.last.exists()
