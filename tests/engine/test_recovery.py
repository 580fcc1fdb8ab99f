"""Engines that fail in every way, scripted and real: asked again, asked for less, and the item at fault found."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from faults import POISON, FaultyEngine, eat, starve, starve_scoring

from llamabench.engine import deaths, process, recovery
from llamabench.engine.deaths import count_memory_kills, is_about_memory
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.engine.recovery import Asker, open_with_less
from llamabench.errors import EngineDiedError, EngineError, ModelFileError, OutOfMemoryError, ServerError
from llamabench.records import Answers, Failure, Plan, Scored, ScoreRequest, ScoreResult, TextPrompt

ABORT = EngineDiedError("GGML_ASSERT(false) failed.")
KILL = EngineDiedError("Ended by SIGKILL.", "killed")
HANG = EngineDiedError("Too long.", "hung")
NO_MEMORY = EngineDiedError("std::bad_alloc.", "memory")
POLITE_NO_MEMORY = OutOfMemoryError("failed to allocate.")
REFUSED = EngineError("status 1.")


# --- an engine that fails as it is told ---------------------------------------------------------


@dataclass
class ScriptedEngine:
    """Scores as it should while it lives; each number depends on all that was asked with it.

    Attributes:
        fails: Why a chunk of these requests fails now; None to answer it.
        fails_to_open: Why a plan cannot be opened now.
        fails_to_restart: Why it cannot be started now.
        asked: The ids of every chunk waited for.
        opened: Every plan opened.
    """

    fails: Callable[[list[str]], EngineError | None] = lambda _: None
    fails_to_open: Callable[[Plan], EngineError | None] = lambda _: None
    fails_to_restart: Callable[[], EngineError | None] = lambda: None
    asked: list[list[str]] = field(default_factory=list)
    opened: list[Plan] = field(default_factory=list)
    n_restarts: int = 0
    is_dead: bool = False
    waiting: dict[Future[Answers], tuple[int, list[ScoreRequest]]] = field(default_factory=dict)

    def _raise(self, error: EngineError | None) -> None:
        if error is not None:
            self.is_dead = isinstance(error, EngineDiedError)
            raise error

    def open(self, plan: Plan) -> None:
        assert not self.is_dead
        self.opened.append(plan)
        self._raise(self.fails_to_open(plan))

    def restart(self) -> None:
        self.n_restarts += 1
        self._raise(self.fails_to_restart())
        self.is_dead = False

    def submit(self, requests: Sequence[ScoreRequest]) -> Future[Answers]:
        if self.is_dead:
            raise KILL
        future: Future[Answers] = Future()
        self.waiting[future] = (self.n_restarts, list(requests))
        return future

    def wait(self, future: Future[Answers]) -> Answers:
        n_restarts, requests = self.waiting.pop(future)
        assert n_restarts == self.n_restarts, "what was submitted before a restart is lost"
        names = [request.id for request in requests]
        self.asked.append(names)
        self._raise(self.fails(names))
        return answer(requests)


def answer(requests: Sequence[ScoreRequest]) -> Answers:
    together = hash(tuple(request.id for request in requests)) % 1000 / 1000
    return Answers([ScoreResult(r.id, "", (Scored(together, 1, 1, is_greedy=False),)) for r in requests], len(requests))


def item(name: str, n_requests: int = 1) -> tuple[ScoreRequest, ...]:
    return tuple(ScoreRequest(f"{name}{n or ''}", TextPrompt(name), (" x",)) for n in range(n_requests))


def items(names: str) -> list[tuple[ScoreRequest, ...]]:
    return [item(name) for name in names]


def times(n: int, error: EngineError, *, name: str = "") -> Callable[[list[str]], EngineError | None]:
    """Fails the first `n` chunks that hold an item."""
    left = n

    def fails(names: list[str]) -> EngineError | None:
        nonlocal left
        if left and (not name or name in names):
            left -= 1
            return error
        return None

    return fails


def poisoned(bad: str, error: EngineError = ABORT) -> Callable[[list[str]], EngineError | None]:
    return lambda names: error if set(bad) & set(names) else None


@dataclass
class Told:
    """What an asker told."""

    events: list[tuple[str, str]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        self.events.append((kind, text))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


@pytest.fixture
def told() -> Told:
    return Told()


def make_asker(engine: ScriptedEngine | Engine, told: Told, plan: Plan = PLAIN_PLAN) -> Asker:
    return Asker(engine, plan, note=told.note, replan=told.plans.append)


def score(asker: Asker, chunks: Sequence[str]) -> list[Answers]:
    """Scores chunks, two at a time, as a run does."""
    answers: list[Answers] = []
    waiting = list(chunks)
    while waiting or len(asker):
        while waiting and len(asker) < 2:
            asker.submit(items(waiting.pop(0)))
        answers.append(asker.next())
    return answers


CHUNKS = ("abcdefgh", "ijkl", "m", "nopq")
USUAL = [answer([request for entry in items(chunk) for request in entry]) for chunk in CHUNKS]


def without(bad: str) -> list[Answers]:
    """What bad items leave of the usual answers: the others of a chunk as if they had been asked without them."""
    left = []
    for chunk in CHUNKS:
        good = iter(answer([request for entry in items(chunk) for request in entry if request.id not in bad]).results)
        results = [Failure(name, str(ABORT)) if name in bad else next(good) for name in chunk]
        left.append(Answers(results, 0))
    return left


# --- asking again -------------------------------------------------------------------------------


def test_nothing_happens_while_all_is_well(told: Told) -> None:
    engine = ScriptedEngine()
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert (engine.n_restarts, told.events) == (0, [])


@pytest.mark.parametrize("error", [ABORT, KILL, HANG, NO_MEMORY, POLITE_NO_MEMORY, REFUSED])
@pytest.mark.parametrize("name", ["a", "k", "m", "q"])
def test_a_failure_that_passes_changes_nothing(told: Told, error: EngineError, name: str) -> None:
    engine = ScriptedEngine(times(1, error, name=name))
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert told.events == [("restarted", f"The engine was restarted (once). {error}")]
    assert engine.opened == [PLAIN_PLAN]
    assert told.plans == []


def test_kills_blame_nobody(told: Told) -> None:
    engine = ScriptedEngine(times(5, KILL, name="m"))
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert told.kinds == ["restarted"] * 5
    assert "(5 times so far)" in told.events[-1][1]


def test_kills_without_end_end_the_run(told: Told) -> None:
    asker = make_asker(ScriptedEngine(poisoned("m", KILL)), told)
    with pytest.raises(EngineError, match=r"The engine was ended 6 times in a row\. Ended by SIGKILL"):
        score(asker, CHUNKS)


def test_a_file_that_vanished_is_no_matter_of_trying_again(told: Told) -> None:
    engine = ScriptedEngine(times(1, ABORT))

    def fail(_: Plan) -> EngineError | None:
        raise ModelFileError("It is gone.")

    engine.fails_to_open = fail
    with pytest.raises(ModelFileError):
        score(make_asker(engine, told), CHUNKS)


def test_a_start_that_is_killed_is_tried_again(told: Told) -> None:
    left = [KILL, KILL, ABORT]
    engine = ScriptedEngine(times(1, ABORT), fails_to_restart=lambda: left.pop() if left else None)
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert engine.n_restarts == 4


def test_an_engine_that_never_starts_again_ends_the_run(told: Told) -> None:
    engine = ScriptedEngine(times(1, ABORT), fails_to_restart=lambda: ABORT)
    with pytest.raises(EngineDiedError):
        score(make_asker(engine, told), CHUNKS)
    assert engine.n_restarts == 2


# --- finding the item ---------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["a", "h", "d", "m", "ah", "cd", "im", "abcdefgh", "mn", "ijkl"])
@pytest.mark.parametrize("error", [ABORT, HANG, REFUSED])
def test_items_that_fail_are_named_and_others_do_not_notice(told: Told, bad: str, error: EngineError) -> None:
    engine = ScriptedEngine(poisoned(bad, error))
    found = score(make_asker(engine, told), CHUNKS)
    expected = [
        [replace(r, message=str(error)) if isinstance(r, Failure) else r for r in answers.results]
        for answers in without(bad)
    ]
    assert [answers.results for answers in found] == expected
    lost = [text for kind, text in told.events if kind == "lost"]
    assert [text[0] for text in lost] == sorted(bad)
    assert all(str(error) in text for text in lost)
    assert all(engine.asked.count([name]) >= 2 for name in bad), "an item is asked for alone twice before it is lost"


def test_all_requests_of_an_item_are_lost_together(told: Told) -> None:
    engine = ScriptedEngine(poisoned(["b2"]))  # type: ignore[arg-type]
    asker = make_asker(engine, told)
    asker.submit([item("a", 2), item("b", 3), item("c")])
    results = asker.next().results
    assert [r.id for r in results] == ["a", "a1", "b", "b1", "b2", "c"]
    assert [isinstance(r, Failure) for r in results] == [False, False, True, True, True, False]
    assert "lost" in told.kinds


def test_a_chunk_that_fails_only_as_a_whole_is_scored_in_parts(told: Told) -> None:
    engine = ScriptedEngine(lambda names: ABORT if len(names) == 8 else None)
    found = score(make_asker(engine, told), CHUNKS)
    assert [r.id for r in found[0].results] == list("abcdefgh")
    assert not any(isinstance(r, Failure) for answers in found for r in answers.results)
    assert found[1:] == USUAL[1:]
    assert "lost" not in told.kinds


def test_an_engine_that_answers_nothing_blames_no_item(told: Told) -> None:
    engine = ScriptedEngine()
    asker = make_asker(engine, told)
    asker.submit(items("ab"))
    asker.next()
    engine.fails = lambda _: ABORT
    asker.submit(items("cd"))
    with pytest.raises(EngineDiedError, match="GGML_ASSERT"):
        asker.next()
    assert "lost" not in told.kinds


# --- less memory --------------------------------------------------------------------------------


def test_memory_that_stays_short_shrinks_the_plan_for_good(told: Told) -> None:
    engine = ScriptedEngine()
    engine.fails = lambda _: NO_MEMORY if engine.opened[-1:] in ([], [PLAIN_PLAN]) else None
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert told.kinds == ["restarted", "restarted", "shrunk"]
    (plan,) = told.plans
    assert plan.scoring.n_batch < PLAIN_PLAN.scoring.n_batch
    assert engine.opened[-1] == plan
    assert told.events[-1][1] == f"Memory ran out: batches cut from 512 to 128 tokens. {NO_MEMORY}"


def test_memory_short_while_opening_shrinks_too(told: Told) -> None:
    engine = ScriptedEngine(
        times(1, KILL), fails_to_open=lambda plan: POLITE_NO_MEMORY if plan.scoring.n_ubatch > 64 else None
    )
    assert score(make_asker(engine, told), CHUNKS) == USUAL
    assert told.kinds == ["restarted", "shrunk", "shrunk"]
    assert [plan.scoring.n_ubatch for plan in told.plans] == [64]


def test_memory_that_never_suffices_ends_the_run(told: Told) -> None:
    engine = ScriptedEngine(lambda _: NO_MEMORY)
    with pytest.raises(EngineError, match=r"smallest plan \(0 layers .+ 64 tokens\).+bad_alloc.+Close other programs"):
        score(make_asker(engine, told), CHUNKS)


def test_opening_tries_smaller_plans(told: Told) -> None:
    engine = ScriptedEngine(fails_to_open=lambda plan: NO_MEMORY if plan.n_gpu_layers > 20 else None)
    plan = replace(PLAIN_PLAN, n_gpu_layers=33)

    def use(plan: Plan) -> Plan:
        engine.open(plan)
        return plan

    opened = open_with_less(engine, plan, use, note=told.note)
    assert opened.n_gpu_layers == 16
    assert opened.scoring.n_ctx == plan.scoring.n_ctx
    assert set(told.kinds) == {"shrunk"}


def test_the_last_of_smaller_plans_keeps_everything_on_the_host(told: Told) -> None:
    engine = ScriptedEngine(fails_to_open=lambda plan: NO_MEMORY if plan.n_gpu_layers else None)
    plan = replace(PLAIN_PLAN, n_gpu_layers=65)
    scorer = make_asker(engine, told, plan)
    engine.fails = times(1, KILL)
    assert score(scorer, CHUNKS) == USUAL
    assert [plan.n_gpu_layers for plan in engine.opened] == [65, 65, 65, 65, 32, 16, 0]


# --- servers ------------------------------------------------------------------------------------

ON_SERVERS = replace(PLAIN_PLAN, n_gpu_layers=4, tensor_split=(1.0, 3.0), rpc_servers=("a:1", "b:1"))
LEFT = EngineDiedError("Remote RPC server crashed.", "server")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a server was waited for."""
    waited: list[float] = []
    monkeypatch.setattr(recovery.time, "sleep", waited.append)
    return waited


