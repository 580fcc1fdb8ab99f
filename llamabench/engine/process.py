"""The parent's side of the engine: the process that owns the model, and what to say when it dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from llamabench.engine import worker
from llamabench.errors import EngineError
from llamabench.records import (
    Answers,
    ContextPlan,
    Failure,
    GenerateRequest,
    GenerateResult,
    ModelSpec,
    PackSpeed,
    Plan,
    Request,
    Scored,
    ScoreRequest,
    ScoreResult,
    TokenRequest,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

PLAIN_PLAN = Plan(
    n_gpu_layers=0,
    tensor_split=(),
    n_threads=max(1, (os.cpu_count() or 2) // 2),
    scoring=ContextPlan(4096, n_seq_max=64, n_batch=512, n_ubatch=512, n_outputs_max=512, kv_unified=True),
    generation=ContextPlan(4096, n_seq_max=4, n_batch=512, n_ubatch=512, n_outputs_max=64, kv_unified=False),
    pack_tokens=256,
    reasons=("A modest context on the processor alone: no machine was looked at.",),
)
"""What `Engine` uses when no plan is given."""


class Engine:
    """A model in a process of its own.

    llama.cpp ends its process on a failed assertion and often when memory runs out, so it never runs in the
    caller's. Calls block; `submit_score` does not.

    Args:
        path: The GGUF file.
        plan: How to run it; `PLAIN_PLAN` by default.
        chat_template: Jinja2 text to use instead of the file's own chat template.

    Raises:
        EngineError: The process cannot start.

    Example:
        with Engine("model.gguf") as engine:
            engine.score_tokens([([1, 2, 3], [[4, 5], [6]])])
    """

    def __init__(self, path: str | Path, plan: Plan | None = None, chat_template: str | None = None):
        self.spec = ModelSpec(str(path), plan or PLAIN_PLAN, chat_template)
        self._folder = tempfile.TemporaryDirectory(prefix="llamabench-")
        self._abort_file = Path(self._folder.name) / "abort.txt"
        self._executor: Executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker.start,
            initargs=(self._abort_file,),
        )
        self._process: BaseProcess | None = None
        try:
            with worker.spared_ctrl_c():
                future = self._executor.submit(worker.load)
            process_id = self.wait(future)
        except BaseException:
            self.close()
            raise
        self._process = next((p for p in multiprocessing.active_children() if p.pid == process_id), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(now=error is not None)

    @property
    def process_id(self) -> int | None:
        """Process id of the worker."""
        return None if self._process is None else self._process.pid

    def close(self, *, now: bool = False) -> None:
        """Ends the process; with `now`, in the middle of its work."""
        if now and self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._folder.cleanup()

    def _call(self, task: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return self.wait(self._executor.submit(task, *args, **kwargs))
        except BrokenProcessPool as exc:
            raise EngineError(self._why_it_died()) from exc

    def wait(self, future: Future[_T]) -> _T:
        """The result of a submitted task.

        Raises:
            EngineError: The process died; the message carries llama.cpp's last words.
        """
        try:
            return future.result()
        except BrokenProcessPool as exc:
            raise EngineError(self._why_it_died()) from exc

    def _why_it_died(self) -> str:
        if self._abort_file.exists():
            return f"llama.cpp gave up on {self.spec.path}: {self._abort_file.read_text(encoding='utf-8')}"
        if self._process is None:
            return f"The process that was to run {self.spec.path} ended before it was ready."
        self._process.join(timeout=5)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"The process that ran {self.spec.path} ended by itself (exit code {code})."
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = " The system kills the largest process when memory runs out." if name == "SIGKILL" else ""
        return f"The process that ran {self.spec.path} was ended by {name}.{hint}"

    def open(self, plan: Plan) -> str:
        """Opens the model for scoring with a plan, to be used from now on; the name of the scoring strategy.

        Raises:
            ModelFileError: llama.cpp cannot load the file.
            EngineError: A context cannot be opened.
        """
        self.use(plan)
        return self._call(worker.open_model, self.spec)

    def measure(self) -> PackSpeed:
        """Measures the pack size that scores fastest; about a second."""
        return self._call(worker.measure, self.spec)

    def use(self, plan: Plan) -> None:
        """Sets the plan for the next call; the model opens with it then."""
        self.spec = ModelSpec(self.spec.path, plan, self.spec.chat_template)

    def _tokenizer(self) -> ModelSpec:
        return ModelSpec(self.spec.path, None, self.spec.chat_template)

    def count_tokens(self, requests: Sequence[Request]) -> list[int]:
        """Tokens that each request needs in the context; opens the tokeniser alone."""
        return self._call(worker.count_tokens, self._tokenizer(), requests)

    def template_sha256(self) -> str | None:
        """Digest of the chat template in use, None where there is none; opens the tokeniser alone."""
        return self._call(worker.template_sha256, self._tokenizer())

    def submit_score(self, requests: Sequence[ScoreRequest]) -> Future[Answers]:
        """Starts scoring requests; pass the future to `wait`."""
        try:
            return self._executor.submit(worker.score, self.spec, requests)
        except BrokenProcessPool as exc:
            raise EngineError(self._why_it_died()) from exc

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult | Failure]:
        """Scores requests; one result each, in order."""
        return self.wait(self.submit_score(requests)).results

    def score_tokens(self, requests: Sequence[TokenRequest]) -> list[list[Scored]]:
        """Scores continuations given as tokens; needs no tokeniser.

        Args:
            requests: For each, a context of at least one token and its continuations, each of at least one.

        Returns:
            For each request, a score per continuation with its token log-probabilities.

        Raises:
            EngineError: A context or continuation is empty, too long, or has a token outside the vocabulary.
            ModelFileError: The model cannot be loaded or has no left-to-right probabilities.
        """
        return self._call(worker.score_tokens, self.spec, requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
        """Generates texts; one result for each request, in order."""
        return self._call(worker.generate, self.spec, requests)
