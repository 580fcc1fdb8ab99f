"""The tasks of the process that owns the model.

Light to import: the parent names these functions without ever loading llama.cpp, whose GPU libraries may be broken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from ctypes import Array, c_uint64
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from llamabench.errors import EngineError, name_cause
from llamabench.records import (
    Answers,
    BufferBytes,
    Failure,
    Gaps,
    GenerateRequest,
    GenerateResult,
    LoadTiming,
    MemoryUse,
    ModelSpec,
    PackSpeed,
    ReadingTask,
    Repeats,
    Request,
    Scored,
    ScoreRequest,
    SpeedTest,
    StrategyCheck,
    StrategyName,
    TokenRequest,
)

if TYPE_CHECKING:
    from llamabench.engine.session import Session
    from llamabench.engine.timing import Bench

PULSE_SIZE, N_DECODES, IS_DECODING = 2, 0, 1
"""Length of the array of counts that the parent watches, and their places: decodes that ended, whether one may be
under way."""

SPIN_COUNT = "10000"
"""Rounds that a thread of llama.cpp spins while it waits for the others, before it sleeps."""

_OOM_SCORE = Path("/proc/self/oom_score_adj")

_session: Session | None = None
_bench: Bench | None = None
_abort_file: Path | None = None
_pulse: Array[c_uint64] | None = None


def start(abort_file: Path | None = None, error_file: Path | None = None, pulse: Array[c_uint64] | None = None) -> None:
    """Prepares the process. Ctrl-C is the parent's to handle, and without the parent the model must not stay behind.

    Args:
        abort_file: File for the message of a failed llama.cpp assertion.
        error_file: File that takes the error stream, where the C++ library writes its last words.
        pulse: Memory shared with the parent for what it watches, (`PULSE_SIZE`,).
    """
    global _abort_file, _pulse
    _abort_file, _pulse = abort_file, pulse
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # when memory runs out, the kernel should end this process: the one that holds the results can start another
        _OOM_SCORE.write_text("500")
    if error_file is not None:
        with error_file.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 2)
    # an abort would otherwise attach a debugger
    os.environ["GGML_NO_BACKTRACE"] = "1"
    if "OMP_WAIT_POLICY" not in os.environ:
        # threads that wait for each other spin for this many rounds and sleep then: with the usual 300,000, another
        # busy program makes a decode five times slower; with none, a single token takes four times as long
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


@contextlib.contextmanager
def spared_ctrl_c() -> Iterator[None]:
    """Holds Ctrl-C back from this thread and, for good, from a process that starts meanwhile: it is the parent's."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def load() -> int:
    """Loads llama.cpp.

    Returns:
        The process id.

    Raises:
        EngineError: llama-cpp-python cannot be imported.
    """
    try:
        from llamabench.engine.llama import initialise
    except (ImportError, OSError, RuntimeError) as exc:
        raise EngineError(
            f"llama-cpp-python cannot be loaded ({name_cause(exc)}). "
            "Reinstall it: pip install --force-reinstall llama-cpp-python"
        ) from exc
    initialise(_abort_file, _count_decode)
    return os.getpid()