def test_a_server_that_comes_back_is_used_again(told: Told, pauses: list[float]) -> None:
    left = [ServerError("No server.", "a:1")]
    engine = ScriptedEngine(times(1, LEFT, name="k"), fails_to_open=lambda _: left.pop() if left else None)
    assert score(make_asker(engine, told, ON_SERVERS), CHUNKS) == USUAL
    assert told.kinds == ["restarted", "waited"]
    assert told.plans == []
    assert pauses == [1.0]


def test_a_server_that_stays_away_is_done_without(told: Told, pauses: list[float]) -> None:
    def fails_to_open(plan: Plan) -> EngineError | None:
        return ServerError("No server at a:1.", "a:1") if "a:1" in plan.rpc_servers else None

    engine = ScriptedEngine(times(1, LEFT, name="k"), fails_to_open=fails_to_open)
    assert score(make_asker(engine, told, ON_SERVERS), CHUNKS) == USUAL
    assert told.kinds == ["restarted", "waited", "waited", "moved"]
    assert told.events[-1][1] == "a:1 is not used any more: 1 layers run on the host instead. No server at a:1."
    (plan,) = told.plans
    assert (plan.n_gpu_layers, plan.rpc_servers) == (3, ("b:1",))
    assert pauses == [1.0, 4.0]


