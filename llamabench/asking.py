"""Items to requests and answers to rows, chunk by chunk, with the next chunk always under way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from llamabench.records import Answers, GenerateRequest, Item, ItemRow, Request, Result
from llamabench.results.rows import make_row
from llamabench.suites.base import Suite


class ChunkAsker(Protocol):
    """What answers chunks of requests; `llamabench.engine.recovery.Asker` is one, for a model on this machine."""

    @property
    def n_in_flight(self) -> int:
        """Chunks that are to be under way at once."""

    def submit(self, items: Sequence[Sequence[Request]]) -> None:
        """Starts on a chunk, given as the requests of each of its items."""

    def next(self) -> Answers:
        """The answers to a chunk that is done; they say which of those under way it is."""


FollowUp = Callable[[Item, Sequence[Result]], Sequence[Request]]
"""What to ask next for an item, whose requests are those made so far, given the answers to them."""


class ScoredChunk(NamedTuple):
    """Rows of a chunk.

    Attributes:
        first: Place of the first of its items.
        rows: What came of its items.
        n_decoded: Tokens that were decoded for it.
        n_ahead: Tokens that were decoded so far for chunks still under way.
        workers: Numbers of the workers that answered, where a cluster did.
    """

    first: int
    rows: list[ItemRow]
    n_decoded: int
    n_ahead: int = 0
    workers: tuple[int, ...] = ()


class AskedItem(NamedTuple):
    """An item whose requests are all that was asked for it, and the answers in the same order."""

    item: Item
    results: list[Result]


class AskedChunk(NamedTuple):
    """Items of a chunk; the fields are those of `ScoredChunk`."""

    first: int
    items: list[AskedItem]
    n_decoded: int
    n_ahead: int = 0
    workers: tuple[int, ...] = ()


@dataclass(slots=True)
class _Talk:
    """An item with what was asked and answered so far, and what is asked now."""

    item: Item
    pending: tuple[Request, ...]
    requests: list[Request] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def take(self, results: Iterator[Result]) -> None:
        """Takes the answers to what was asked."""
        self.results += itertools.islice(results, len(self.pending))
        self.requests += self.pending
        self.pending = ()

    @property
    def asked_item(self) -> Item:
        """The item with all that was asked for it so far."""
        return replace(self.item, requests=tuple(self.requests))


@dataclass(slots=True)
class _Chunk:
    """Items that are asked and stored together; each round asks those that have something to ask."""

    first: int
    talks: list[_Talk]
    n_decoded: int = 0
    workers: set[int] = field(default_factory=set)

    @property
    def open_talks(self) -> list[_Talk]:
        return [talk for talk in self.talks if talk.pending]


def score_chunks(
    suite: Suite, chunks: Iterable[tuple[int, list[Item]]], asker: ChunkAsker, *, seed: int = 0
) -> Iterator[ScoredChunk]:
    """Asks for chunks of a suite and scores the answers, as the chunks are done.

    An item may ask again once it knows the answers (`Suite.follow_up`); its chunk waits for it, others go on.

    Args:
        suite: The suite.
        chunks: The place of a chunk's first item, and its items.
        asker: Asks the engine.
        seed: The run's seed: texts are drawn from it and from what their request says.

    Raises:
        EngineError: The engine cannot be brought back.
    """
    for chunk in ask_chunks(chunks, asker, suite.follow_up, seed=seed):
        rows = [_score(suite, asked) for asked in chunk.items]
        yield ScoredChunk(chunk.first, rows, chunk.n_decoded, chunk.n_ahead, chunk.workers)


def ask_chunks(
    chunks: Iterable[tuple[int, list[Item]]], asker: ChunkAsker, follow_up: FollowUp, *, seed: int = 0
) -> Iterator[AskedChunk]:
    """Asks for chunks of items, as `score_chunks` does, and leaves the answers as they are."""
    waiting = iter(chunks)
    in_flight: list[_Chunk] = []
    while True:
        for first, items in itertools.islice(waiting, max(asker.n_in_flight - len(in_flight), 0)):
            chunk = _Chunk(first, [_Talk(item, _seeded(item.requests, seed)) for item in items])
            asker.submit([talk.pending for talk in chunk.open_talks])
            in_flight.append(chunk)
        if not in_flight:
            return
        answers = asker.next()
        chunk = in_flight.pop(answers.place)
        chunk.n_decoded += answers.n_decoded
        chunk.workers.update(answers.workers)
        queue = iter(answers.results)
        for talk in chunk.open_talks:
            talk.take(queue)
            talk.pending = _seeded(follow_up(talk.asked_item, talk.results), seed)
        if chunk.open_talks:
            asker.submit([talk.pending for talk in chunk.open_talks])
            in_flight.append(chunk)
        else:
            asked = [AskedItem(talk.asked_item, talk.results) for talk in chunk.talks]
            n_ahead = sum(other.n_decoded for other in in_flight)
            yield AskedChunk(chunk.first, asked, chunk.n_decoded, n_ahead, tuple(sorted(chunk.workers)))


def _seeded(requests: Sequence[Request], seed: int) -> tuple[Request, ...]:
    return tuple(
        replace(request, sampling=replace(request.sampling, seed=request.sampling.seed + seed))
        if isinstance(request, GenerateRequest)
        else request
        for request in requests
    )


def _score(suite: Suite, asked: AskedItem) -> ItemRow:
    item, results = asked
    return make_row(suite.NAME, item, item.requests, results=results, score=suite.score(item, results))
