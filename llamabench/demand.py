"""What requests ask of a context and of a machine: how long the longest is, and how much there is to decode."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from llamabench.records import Demand, GenerateRequest, Item, Request
from llamabench.results.rows import request_text
from llamabench.selection import BYTES_PER_TOKEN, generated_tokens, new_tokens, request_size

_N_MEASURED = 256
"""Longest requests, in bytes, whose tokens are counted to size the context."""

_MOST_PARALLEL = 32
_CAUTION = 1.5
"""Tokens per estimated one that a context leaves room for, where nothing but the bytes is known."""


def measure_demand(items: Iterable[Item], count_tokens: Callable[[Sequence[Request]], Sequence[int]]) -> Demand:
    """Counts the tokens of the longest requests, and estimates those of all from their bytes.

    A request that proves longer all the same is reported, never cut.

    Args:
        items: All of them, in the order in which they will be asked.
        count_tokens: Tokens that each request needs in a context.
    """
    scored: list[tuple[int, int, Request]] = []
    generated: list[tuple[int, int, Request]] = []
    tie_break = itertools.count()
    n_texts, n_prompt, n_generated, n_later, previous = 0, 0.0, 0, 0, ""
    for request, later in ((request, item.follow_up_tokens) for item in items for request in item.requests):
        n_later = max(n_later, later)
        heap = scored
        if isinstance(request, GenerateRequest):
            heap = generated
            n_texts += request.n
        n_prompt += new_tokens(request, previous)
        n_generated += generated_tokens(request)
        previous = request_text(request)
        entry = (request_size(request), next(tie_break), request)
        if len(heap) < _N_MEASURED:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    sequence, generation = (
        max(count_tokens([r for _, _, r in heap]), default=-n_later) + n_later for heap in (scored, generated)
    )
    return Demand(
        # what is asked later may be scored, whatever it began with
        longest_sequence=max(sequence, generation) if n_later else sequence,
        longest_generation=generation,
        n_parallel=max(1, min(_MOST_PARALLEL, n_texts)),
        n_prompt_tokens=math.ceil(n_prompt),
        n_generated_tokens=n_generated,
    )


def estimate_tokens(requests: Sequence[Request]) -> list[int]:
    """Tokens that each request needs at most, about, where no tokeniser is at hand."""
    return [math.ceil(request_size(request) / BYTES_PER_TOKEN * _CAUTION) for request in requests]