def test_a_server_that_dies_of_every_question_is_to_blame_not_the_item(told: Told, pauses: list[float]) -> None:
    engine = ScriptedEngine()
    engine.fails = lambda names: LEFT if "k" in names and (not engine.opened or engine.opened[-1].rpc_servers) else None
    assert score(make_asker(engine, told, ON_SERVERS), CHUNKS) == USUAL
    assert told.kinds == ["restarted", "restarted", "moved"]
    assert told.plans[-1].rpc_servers == ()
    assert pauses == []


def test_a_server_is_not_waited_for_by_a_plan_that_has_none(told: Told) -> None:
    engine = ScriptedEngine(fails_to_open=lambda _: ServerError("Built without RPC."))
    with pytest.raises(ServerError, match="Built without RPC"):
        open_with_less(engine, PLAIN_PLAN, engine.open, note=told.note)


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        "alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc failed: out of memory",
        "CUDA error: out of memory",
        "ggml_vulkan: Device memory allocation of size 1073741824 failed. / ErrorOutOfDeviceMemory",
        "ggml_gallocr_reserve_n_impl: failed to allocate CPU buffer of size 69482496",
        "error loading model: mmap failed: Cannot allocate memory",
        "ggml_metal: error: command buffer 0 failed with status 5: Insufficient Memory (00000008)",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "llama.cpp could not decode 512 tokens (status -2): llama.cpp gave no reason.",
    ],
)
def test_words_about_memory(words: str) -> None:
    assert is_about_memory(words)


