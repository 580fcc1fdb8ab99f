"""Items to requests and answers to rows, chunk by chunk, with the next chunk always under way."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from llamabench.engine.recovery import Scorer
from llamabench.records import Item, ItemRow, Result, ScoreRequest
from llamabench.results.rows import make_row
from llamabench.suites.base import Suite

IN_FLIGHT = 2
"""Chunks under way at once: the engine works on one while the other is scored and stored."""


class ScoredChunk(NamedTuple):
    """Rows of a chunk, the place of the first of its items, and the tokens that were decoded for it."""

    first: int
    rows: list[ItemRow]
    n_decoded: int


def score_chunks(suite: Suite, chunks: Iterable[tuple[int, list[Item]]], scorer: Scorer) -> Iterator[ScoredChunk]:
    """Asks for chunks of a suite and scores the answers, in order.

    Args:
        suite: The suite.
        chunks: The place of a chunk's first item, and its items.
        scorer: Asks the engine.

    Raises:
        EngineError: The engine cannot be brought back.
    """
    waiting = iter(chunks)
    in_flight: deque[tuple[int, list[Item]]] = deque()
    while True:
        for chunk in itertools.islice(waiting, IN_FLIGHT - len(in_flight)):
            scorer.submit([_score_requests(item) for item in chunk[1]])
            in_flight.append(chunk)
        if not in_flight:
            return
        answers = scorer.next()
        first, items = in_flight.popleft()
        queue = iter(answers.results)
        rows = [_score_item(suite, item, list(itertools.islice(queue, len(item.requests)))) for item in items]
        yield ScoredChunk(first, rows, answers.n_decoded)


def _score_requests(item: Item) -> list[ScoreRequest]:
    return [request for request in item.requests if isinstance(request, ScoreRequest)]


def _score_item(suite: Suite, item: Item, results: Sequence[Result]) -> ItemRow:
    return make_row(suite.NAME, item, results, suite.score(item, results))
