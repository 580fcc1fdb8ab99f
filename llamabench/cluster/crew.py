"""The workers of a run: who is there, who may take part, who has left.

Knows no Dask: it is given a link that lists workers and carries tasks to one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from llamabench.cluster import desk
from llamabench.cluster.job import Arrival, ClusterOptions, Items, Job, Reply, find_like
from llamabench.errors import EngineError, LlamabenchError
from llamabench.records import Plan, StrategyName, WorkerFacts

_LOOK_S = 0.5
"""How often is looked who is there."""

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")

Tell = Callable[[str, str], None]
"""Takes the kind of something that happened, and what happened in words."""


class LostTaskError(Exception):
    """A task has no answer because its worker left; nothing in it is to blame."""


class Sent(Protocol[_T_co]):
    """A task that is under way on a worker."""

    def done(self) -> bool:
        """Whether it has ended, one way or the other."""

    def take(self) -> _T_co:
        """What it gave.

        Raises:
            LostTaskError: Its worker left.
            LlamabenchError: From the task.
        """


class Link(Protocol):
    """What carries tasks; `llamabench.cluster.connecting.DaskLink` is one."""

    address: str

    def find_workers(self) -> dict[str, str | None]:
        """Addresses of the workers that are there; for each, what is wrong with its versions, None for nothing.

        Raises:
            EngineError: The scheduler does not answer any more.
        """

    def send(self, address: str, task: Callable[..., _T], *args: Any) -> Sent[_T]:
        """Starts a task on one worker."""

    def wait(self, seconds: float) -> None:
        """Waits until a task ends, at most so long."""

    def close(self) -> None:
        """Takes back what is under way and lets go."""


@dataclass(eq=False, slots=True)
class Hand:
    """A worker that takes part.

    Attributes:
        address: Where it is.
        number: Its place among all that took part.
        facts: What it is, and the plan that it uses now.
        n_under_way: Chunks, or parts of chunks, that it was sent and has not answered.
        is_gone: Whether it has left, or was sent away.
    """

    address: str
    number: int
    facts: WorkerFacts
    n_under_way: int = 0
    is_gone: bool = False


class Crew:
    """The workers of a run, who may come and go.

    Args:
        link: Carries tasks to workers.
        options: Who may take part, and how long to wait.
        tell: Told what happens.
        read_clock: The time in seconds, from any beginning.
    """

    def __init__(
        self, link: Link, options: ClusterOptions, *, tell: Tell, read_clock: Callable[[], float] = time.monotonic
    ):
        self.link = link
        self.roster: list[WorkerFacts] = []
        self.hands: dict[str, Hand] = {}
        self.tell = tell
        self.enlist: Callable[[tuple[WorkerFacts, ...]], None] = lambda _: None
        self._wait_s = options.wait_s
        self._read_clock = read_clock
        self._job: Job | None = None
        self._sizes: Plan | None = None
        self._arriving: dict[str, Sent[Arrival]] = {}
        self._arrived: dict[str, Arrival] = {}
        self._refused: dict[str, str] = {}
        self._looked = self._seen = read_clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close()

    def hire(self, job: Job, known: Sequence[WorkerFacts], sizes: Plan | None) -> None:
        """Has the workers that are there open the model, and waits for them.

        Args:
            job: The run.
            known: Workers that took part in it before.
            sizes: The plan whose sizes of packs and chunks are the run's; None where it has none yet. Then packs are
                as large as the fastest worker likes them, and a chunk is no more than the slowest reads in some
                seconds.

        Raises:
            EngineError: No worker came in time, or none may take part.
        """
        self._job, self._sizes = job, sizes
        self.roster = list(known)
        while not self._arrived or self._arriving:
            self._look()
            self._take_arrivals()
            if not self._arrived:
                self._refuse_to_wait(0.0 if self._refused else self._wait_s)
            if self._arriving or not self._arrived:
                self.link.wait(_LOOK_S)
        if self._sizes is None:
            plans = [arrival.facts.plan for arrival in self._arrived.values()]
            fastest = max(plans, key=lambda plan: plan.chunk_tokens)
            self._sizes = replace(fastest, chunk_tokens=min(plan.chunk_tokens for plan in plans))
        self._let_in()

    @property
    def n_hands(self) -> int:
        """Workers that take part now."""
        return len(self.hands)

    def look(self) -> None:
        """Sees who has come and who has left, if the last look was some time ago.

        Raises:
            EngineError: Nobody is there, for longer than one waits.
        """
        if self._read_clock() - self._looked < _LOOK_S:
            return
        self._look()
        self._take_arrivals()
        self._let_in()
        if not self.hands:
            self._refuse_to_wait(self._wait_s)

    def send(self, hand: Hand, items: Items, strategy: StrategyName | None) -> Sent[Reply]:
        """Sends a worker the requests of items, to be scored so where it is not the plan's way."""
        assert self._job is not None
        plan = hand.facts.plan if strategy is None else replace(hand.facts.plan, strategy=strategy)
        hand.n_under_way += 1
        return self.link.send(hand.address, desk.answer, self._job, plan, items)

    def take_reply(self, hand: Hand, reply: Reply) -> None:
        """Notes what a worker got over, and the plan that it goes on with."""
        self._pass_on(hand.facts.name, reply.notes)
        plan = replace(reply.plan, strategy=hand.facts.plan.strategy)
        if plan != hand.facts.plan:
            hand.facts = replace(hand.facts, plan=plan)
            hand.number = self._number(hand.facts)

    def send_away(self, hand: Hand, error: LlamabenchError) -> None:
        """Asks a worker nothing any more.

        Raises:
            LlamabenchError: It was the last one.
        """
        if hand.is_gone:
            return
        self._drop(hand)
        self._refused[hand.address] = str(error)
        if not self.hands and not self._arriving:
            raise error
        self.tell("worker", f"{hand.facts.name} is not asked any more. {error}")

    def _look(self) -> None:
        self._looked = self._read_clock()
        found = self.link.find_workers()
        for address in self._refused.keys() - found.keys():
            del self._refused[address]  # it may come back as it should be
        for gone in (self._arriving, self._arrived):
            for address in gone.keys() - found.keys():
                gone.pop(address)
        for hand in [hand for hand in self.hands.values() if hand.address not in found]:
            self._drop(hand)
            self.tell("worker", f"{hand.facts.name} has left. What it had in hand is asked of others.")
        for address, fault in found.items():
            if any(address in known for known in (self.hands, self._arriving, self._arrived, self._refused)):
                continue
            if fault is not None:
                self._refuse(address, fault)
                continue
            self._arriving[address] = self.link.send(address, desk.prepare, self._job, tuple(self.roster))

    def _take_arrivals(self) -> None:
        for address, sent in [entry for entry in self._arriving.items() if entry[1].done()]:
            del self._arriving[address]
            try:
                self._arrived[address] = sent.take()
            except LostTaskError:
                continue  # it is asked again if it is still there
            except LlamabenchError as exc:
                self._refuse(address, str(exc))

    def _let_in(self) -> None:
        """Lets those that have opened the model take part; the fastest of its kind decides on the plan of its like."""
        for address, arrival in sorted(self._arrived.items(), key=lambda entry: -entry[1].facts.plan.chunk_tokens):
            del self._arrived[address]
            self._pass_on(arrival.facts.name, arrival.notes)
            facts = self._settle(arrival.facts)
            self.hands[address] = Hand(address, self._number(facts), facts)
            self._seen = self._read_clock()

    def _settle(self, facts: WorkerFacts) -> WorkerFacts:
        """A worker with the plan that it is to use: that of its like, with the run's sizes."""
        sizes = self._sizes
        assert sizes is not None
        like = find_like(self.roster, facts.machine, facts.fingerprint)
        plan = facts.plan if like is None else like.plan
        pack_tokens = min(sizes.pack_tokens, plan.scoring.n_batch)
        return replace(facts, plan=replace(plan, pack_tokens=pack_tokens, chunk_tokens=sizes.chunk_tokens))

    def _number(self, facts: WorkerFacts) -> int:
        if facts not in self.roster:
            self.roster.append(facts)
            self.enlist(tuple(self.roster))
        return self.roster.index(facts)

    def _drop(self, hand: Hand) -> None:
        hand.is_gone = True
        del self.hands[hand.address]
        self._seen = self._read_clock()

    def _refuse(self, address: str, reason: str) -> None:
        self._refused[address] = reason
        self.tell("worker", f"The worker at {address} takes no part. {reason}")

    def _pass_on(self, name: str, notes: Sequence[tuple[str, str]]) -> None:
        for kind, text in notes:
            self.tell(kind, f"{name}: {text}")

    def _refuse_to_wait(self, patience_s: float) -> None:
        if self._arriving:
            self._seen = self._read_clock()
        elif self._read_clock() - self._seen >= patience_s:
            raise EngineError(self._say_nobody_is_there())

    def _say_nobody_is_there(self) -> str:
        if self._refused:
            reasons = "\n".join(f"  {address}: {reason}" for address, reason in self._refused.items())
            return f"No worker at {self.link.address} may take part in this run:\n{reasons}"
        return (
            f"No worker came to the scheduler at {self.link.address} in {self._wait_s:g} s. "
            f"Start one on each machine: llamabench worker {self.link.address} --models FOLDER"
        )