@pytest.mark.parametrize(
    "words",
    [
        "GGML_ASSERT(n_tokens_all <= cparams.n_batch) failed",
        "llama.cpp could not decode 64 tokens (status 1): its memory has no room left.",
        "error loading model: tensor 'blk.0.ffn_up.weight' data is not within the file bounds",
        "CUDA error: an illegal memory access was encountered",
        "unknown model architecture: 'lmama'",
    ],
)
def test_words_about_something_else(words: str) -> None:
    assert not is_about_memory(words)


@pytest.mark.parametrize(("text", "count"), [("nr_free 3\noom_kill 7\n", 7), ("nr_free 3\n", None), (None, None)])
def test_kernel_count(text: str | None, count: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vmstat"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(deaths, "_KERNEL_COUNTS", path)
    assert count_memory_kills() == count


# --- real processes -----------------------------------------------------------------------------

QUESTIONS = [
    ScoreRequest(f"q{n}", TextPrompt(f"Question {n}: what is {n} and {n}?"), (" dog", " cat", f" {n}"))
    for n in range(12)
]


def bad_question(fault: str) -> ScoreRequest:
    return ScoreRequest("bad", TextPrompt(POISON + fault), (" dog",))


@pytest.fixture
def engine(demo_model: Path) -> Iterator[Engine]:
    with Engine(demo_model, replace(PLAIN_PLAN, n_threads=1)) as opened:
        yield opened


def test_a_restarted_engine_gives_the_same_numbers(engine: Engine) -> None:
    before = engine.score(QUESTIONS)
    first = engine.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EngineDiedError):
        engine.score(QUESTIONS)
    for _ in range(2):
        engine.restart()
        assert engine.process_id != first
        assert engine.score(QUESTIONS) == before


