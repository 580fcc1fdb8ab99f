"""What to do when the engine fails: start it again, ask again, ask for less, and find the item that it dies of.

Knows no process: it is given something that opens, restarts and answers.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from llamabench.engine.deaths import is_about_weights
from llamabench.engine.shrinking import move_to_host, shrink, without_server
from llamabench.errors import Death, EngineDiedError, EngineError, OutOfMemoryError, ServerError
from llamabench.records import Answers, Failure, Plan, Request, Result, ScoreRequest, TextPrompt

_T = TypeVar("_T")

_MOST_KILLS = 5
"""Times in a row that somebody else may end the process; nothing asked of it is to blame."""

_MOST_SHRINKS = 6
"""Smaller plans tried for one trouble: about two for the batches, one for the sequences, two for the layers, and at
last all layers on the host."""

_WAITS_S = (1.0, 4.0)
"""Pauses before a server that left is looked for again; then the run goes on without it."""

_CONTROL = ScoreRequest("control", TextPrompt("The sea is"), (" blue", " green"))
"""What any model can be asked: an engine that fails on it is itself at fault, not an item."""

Note = Callable[[str, str], None]
"""Takes the kind of something that happened, and what happened in words."""

Items = tuple[tuple[Request, ...], ...]
"""Requests, item by item: an item is answered whole or not at all."""


class AskedEngine(Protocol):
    """What must be able to recover; `llamabench.engine.process.Engine` is one."""

    def open(self, plan: Plan) -> object:
        """Opens the model for scoring with a plan."""

    def restart(self) -> None:
        """Starts afresh; what was submitted is lost."""

    def submit(self, requests: Sequence[Request]) -> Future[Answers]:
        """Starts scoring and generating."""

    def wait(self, future: Future[Answers]) -> Answers:
        """The answers."""


def cause_of(error: EngineError) -> Death:
    """Why an engine failed; `failed` for everything that is neither memory, time, a signal nor a server."""
    if isinstance(error, OutOfMemoryError):
        return "memory"
    if isinstance(error, ServerError):
        return "server"
    return error.cause if isinstance(error, EngineDiedError) else "failed"


def open_with_less(
    engine: AskedEngine, plan: Plan, action: Callable[[Plan], _T], *, note: Note, is_dead: bool = False
) -> _T:
    """Does something that opens the model, with smaller plans while memory runs out, and without servers that left.

    Args:
        engine: The engine.
        plan: The plan to begin with.
        action: What to do with a plan.
        note: Told of every restart and every smaller plan.
        is_dead: Whether to begin with a restart.

    Returns:
        What `action` gave.

    Raises:
        EngineError: It cannot be opened, however small the plan.
    """
    n_kills = n_failures = n_shrinks = n_waits = 0
    while True:
        try:
            if is_dead:
                engine.restart()
            return action(plan)
        except EngineError as exc:
            is_dead = True
            cause = cause_of(exc)
            if cause == "memory":
                n_shrinks += 1
                plan = _shrink_or_raise(plan, exc, n_shrinks=n_shrinks, note=note)
                continue
            if cause == "server" and plan.rpc_servers:
                plan = _wait_or_go_without(plan, exc, n_waits=n_waits, note=note)
                n_waits += 1
                continue
            n_kills += cause == "killed"
            n_failures += cause != "killed"
            if not isinstance(exc, EngineDiedError) or n_kills > _MOST_KILLS or n_failures > 1:
                raise
            note("restarted", f"The engine was restarted while it opened the model. {exc}")


def _shrink_or_raise(plan: Plan, error: EngineError, *, n_shrinks: int, note: Note) -> Plan:
    smaller = None
    if n_shrinks < _MOST_SHRINKS:
        smaller = shrink(plan, is_loading=is_about_weights(str(error)))
    elif n_shrinks == _MOST_SHRINKS:
        smaller = move_to_host(plan) or shrink(plan)
    if smaller is None:
        raise EngineError(
            f"Memory ran out, also with the smallest plan ({_describe(plan)}): {error} "
            "Close other programs, or use a smaller file of the model."
        ) from error
    note("shrunk", f"{smaller.reasons[-1]} {error}")
    return smaller


def _wait_or_go_without(plan: Plan, error: EngineError, *, n_waits: int, note: Note) -> Plan:
    if n_waits < len(_WAITS_S):
        note("waited", f"The engine is started again in {_WAITS_S[n_waits]:g} s. {error}")
        time.sleep(_WAITS_S[n_waits])
        return plan
    return _go_without(plan, error, note=note)


def _go_without(plan: Plan, error: EngineError, *, note: Note) -> Plan:
    less = without_server(plan, error.address if isinstance(error, ServerError) else None)
    note("moved", f"{less.reasons[-1]} {error}")
    return less


def _describe(plan: Plan) -> str:
    return f"{plan.n_gpu_layers} layers on devices, batches of {plan.scoring.n_batch} tokens"


@dataclass(slots=True)
class _Chunk:
    items: Items
    answers: Future[Answers] | None = None


@dataclass(frozen=True, slots=True)
class _Answered:
    """An item, its results, and whether they are failures because the engine died of it."""

    item: tuple[Request, ...]
    results: list[Result]
    is_lost: bool = False


class Asker:
    """Asks chunks in order, several under way at once, whatever happens to the engine.

    A chunk whose engine fails is asked once more; when memory ran out again, with a smaller plan; when a server left
    again, without servers; when it failed otherwise, in halves, down to the item that fails alone. Such an item
    becomes a `Failure`, provided that the engine still answers a plain question, and the rest of its chunk is scored
    together without it: results depend on the chunk and its bad items alone, not on how these were found.

    Args:
        engine: The engine.
        plan: The plan it is to use.
        note: Told of everything that went wrong, and what was done.
        replan: Told of every smaller plan that is used from then on.
    """

    n_in_flight = 2
    """Chunks that are to be under way at once: the engine works on one while the other is scored and stored."""

    def __init__(self, engine: AskedEngine, plan: Plan, *, note: Note, replan: Callable[[Plan], None] = lambda _: None):
        self._engine = engine
        self._plan = plan
        self._note = note
        self._replan = replan
        self._queue: deque[_Chunk] = deque()
        self._n_restarts = 0
        self._n_decoded = 0

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, items: Sequence[Sequence[Request]]) -> None:
        """Starts on a chunk, given as the requests of each of its items."""
        chunk = _Chunk(tuple(map(tuple, items)))
        self._queue.append(chunk)
        self._send(chunk)

    def _send(self, chunk: _Chunk) -> None:
        try:
            chunk.answers = self._engine.submit(_requests(chunk.items))
        except EngineError:
            # it is dead already, which shows when the oldest chunk is waited for
            chunk.answers = None

    def next(self) -> Answers:
        """The answers to the oldest chunk, one per request in order.

        Raises:
            EngineError: The engine cannot be brought back, or answers nothing any more.
        """
        chunk = self._queue.popleft()
        try:
            if chunk.answers is None:
                return self._ask(chunk.items)
            return self._engine.wait(chunk.answers)
        except EngineError as exc:
            self._revive(exc)
            answers = self._recover(chunk.items)
            for waiting in self._queue:
                self._send(waiting)
            return answers

    def _ask(self, items: Items) -> Answers:
        return self._engine.wait(self._engine.submit(_requests(items)))

    def _revive(self, error: EngineError) -> None:
        self._n_restarts += 1
        times = "once" if self._n_restarts == 1 else f"{self._n_restarts} times so far"
        self._note("restarted", f"The engine was restarted ({times}). {error}")
        self._open(self._plan, is_dead=True)

    def _open(self, plan: Plan, *, is_dead: bool = False) -> None:
        def use(plan: Plan) -> Plan:
            self._engine.open(plan)
            return plan

        opened = open_with_less(self._engine, plan, use, note=self._note, is_dead=is_dead)
        if opened != self._plan:
            self._plan = opened
            self._replan(opened)

    def _recover(self, items: Items) -> Answers:
        outcome = self._try(items)
        for n_shrinks in itertools.count(1):
            if isinstance(outcome, Answers):
                break
            cause = cause_of(outcome)
            if cause == "memory":
                self._open(_shrink_or_raise(self._plan, outcome, n_shrinks=n_shrinks, note=self._note))
            elif cause == "server" and self._plan.rpc_servers:
                self._open(_go_without(self._plan, outcome, note=self._note))
            else:
                break
            outcome = self._try(items)
        return outcome if isinstance(outcome, Answers) else self._divide_and_gather(items)

    def _try(self, items: Items) -> Answers | EngineError:
        """The answers, or why there are none; the engine lives again then."""
        for n_kills in itertools.count(1):
            try:
                return self._ask(items)
            except EngineError as exc:
                if n_kills > _MOST_KILLS:
                    raise EngineError(f"The engine was ended {n_kills} times in a row. {exc}") from exc
                self._revive(exc)
                if cause_of(exc) != "killed":
                    return exc
        raise AssertionError("counting does not end")

    def _divide_and_gather(self, items: Items) -> Answers:
        self._n_decoded = 0
        answered = self._divide(items)
        good = tuple(entry.item for entry in answered if not entry.is_lost)
        if 0 < len(good) < len(items):
            together = self._try(good)
            if isinstance(together, Answers):
                again = iter(self._sort(good, together))
                answered = [entry if entry.is_lost else next(again) for entry in answered]
        return Answers([result for entry in answered for result in entry.results], self._n_decoded)

    def _divide(self, items: Items) -> list[_Answered]:
        """Answers to items of which some end the engine."""
        if len(items) == 1:
            outcome = self._try(items)
            return self._sort(items, outcome) if isinstance(outcome, Answers) else [self._lose(items[0], outcome)]
        middle = len(items) // 2
        answered: list[_Answered] = []
        for half in (items[:middle], items[middle:]):
            outcome = self._try(half)
            answered += self._sort(half, outcome) if isinstance(outcome, Answers) else self._divide(half)
        return answered

    def _sort(self, items: Items, answers: Answers) -> list[_Answered]:
        """Hands each item its results."""
        self._n_decoded += answers.n_decoded
        results = iter(answers.results)
        return [_Answered(item, list(itertools.islice(results, len(item)))) for item in items]

    def _lose(self, item: tuple[Request, ...], error: EngineError) -> _Answered:
        control = self._try(((_CONTROL,),))
        if isinstance(control, EngineError):
            raise error
        self._note("lost", f"{item[0].id} has no score: the engine failed each time it was asked. {error}")
        return _Answered(item, [Failure(request.id, str(error)) for request in item], is_lost=True)


def _requests(items: Items) -> list[Request]:
    return [request for item in items for request in item]
