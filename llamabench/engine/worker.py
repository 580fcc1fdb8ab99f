"""The tasks of the process that owns the model.

Light to import: the parent names these functions without ever loading llama.cpp, whose GPU libraries may be broken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from llamabench.errors import EngineError
from llamabench.records import (
    Answers,
    Failure,
    GenerateRequest,
    GenerateResult,
    ModelSpec,
    PackSpeed,
    Request,
    Scored,
    ScoreRequest,
    TokenRequest,
)

if TYPE_CHECKING:
    from llamabench.engine.session import Session

_session: Session | None = None
_abort_file: Path | None = None


def start(abort_file: Path | None = None) -> None:
    """Prepares the process. Ctrl-C is the parent's to handle, and without the parent the model must not stay behind.

    Args:
        abort_file: File for the message of a failed llama.cpp assertion.
    """
    global _abort_file
    _abort_file = abort_file
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # an abort would otherwise attach a debugger
    os.environ["GGML_NO_BACKTRACE"] = "1"
    if "OMP_WAIT_POLICY" not in os.environ:
        # threads that wait for each other spin for this many rounds and sleep then: with the usual 300,000, another
        # busy program makes a decode five times slower; with none, a single token takes four times as long
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
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
            f"llama-cpp-python cannot be loaded ({exc}). Reinstall it: pip install --force-reinstall llama-cpp-python"
        ) from exc
    initialise(_abort_file)
    return os.getpid()


def _open(spec: ModelSpec) -> Session:
    global _session
    from llamabench.engine.session import Session

    if _session is not None and _session.spec != spec:
        _session.close()
        _session = None
    if _session is None:
        _session = Session(spec)
    return _session


def open_model(spec: ModelSpec) -> str:
    """Opens a model for scoring; the name of the strategy."""
    return _open(spec).strategy.name


def measure(spec: ModelSpec) -> PackSpeed:
    """Measures the pack size that scores fastest."""
    return _open(spec).measure()


def template_sha256(spec: ModelSpec) -> str | None:
    """Digest of the chat template in use, None where there is none."""
    template = _open(spec).encoder.template
    return None if template is None else template.sha256


def count_tokens(spec: ModelSpec, requests: Sequence[Request]) -> list[int]:
    """Tokens that each request needs in the context; 0 for one that cannot be encoded."""
    session = _open(spec)
    return [session.count_tokens(request) for request in requests]


def score(spec: ModelSpec, requests: Sequence[ScoreRequest]) -> Answers:
    """Scores requests; one result each, in order."""
    return _open(spec).score(requests)


def score_tokens(spec: ModelSpec, requests: Sequence[TokenRequest]) -> list[list[Scored]]:
    """Scores continuations given as tokens."""
    return _open(spec).score_tokens(requests)


def generate(spec: ModelSpec, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
    """Generates texts; one result for each request, in order."""
    return _open(spec).generate(requests)