@pytest.mark.model
@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        ("abort", "failed", r"llama\.cpp gave up on .+GGML_ASSERT\(n_tokens_all <= cparams\.n_batch\) failed"),
        ("die", "failed", "was ended by SIGSEGV"),
        ("end", "failed", r"ended by itself \(exit code 3\)"),
        ("hang", "hung", r"no progress with .+ for more than 0\.3 s and was ended.+--watchdog"),
        ("bad_alloc", "memory", r"was ended by SIGABRT.+std::bad_alloc"),
        ("kill", "killed", r"SIGKILL\. The system did not do it for want of memory"),
    ],
)
def test_every_death_is_told_apart(demo_model: Path, fault: str, cause: str, words: str) -> None:
    with FaultyEngine(demo_model, watchdog_s=0.3) as engine:
        engine.score(QUESTIONS[:1])
        with pytest.raises(EngineDiedError, match=words) as caught:
            engine.score([bad_question(fault)])
        assert caught.value.cause == cause
        engine.restart()
        assert engine.score(QUESTIONS[:1])[0].id == "q0"


@pytest.mark.parametrize(("counts", "cause"), [([4, 4], "killed"), ([4, 5], "memory"), ([None, None], "memory")])
def test_kills_by_the_kernels_count(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int | None], cause: str
) -> None:
    now = iter(counts)
    monkeypatch.setattr(process.deaths, "count_memory_kills", lambda: next(now))
    with Engine(demo_model) as engine:
        assert engine.process_id is not None
        os.kill(engine.process_id, signal.SIGKILL)
        with pytest.raises(EngineDiedError) as caught:
            engine.count_tokens(QUESTIONS)
        assert caught.value.cause == cause


def test_a_stopped_process_is_ended_and_replaced(engine: Engine, told: Told, demo_model: Path) -> None:
    expected = engine.score(QUESTIONS)
    with Engine(demo_model, engine.spec.plan, watchdog_s=0.4) as watched:
        asker = make_asker(watched, told, watched.spec.plan or PLAIN_PLAN)
        watched.open(watched.spec.plan or PLAIN_PLAN)
        work = [[request] for request in QUESTIONS] * 60
        asker.submit(work)
        assert watched.process_id is not None
        while not watched._read_pulse()[1]:
            time.sleep(0.001)
        os.kill(watched.process_id, signal.SIGSTOP)
        started = time.monotonic()
        answers = asker.next()
        assert len(answers.results) == len(work)
        assert time.monotonic() - started < 10
        asker.submit([[request] for request in QUESTIONS])
        assert asker.next().results == expected
    assert told.kinds == ["restarted"]
    assert "for more than 0.4 s" in told.events[0][1]


@pytest.mark.parametrize("fault", ["abort", "die", "memory_error"])
def test_a_bad_item_among_good_ones(demo_model: Path, engine: Engine, told: Told, fault: str) -> None:
    expected = engine.score(QUESTIONS)
    with FaultyEngine(demo_model, engine.spec.plan) as faulty:
        asker = make_asker(faulty, told, engine.spec.plan or PLAIN_PLAN)
        asker.submit([[request] for request in (*QUESTIONS[:5], bad_question(fault), *QUESTIONS[5:])])
        if fault == "memory_error":
            with pytest.raises(EngineError, match="Memory ran out, also with the smallest plan"):
                asker.next()
            return
        results = asker.next().results
    assert [r for r in results if r.id != "bad"] == expected
    assert isinstance(results[5], Failure)
    assert told.kinds.count("lost") == 1


# --- real want of memory ------------------------------------------------------------------------


def test_no_memory_to_load(engine: Engine) -> None:
    engine.count_tokens(QUESTIONS)
    engine.wait(engine._executor.submit(starve, 1 << 20))
    for _ in range(2):
        with pytest.raises(OutOfMemoryError, match=r"cannot load .+ Cannot allocate memory"):
            engine.open(replace(PLAIN_PLAN, strategy="packed"))
    engine.restart()
    assert engine.score(QUESTIONS[:1])[0].id == "q0"


