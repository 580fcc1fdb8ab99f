"""Ways for the engine's process to fail, run inside it by tests; llamabench knows nothing of them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llamabench.engine.process import Engine
from llamabench.records import Answers, Failure, Plan, ScoreRequest, TextPrompt

POISON = "Poison: "
"""What a prompt begins with whose request is to fail; the name of the fault follows."""


def abort() -> None:
    """Fails an assertion of llama.cpp: more tokens than a batch may hold."""
    from llamabench.engine import worker
    from llamabench.engine.llama import Batch

    assert worker._session is not None
    context = worker._session._context
    assert context is not None
    n_tokens = context.plan.n_batch + 1
    batch = Batch(n_tokens, 1)
    batch.fill([1] * n_tokens, list(range(n_tokens)), sequences=[[0]] * n_tokens, outputs=[0])
    context.decode(batch)


def die() -> None:
    """Reads memory that is not there."""
    ctypes.string_at(0)


def end() -> None:
    """Ends itself the way a library does that knows no better."""
    os._exit(3)


def hang() -> None:
    """Does nothing for a minute."""
    time.sleep(60)


def memory_error() -> None:
    """Runs out of memory in Python."""
    raise MemoryError


def starve(spare_bytes: int = 0) -> None:
    """Lets the process have no more address space than it has, but for some."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + spare_bytes, resource.RLIM_INFINITY))


def bad_alloc() -> None:
    """Asks the C++ library for more memory than there is, where nothing catches the exception."""
    new: Any = ctypes.CDLL("libstdc++.so.6")._Znwm
    new.argtypes = [ctypes.c_size_t]
    new(1 << 60)


def kill() -> None:
    """Ends itself as the kernel does."""
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault for fault in (abort, die, end, hang, memory_error, bad_alloc, kill)
}


def eat(n_bytes: int) -> int:
    """Takes memory and writes to all of it."""
    return len(bytearray(os.urandom(1) * n_bytes))


def poison_scoring() -> None:
    """From now on, a request whose prompt is poisoned fails as it says, once the others of its chunk are scored."""
    from llamabench.engine.session import Session

    usual = Session.score

    def score(self: Session, requests: Sequence[ScoreRequest]) -> Answers:
        answers = usual(self, requests)
        for request in requests:
            if isinstance(request.prompt, TextPrompt) and request.prompt.text.startswith(POISON):
                FAULTS[request.prompt.text.removeprefix(POISON)]()
        return answers

    Session.score = score  # type: ignore[method-assign]


def starve_scoring(most_tokens: int) -> None:
    """From now on, contexts with larger physical batches find no memory, as on a device that is too small."""
    from llamabench.engine.llama.context import Context

    usual = Context.__init__

    def init(self: Context, model: Any, plan: Any, run: Plan) -> None:
        if plan.n_ubatch > most_tokens:
            starve()
        usual(self, model, plan, run)

    Context.__init__ = init  # type: ignore[method-assign]


def fail_items(faults: dict[str, str | None]) -> None:
    """From now on, these items fail: each by the fault of its name, or politely by a message where there is none."""
    from llamabench.engine.session import Session

    usual = Session.score

    def score(self: Session, requests: Sequence[ScoreRequest]) -> Answers:
        answers = usual(self, [request for request in requests if request.id not in faults])
        for request in requests:
            fault = faults.get(request.id)
            if fault is not None:
                FAULTS[fault]()
        results = iter(answers.results)
        return Answers(
            [Failure(request.id, "No.") if request.id in faults else next(results) for request in requests],
            answers.n_decoded,
        )

    Session.score = score  # type: ignore[method-assign]


class FaultyEngine(Engine):
    """An engine whose process is prepared to fail each time it starts."""

    prepare: tuple[Callable[..., None], tuple[Any, ...]] = (poison_scoring, ())

    def _start(self) -> None:
        super()._start()
        task, arguments = self.prepare
        self.wait(self._executor.submit(task, *arguments))
