"""Which items a run takes, and how they are cut into chunks: pure, so that the same command always gives the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from llamabench.engine.packing import shared_length
from llamabench.records import Item, Request, ScoreRequest
from llamabench.results.rows import request_text

BYTES_PER_TOKEN = 4
"""Rough size of a token in English text; only chunk sizes depend on it."""


def choose_items(groups: Sequence[str], limit: int | None, rng: np.random.Generator) -> list[int]:
    """Chooses items at random, each group in proportion to its size.

    Args:
        groups: Group of each item, in the suite's order.
        limit: How many to choose; None for all.
        rng: Source of randomness.

    Returns:
        Indices into `groups`, ascending.

    >>> choose_items(["a", "a", "b", "b"], 2, np.random.default_rng(0))
    [1, 3]
    """
    if limit is None or limit >= len(groups):
        return list(range(len(groups)))
    quotas = _apportion(Counter(groups), limit)
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    chosen = [rng.choice(members[group], quota, replace=False) for group, quota in quotas.items()]
    return sorted(int(index) for indices in chosen for index in indices)


def _apportion(sizes: Counter[str], limit: int) -> dict[str, int]:
    """Shares `limit` out by largest remainder (Hamilton's method); groups in order of their names."""
    total = sizes.total()
    exact = {group: limit * sizes[group] / total for group in sorted(sizes)}
    quotas = {group: math.floor(share) for group, share in exact.items()}
    by_remainder = sorted(exact, key=lambda group: (quotas[group] - exact[group], group))
    for group in by_remainder[: limit - sum(quotas.values())]:
        quotas[group] += 1
    return quotas


def pick(items: Iterable[Item], places: Sequence[int]) -> Iterator[Item]:
    """The items at ascending places."""
    wanted = iter(places)
    place = next(wanted, None)
    for number, item in enumerate(items):
        if number == place:
            yield item
            place = next(wanted, None)
            if place is None:
                return


def request_size(request: Request) -> int:
    """Bytes of a request's prompt with its longest continuation, or with all that it may generate."""
    size = len(request_text(request).encode(errors="surrogatepass"))
    if isinstance(request, ScoreRequest):
        return size + max((len(text.encode(errors="surrogatepass")) for text in request.continuations), default=0)
    return size + request.sampling.max_tokens * BYTES_PER_TOKEN


def cut_chunks(items: Iterable[Item], chunk_tokens: int) -> Iterator[list[Item]]:
    """Cuts a stream of items into chunks of about `chunk_tokens` tokens to decode; none is empty."""
    chunk: list[Item] = []
    size, previous = 0.0, ""
    for item in items:
        for request in item.requests:
            size += new_tokens(request, previous) + generated_tokens(request)
            previous = request_text(request)
        chunk.append(item)
        if size >= chunk_tokens:
            yield chunk
            chunk, size = [], 0.0
    if chunk:
        yield chunk


def new_tokens(request: Request, previous: str) -> float:
    """Tokens to read for a request that comes after the prompt `previous`, roughly."""
    text = request_text(request)
    n_new = len(text) - shared_length(text, previous)
    if isinstance(request, ScoreRequest):
        n_new += sum(map(len, request.continuations))
    return n_new / BYTES_PER_TOKEN


def generated_tokens(request: Request) -> int:
    """Tokens that a request may generate, over all its texts."""
    return 0 if isinstance(request, ScoreRequest) else request.n * request.sampling.max_tokens