def test_no_memory_for_a_context(demo_model: Path, told: Told) -> None:
    """A limit of address space in the process, as `ulimit -v` sets it, that only smaller batches keep."""
    plan = replace(PLAIN_PLAN, n_threads=1, strategy="packed")

    class StarvedEngine(FaultyEngine):
        prepare = (starve_scoring, (128,))

    with StarvedEngine(demo_model, plan) as engine:
        with pytest.raises(OutOfMemoryError, match=r"cannot open a context of 4096 tokens: .*alloc"):
            engine.open(plan)
        opened = open_with_less(engine, plan, engine.open, note=told.note, is_dead=True)
        assert opened.scoring.n_ubatch == 128
        assert opened.scoring.n_ctx == 4096
        assert told.kinds == ["shrunk"]
        assert engine.score(QUESTIONS[:1])[0].id == "q0"


def test_no_memory_in_the_middle_of_work(engine: Engine, told: Told) -> None:
    expected = engine.score(QUESTIONS)
    engine.wait(engine._executor.submit(starve))
    asker = make_asker(engine, told, engine.spec.plan or PLAIN_PLAN)
    long = ScoreRequest("long", TextPrompt("and so on " * 90), tuple(f" {n} dogs" for n in range(60)))
    asker.submit([[replace(long, id=str(n))] for n in range(60)])
    asker.submit([[request] for request in QUESTIONS])
    assert len(asker.next().results) == 60
    assert asker.next().results == expected
    assert told.kinds in ([], ["restarted"])  # nothing where the process had enough already
    assert all("bad_alloc" in text or "emory" in text for _, text in told.events)


@contextlib.contextmanager
def memory_group(n_bytes: int) -> Iterator[Path]:
    """A control group with a limit; its file takes process ids."""
    root = Path("/sys/fs/cgroup")
    parent = root / "memory" if (root / "memory").is_dir() else root
    group = parent / f"llamabench-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as exc:
        pytest.skip(f"no control group can be made here: {exc}")
    try:
        limit = next((group / n for n in ("memory.max", "memory.limit_in_bytes") if (group / n).exists()), None)
        if limit is None:
            pytest.skip("control groups here limit no memory")
        limit.write_text(str(n_bytes))
        with contextlib.suppress(OSError):
            (group / "memory.swap.max").write_text("0")
        yield group / "cgroup.procs"
    finally:
        deadline = time.monotonic() + 5
        while group.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.rmdir()
            time.sleep(0.05)


def test_the_kernel_ends_the_process_for_want_of_memory(engine: Engine, told: Told) -> None:
    if count_memory_kills() is None:
        pytest.skip("this kernel does not count what it ends")
    expected = engine.score(QUESTIONS)
    with memory_group(64 << 20) as members:
        members.write_text(str(engine.process_id))
        future = engine._executor.submit(eat, 512 << 20)
        with pytest.raises(EngineDiedError, match="SIGKILL. The system kills the largest process") as caught:
            engine.wait(future)
        assert caught.value.is_out_of_memory
    asker = make_asker(engine, told, engine.spec.plan or PLAIN_PLAN)
    asker.submit([[request] for request in QUESTIONS])
    assert asker.next().results == expected
    assert told.kinds == ["restarted"]


def test_the_process_is_the_first_to_go(engine: Engine) -> None:
    path = Path(f"/proc/{engine.process_id}/oom_score_adj")
    if not path.exists():
        pytest.skip("this system has no such score")
    assert int(path.read_text()) >= 500


def test_kills_from_another_thread_while_it_works(engine: Engine, told: Told) -> None:
    expected = engine.score(QUESTIONS)
    asker = make_asker(engine, told, engine.spec.plan or PLAIN_PLAN)
    killed = threading.Timer(0.05, lambda: os.kill(engine.process_id or 0, signal.SIGKILL))
    killed.start()
    for _ in range(2):
        asker.submit([[request] for request in QUESTIONS])
    found = []
    for _ in range(60):
        asker.submit([[request] for request in QUESTIONS])
        found.append(asker.next().results)
    killed.join()
    assert all(results == expected for results in found)
    assert told.kinds == ["restarted"]
