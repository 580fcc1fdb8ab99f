"""Next-token distributions along a text: those of a model kept in part, those of another set against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llamabench.engine.llama import Batch, Context
from llamabench.engine.scoring import log_normalisers
from llamabench.records import Gaps

Floats = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 32
"""Rows of log-probabilities that are held at once: 32 MiB for the largest vocabularies."""


class Kept(NamedTuple):
    """What is kept of a model's distributions at n places.

    Attributes:
        tokens: The k likeliest tokens, the likeliest first, shape `(n, k)`.
        logprobs: Their natural-log probabilities, shape `(n, k)`.
        following: That of the token that follows in the text, shape `(n,)`.
    """

    tokens: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.float32]
    following: Floats

    def at(self, places: slice) -> Kept:
        """What was kept at some of the places."""
        return Kept(self.tokens[places], self.logprobs[places], self.following[places])


def keep_likeliest(logprobs: Floats, following: npt.NDArray[np.int64], n_kept: int) -> Kept:
    """Keeps the likeliest tokens of each distribution.

    Args:
        logprobs: Natural-log probabilities, shape `(n, n_vocab)`.
        following: The token that follows at each place, shape `(n,)`.
        n_kept: Tokens to keep; all of them where there are no more.
    """
    n_kept = min(n_kept, logprobs.shape[1])
    if n_kept < logprobs.shape[1]:
        tokens = np.argpartition(-logprobs, n_kept - 1, axis=1)[:, :n_kept]
    else:
        tokens = np.broadcast_to(np.arange(n_kept), logprobs.shape)
    order = np.argsort(-np.take_along_axis(logprobs, tokens, axis=1), axis=1, kind="stable")
    tokens = np.take_along_axis(tokens, order, axis=1)
    kept = np.take_along_axis(logprobs, tokens, axis=1).astype(np.float32)
    return Kept(tokens.astype(np.int32), kept, logprobs[np.arange(len(logprobs)), following])


def measure_gaps(kept: Kept, logprobs: Floats, following: npt.NDArray[np.int64]) -> Gaps:
    """Sets a second model's distributions against what was kept of a first one's.

    The divergence is that of the distributions over the tokens that were kept, with all others as one: the exact
    Kullback-Leibler divergence where all are kept, and never more than it (the log sum inequality).

    Args:
        kept: Of the first model, at n places.
        logprobs: Natural-log probabilities of the second, shape `(n, n_vocab)`.
        following: The token that follows at each place, shape `(n,)`.

    Source:
        Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; Cover and Thomas 2006, theorem 2.7.1; the list of
        figures is that of llama.cpp's `llama-perplexity --kl-divergence`.
    """
    first = kept.logprobs.astype(np.float64)
    second = np.take_along_axis(logprobs, kept.tokens.astype(np.int64), axis=1)
    divergence = (np.exp(first) * (first - second)).sum(axis=1)
    rest, other_rest = (np.maximum(1 - np.exp(part).sum(axis=1), 0.0) for part in (first, second))
    if kept.tokens.shape[1] < logprobs.shape[1]:
        # what is below the precision of the sums is no probability
        is_told = rest > 1e-6
        floor = np.maximum(other_rest, 1e-12)
        divergence += np.where(is_told, rest * np.log(np.maximum(rest, 1e-12) / floor), 0.0)
    else:
        rest = np.zeros_like(rest)
    return Gaps(
        divergences=np.maximum(divergence, 0.0),
        is_same=kept.tokens[:, 0] == logprobs.argmax(axis=1),
        first_following=kept.following,
        second_following=logprobs[np.arange(len(logprobs)), following],
        rest=rest,
    )


def read_text(context: Context, tokens: Sequence[int]) -> Iterator[tuple[slice, Floats]]:
    """Reads a text from an empty memory.

    Args:
        context: A context for scoring.
        tokens: The text, two tokens or more, no longer than the context.

    Yields:
        Places in the text, and the natural-log probabilities of what may follow each, shape `(n, n_vocab)`; the last
        token, which nothing follows, is not read.
    """
    plan, n_read = context.plan, len(tokens) - 1
    step = min(plan.n_batch, plan.n_outputs_max)
    batch = Batch(plan.n_batch, 1)
    context.clear()
    for start in range(0, n_read, step):
        end = min(start + step, n_read)
        n = end - start
        batch.fill(list(tokens[start:end]), list(range(start, end)), sequences=[[0]] * n, outputs=list(range(n)))
        context.decode(batch)
        logits = context.logits(n)
        for row in range(0, n, _ROWS_AT_ONCE):
            block = logits[row : row + _ROWS_AT_ONCE]
            _, normalisers = log_normalisers(block)
            yield slice(start + row, start + row + len(block)), block.astype(np.float64) - normalisers[:, None]
    context.clear()


def join_kept(parts: Sequence[Kept]) -> Kept:
    """What was kept of several stretches of a text, as one."""
    return Kept(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def join_gaps(parts: Sequence[Gaps]) -> Gaps:
    """The gaps of several stretches of a text, as one."""
    return Gaps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