def _count_decode() -> None:
    if _pulse is not None:
        _pulse[N_DECODES] += 1


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Says that the process is at work on sequences: a decode that does not end is noticed."""
    if _pulse is None:
        yield
        return
    _pulse[IS_DECODING] = 1
    try:
        yield
    finally:
        _pulse[IS_DECODING] = 0


def _open(spec: ModelSpec) -> Session:
    global _session
    from llamabench.engine.session import Session

    _close_bench()
    if _session is not None and not _session.adopt(spec):
        _session.close()
        _session = None
    if _session is None:
        _session = Session(spec)
    return _session


def _open_for_scoring(spec: ModelSpec) -> Session:
    session = _open(spec)
    assert session.strategy is not None  # opens the context, which is not watched
    return session


def open_model(spec: ModelSpec) -> None:
    """Opens a model for scoring."""
    _open_for_scoring(spec)


def read_buffers(spec: ModelSpec, for_scoring: bool) -> tuple[BufferBytes, ...]:
    """Opens a model with one of its contexts; what each buffer holds."""
    return _open(spec).read_buffers(for_scoring=for_scoring)


def list_strategies(spec: ModelSpec) -> tuple[StrategyName, ...]:
    """Opens a model for scoring; the ways to score it, fastest first."""
    return _open(spec).list_strategies()


def check_strategy(spec: ModelSpec) -> StrategyCheck:
    """Tries the strategy of the plan out against one sequence at a time."""
    session = _open_for_scoring(spec)
    with _watched():
        return session.check_strategy()


def measure(spec: ModelSpec) -> PackSpeed:
    """Measures the pack size that scores fastest."""
    session = _open_for_scoring(spec)
    with _watched():
        return session.measure()


def template_sha256(spec: ModelSpec) -> str | None:
    """Digest of the chat template in use, None where there is none; one that leaves users' messages out is refused."""
    encoder = _open(spec).encoder
    encoder.refuse_deaf()
    return None if encoder.template is None else encoder.template.sha256


def count_tokens(spec: ModelSpec, requests: Sequence[Request]) -> list[int]:
    """Tokens that each request needs in the context; 0 for one that cannot be encoded."""
    session = _open(spec)
    return [session.count_tokens(request) for request in requests]


def ask(spec: ModelSpec, requests: Sequence[Request]) -> Answers:
    """Scores and generates; one result for each request, in order."""
    scored = [request for request in requests if isinstance(request, ScoreRequest)]
    generated = [request for request in requests if isinstance(request, GenerateRequest)]
    scores = score(spec, scored) if scored else Answers([], 0)
    texts = generate(spec, generated) if generated else []
    n_written = sum(text.n_tokens for result in texts if isinstance(result, GenerateResult) for text in result.texts)
    queues = {ScoreRequest: iter(scores.results), GenerateRequest: iter(texts)}
    return Answers([next(queues[type(request)]) for request in requests], scores.n_decoded + n_written)


def score(spec: ModelSpec, requests: Sequence[ScoreRequest]) -> Answers:
    """Scores requests; one result each, in order."""
    session = _open_for_scoring(spec)
    with _watched():
        return session.score(requests)


def score_tokens(spec: ModelSpec, requests: Sequence[TokenRequest]) -> list[list[Scored]]:
    """Scores continuations given as tokens."""
    session = _open_for_scoring(spec)
    with _watched():
        return session.score_tokens(requests)


def read_texts(spec: ModelSpec, task: ReadingTask) -> list[Gaps]:
    """Reads texts; the gaps of each for the second of two models, none for the first."""
    session = _open_for_scoring(spec)
    with _watched():
        return session.read_texts(task)


def generate(spec: ModelSpec, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
    """Generates texts; one result for each request, in order."""
    session = _open(spec)
    assert session.generator is not None  # opens the context, which is not watched
    with _watched():
        return session.generate(requests)


def _close_bench() -> None:
    global _bench
    if _bench is not None:
        _bench.close()
        _bench = None


def open_bench(spec: ModelSpec) -> LoadTiming:
    """Opens a model to be timed, and nothing beside it."""
    global _session, _bench
    from llamabench.engine.timing import Bench

    _close_bench()
    if _session is not None:
        _session.close()
        _session = None
    _bench = Bench(spec)
    return _bench.load


def prepare_test(test: SpeedTest) -> None:
    """Opens the context of a test and warms it up."""
    assert _bench is not None, "`open_bench` comes first"
    _bench.prepare(test)


def repeat_test(n_repeats: int, least_s: float) -> Repeats:
    """Times the prepared test again and again."""
    assert _bench is not None, "`open_bench` comes first"
    with _watched():
        return _bench.repeat(n_repeats, least_s)


def bench_memory() -> tuple[MemoryUse, ...]:
    """What each device held at most since the model was opened to be timed."""
    assert _bench is not None, "`open_bench` comes first"
    return _bench.memory()
