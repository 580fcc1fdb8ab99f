"""The parent's side of the engine: the process that owns the model, and what to say when it dies."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from llamabench.engine import deaths, worker
from llamabench.engine.watchdog import Watchdog
from llamabench.errors import EngineDiedError, EngineError, LlamabenchError, OutOfMemoryError
from llamabench.records import (
    Answers,
    BufferBytes,
    ContextPlan,
    Failure,
    Gaps,
    GenerateRequest,
    GenerateResult,
    LoadTiming,
    MemoryUse,
    ModelSpec,
    PackSpeed,
    Plan,
    ReadingTask,
    Repeats,
    Request,
    Scored,
    ScoreRequest,
    ScoreResult,
    SpeedTest,
    TokenRequest,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

_EXIT_S = 5.0

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
    caller's. Calls block; `submit` does not. When the process has ended, every call raises `EngineDiedError`
    until `restart`.

    Args:
        path: The GGUF file.
        plan: How to run it; `PLAIN_PLAN` by default.
        chat_template: Jinja2 text to use instead of the file's own chat template.
        system_prompt: System message of conversations that have none of their own; None for none.
        watchdog_s: Seconds that a decode may take before its process is ended; 0 for ever, None for what
            `Watchdog` finds generous.

    Raises:
        EngineError: The process cannot start.

    Example:
        with Engine("model.gguf") as engine:
            engine.score_tokens([([1, 2, 3], [[4, 5], [6]])])
    """

    def __init__(
        self,
        path: str | Path,
        plan: Plan | None = None,
        chat_template: str | None = None,
        *,
        system_prompt: str | None = None,
        watchdog_s: float | None = None,
    ):
        deaths.leave_unguarded_script()
        self.spec = ModelSpec(str(path), plan or PLAIN_PLAN, chat_template, system_prompt)
        with deaths.said_of_temporary_files():
            self._folder = tempfile.TemporaryDirectory(prefix="llamabench-")
        self._abort_file = Path(self._folder.name) / "abort.txt"
        self._error_file = Path(self._folder.name) / "stderr.txt"
        self._watchdog = Watchdog(watchdog_s)
        self._process: BaseProcess | None = None
        self._executor: Executor | None = None
        try:
            with deaths.said_of_temporary_files():
                self._pulse = multiprocessing.get_context("spawn").RawArray("Q", worker.PULSE_SIZE)
                self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        self._pulse[:] = [0] * worker.PULSE_SIZE
        self._memory_kills = deaths.count_memory_kills()
        self._hung_s: float | None = None
        self._process = None
        self._is_ready = False
        others = multiprocessing.active_children()
        self._executor = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker.start,
            initargs=(self._abort_file, self._error_file, self._pulse),
        )
        with worker.spared_ctrl_c():
            future = self._executor.submit(worker.load)
        self._process = next((p for p in multiprocessing.active_children() if p not in others), None)
        self.wait(future)
        self._is_ready = True

    def restart(self) -> None:
        """Ends the process, if it lives, and starts another for the same model and plan.

        What was submitted before is lost, and its futures must not be waited for; the model opens with the next call.

        Raises:
            EngineError: The process cannot start.
        """
        self._end(now=True)
        self._abort_file.unlink(missing_ok=True)
        self._error_file.unlink(missing_ok=True)
        self._start()

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
        self._end(now=now)
        self._folder.cleanup()

    def _end(self, *, now: bool) -> None:
        if now:
            self._kill()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _kill(self) -> None:
        if self._process is not None and self._process.pid is not None and self._process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _call(self, task: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self.wait(self._submit(task, *args, **kwargs))

    def _submit(self, task: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        assert self._executor is not None, "a process was started"
        try:
            return self._executor.submit(task, *args, **kwargs)
        except BrokenProcessPool as exc:
            raise self._why_it_died() from exc

    def wait(self, future: Future[_T]) -> _T:
        """The result of a submitted task.

        Raises:
            EngineDiedError: The process ended, or was ended because a decode took too long; the message carries
                llama.cpp's last words.
            OutOfMemoryError: Memory ran out and the process lives.
        """
        try:
            return self._watch(future)
        except BrokenProcessPool as exc:
            raise self._why_it_died() from exc
        except MemoryError as exc:
            raise OutOfMemoryError(f"Memory ran out while {self.spec.path} was at work.") from exc
        except LlamabenchError as exc:
            if deaths.is_about_memory(str(exc)) and not isinstance(exc, OutOfMemoryError):
                raise OutOfMemoryError(str(exc)) from exc
            raise

    def _watch(self, future: Future[_T]) -> _T:
        n_decodes, is_decoding = self._read_pulse()
        self._watchdog.begin(n_decodes, is_decoding=is_decoding, now_s=time.monotonic())
        while not future.done():
            try:
                future.exception(timeout=self._watchdog.look_every_s)
            except TimeoutError:
                if self._look():
                    self._hung_s = self._watchdog.allowed_s
                    self._kill()
        self._look()
        return future.result()

    def _look(self) -> bool:
        n_decodes, is_decoding = self._read_pulse()
        return self._watchdog.is_hung(n_decodes, is_decoding=is_decoding, now_s=time.monotonic())

    def _read_pulse(self) -> tuple[int, bool]:
        return self._pulse[worker.N_DECODES], bool(self._pulse[worker.IS_DECODING])

    def _why_it_died(self) -> EngineDiedError:
        path = self.spec.path
        if self._hung_s is not None:
            return EngineDiedError(
                f"llama.cpp made no progress with {path} for more than {self._hung_s:,.6g} s and was ended. "
                "If the machine is that slow, allow more with --watchdog SECONDS, or 0 for any time.",
                "hung",
            )
        if self._abort_file.exists():
            words = self._abort_file.read_text(encoding="utf-8", errors="replace")
            more = deaths.explain_abort(words, self._read_pulse()[0]) + self._say_servers(words)
            return EngineDiedError(f"llama.cpp gave up on {path}: {words}{more}", deaths.find_cause(words))
        code, words = self._exit_code(), deaths.read_last_words(self._error_file)
        cause = deaths.find_cause(words)
        if not self._is_ready:
            words = deaths.UNGUARDED_ADVICE if code == deaths.UNGUARDED else words
            cause = "killed" if code == -signal.SIGTERM or code == -9 else cause
            return EngineDiedError(f"The process that was to run {path} ended before it was ready.{words}", cause)
        if code is None or code >= 0:
            return EngineDiedError(f"The process that ran {path} ended by itself (exit code {code}).{words}", cause)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        if name == "SIGKILL":
            if self._memory_kills == deaths.count_memory_kills() is not None:
                words, cause = " The system did not do it for want of memory.", "killed"
            else:
                words, cause = " The system kills the largest process when memory runs out.", "memory"
        elif name in ("SIGTERM", "SIGINT", "SIGHUP"):
            cause = "killed"
        return EngineDiedError(
            f"The process that ran {path} was ended by {name}.{words}{deaths.explain_signal(name)}", cause
        )

    def _say_servers(self, words: str) -> str:
        """Which servers may be meant, in brackets; nothing where none is."""
        servers = dict.fromkeys(self.spec.plan.rpc_servers if self.spec.plan else ())
        return f" ({' or '.join(servers)})" if deaths.is_about_server(words) and servers else ""

    def _exit_code(self) -> int | None:
        """How the process ended; None where it does not say so within some seconds."""
        deadline = time.monotonic() + _EXIT_S
        # the executor's thread waits for the same process: the one that comes second is told nothing at first
        while self._process is not None and time.monotonic() < deadline:
            if self._process.exitcode is not None:
                return self._process.exitcode
            time.sleep(0.01)
        return None

    def open(self, plan: Plan) -> Plan:
        """Opens the model for scoring with a plan, to be used from now on.

        Where the plan leaves the strategy open, the fastest one is taken that gives, in a probe, what one sequence
        alone gives; one that ends the process is passed over. Where all do, the weights are left in the order of the
        file: kernels that want another fail in some virtual machines.

        Returns:
            The plan with its strategy, and what was found in its reasons.

        Raises:
            ModelFileError: llama.cpp cannot load the file, or it has no left-to-right probabilities.
            EngineError: A context cannot be opened.
        """
        if plan.strategy == "auto":
            plan = self._choose_strategy(plan)
        self.use(plan)
        self._call(worker.open_model, self.spec)
        return plan

    def _choose_strategy(self, plan: Plan) -> Plan:
        self.use(plan)
        names, reasons = self._call(worker.list_strategies, self.spec), list(plan.reasons)
        for name in names:
            is_last = name == names[-1]
            self.use(replace(plan, strategy=name))
            try:
                check = self._call(worker.check_strategy, self.spec)
            except EngineDiedError as exc:
                if exc.cause in ("memory", "server") or (is_last and not (plan.is_repacked and exc.cause == "failed")):
                    raise
                reasons.append(f"Scoring {name} ended the process in a probe: {exc}")
                self.restart()
                continue
            reasons.append(check.reason)
            if check.is_exact:
                return replace(plan, strategy=name, reasons=tuple(reasons))
            if is_last:
                raise EngineError(f"No way of scoring {self.spec.path} is exact: {' '.join(reasons)}")
        reasons.append("The weights are left in the order of the file, which is slower.")
        return self._choose_strategy(replace(plan, is_repacked=False, reasons=tuple(reasons)))

    def _settle_strategy(self) -> None:
        """Chooses the strategy before the first score, where nobody called `open`."""
        if self.spec.plan is not None and self.spec.plan.strategy == "auto":
            self.open(self.spec.plan)

    def read_buffers(self, *, for_scoring: bool = True) -> tuple[BufferBytes, ...]:
        """Opens the model for scoring, or else for generation; what each buffer holds.

        Returns:
            Every buffer to the byte; empty where this build of llama.cpp does not tell.
        """
        return self._call(worker.read_buffers, self.spec, for_scoring)

    def measure(self) -> PackSpeed:
        """Measures the pack size that scores fastest; about a second."""
        self._settle_strategy()
        return self._call(worker.measure, self.spec)

    def use(self, plan: Plan) -> None:
        """Sets the plan for the next call; the model opens with it then."""
        self.spec = replace(self.spec, plan=plan)

    def _tokenizer(self) -> ModelSpec:
        return replace(self.spec, plan=None)

    def count_tokens(self, requests: Sequence[Request]) -> list[int]:
        """Tokens that each request needs in the context; opens the tokeniser alone."""
        return self._call(worker.count_tokens, self._tokenizer(), requests)

    def template_sha256(self) -> str | None:
        """Digest of the chat template, None where there is none, refused where deaf; opens the tokeniser alone."""
        return self._call(worker.template_sha256, self._tokenizer())

    def submit(self, requests: Sequence[Request]) -> Future[Answers]:
        """Starts scoring and generating; pass the future to `wait`."""
        if any(isinstance(request, ScoreRequest) for request in requests):
            self._settle_strategy()
        return self._submit(worker.ask, self.spec, requests)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult | Failure]:
        """Scores requests; one result each, in order."""
        results = self.wait(self.submit(requests)).results
        return [result for result in results if not isinstance(result, GenerateResult)]

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
        self._settle_strategy()
        return self._call(worker.score_tokens, self.spec, requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult | Failure]:
        """Generates texts; one result for each request, in order."""
        return self._call(worker.generate, self.spec, requests)

    def read_texts(self, task: ReadingTask) -> list[Gaps]:
        """Reads texts: the first model's distributions are kept, a second one's give the gaps of each text."""
        return self._call(worker.read_texts, self.spec, task)

    def open_bench(self) -> LoadTiming:
        """Opens the model with its plan to be timed, and nothing beside it.

        Raises:
            ModelFileError: llama.cpp cannot load the file, or it does not generate token after token.
        """
        return self._call(worker.open_bench, self.spec)

    def prepare_test(self, test: SpeedTest) -> None:
        """Opens the context of a speed test and warms it up; `open_bench` comes first."""
        self._call(worker.prepare_test, test)

    def repeat_test(self, n_repeats: int, least_s: float = 0.0) -> Repeats:
        """Times the prepared test, at least so many times and for so many seconds."""
        return self._call(worker.repeat_test, n_repeats, least_s)

    def bench_memory(self) -> tuple[MemoryUse, ...]:
        """What each device held at most since `open_bench`."""
        return self._call(worker.bench_memory)
