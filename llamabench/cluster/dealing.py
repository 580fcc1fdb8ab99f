"""Deals chunks out to the workers of a run, and gathers the answers: each chunk once, whoever leaves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.cluster.crew import Crew, Hand, LostTaskError, Sent
from llamabench.cluster.job import Items, Reply
from llamabench.errors import LlamabenchError
from llamabench.records import Answers, Failure, Request, StrategyName

_LOOK_S = 0.5

_IN_HAND = 2
"""Chunks that a worker is sent at once: it works on one while the answers to the other travel."""

_MOST_LOSSES = 3
"""Workers that may leave over a chunk before it is asked in halves, in case something in it ends them."""


@dataclass(eq=False, slots=True)
class _Part:
    """Items of a chunk that are asked together.

    Attributes:
        items: The requests of each item.
        n_losses: Workers that left while they worked on it.
        turn: When it was sent, among all parts.
        hand: Who has it.
        sent: Its task; None while nobody has it.
        answers: The answers.
    """

    items: Items
    n_losses: int = 0
    turn: int = 0
    hand: Hand | None = None
    sent: Sent[Reply] | None = None
    answers: Answers | None = None


@dataclass(eq=False, slots=True)
class _Chunk:
    parts: list[_Part]

    @property
    def is_answered(self) -> bool:
        return all(part.answers is not None for part in self.parts)

    def gather(self, place: int) -> Answers:
        """The answers to the whole chunk."""
        answers = [part.answers for part in self.parts if part.answers is not None]
        return Answers(
            [result for one in answers for result in one.results],
            sum(one.n_decoded for one in answers),
            place,
            tuple(sorted({number for one in answers for number in one.workers})),
        )


class Dealer:
    """Asks chunks of whichever worker has least to do, several under way at once; stands in for an `Asker`.

    A worker that leaves loses what it had in hand to others. Where several left over the same chunk, it is asked in
    halves, down to the item that ends its worker each time; that one becomes a `Failure`. What llama.cpp itself does
    wrong the workers get over by themselves.

    Args:
        crew: The workers.
        strategy: How sequences are scored where it is not the plan's way.
    """

    def __init__(self, crew: Crew, strategy: StrategyName | None = None):
        self._crew = crew
        self._strategy = strategy
        self._queue: list[_Chunk] = []
        self._turns = itertools.count()

    @property
    def n_in_flight(self) -> int:
        """Chunks that are to be under way at once."""
        return _IN_HAND * max(1, self._crew.n_hands)

    def submit(self, items: Sequence[Sequence[Request]]) -> None:
        """Starts on a chunk, given as the requests of each of its items."""
        self._queue.append(_Chunk([_Part(tuple(map(tuple, items)))]))
        self._deal()

    def next(self) -> Answers:
        """The answers to the first chunk that is done, one per request in order, with its place among those under way.

        Raises:
            EngineError: No worker is there any more, or none can answer.
        """
        while True:
            self._crew.look()
            self._take_back()
            for place, chunk in enumerate(self._queue):
                self._collect(chunk)
                if chunk.is_answered:
                    del self._queue[place]
                    return chunk.gather(place)
            self._deal()
            self._crew.link.wait(_LOOK_S)

    def _deal(self) -> None:
        waiting = [part for chunk in self._queue for part in chunk.parts if part.sent is None and part.answers is None]
        for part in waiting:
            hand = min(self._crew.hands.values(), key=lambda hand: hand.n_under_way, default=None)
            if hand is None or hand.n_under_way >= _IN_HAND:
                return
            part.turn = next(self._turns)
            part.hand, part.sent = hand, self._crew.send(hand, part.items, self._strategy)

    def _collect(self, chunk: _Chunk) -> None:
        """Takes the answers to parts of a chunk that are there."""
        for part in chunk.parts:
            if part.sent is None or part.hand is None or not part.sent.done():
                continue
            hand, sent = part.hand, part.sent
            part.hand = part.sent = None
            hand.n_under_way -= 1
            try:
                reply = sent.take()
            except LostTaskError:
                continue  # dealt out again
            except LlamabenchError as exc:
                self._crew.send_away(hand, exc)
                continue
            self._crew.take_reply(hand, reply)
            part.answers = reply.answers._replace(workers=(hand.number,))

    def _take_back(self) -> None:
        """Takes from workers that have left what they had in hand."""
        lost = [(chunk, part) for chunk in self._queue for part in chunk.parts if part.hand and part.hand.is_gone]
        blamed: set[Hand] = set()
        for chunk, part in sorted(lost, key=lambda entry: entry[1].turn):
            assert part.hand is not None
            # a worker goes by turns: what came later it had not begun
            if part.hand not in blamed:
                blamed.add(part.hand)
                part.n_losses += 1
            part.hand = part.sent = None
            if part.n_losses >= _MOST_LOSSES:
                self._divide(chunk, part)

    def _divide(self, chunk: _Chunk, part: _Part) -> None:
        if len(part.items) == 1:
            self._lose(part)
            return
        middle, place = len(part.items) // 2, chunk.parts.index(part)
        halves = (part.items[:middle], part.items[middle:])
        chunk.parts[place : place + 1] = [_Part(half, _MOST_LOSSES - 1) for half in halves]

    def _lose(self, part: _Part) -> None:
        (item,) = part.items
        text = f"{part.n_losses} workers left while they were asked it."
        self._crew.tell("lost", f"{item[0].id} has no score: {text}")
        part.answers = Answers([Failure(request.id, text) for request in item], 0)
