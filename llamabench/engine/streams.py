"""What lies in each stream of a cache, so that no token is decoded twice that another text has decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llamabench.engine.llama import Context, Tokens
from llamabench.engine.packing import shared_length

_INEXACT_COPIES = frozenset({"plamo2"})
"""Architectures of which llama.cpp copies a sequence's state wrongly."""

_CELLS_PER_TOKEN = 128
"""Cells of a stream that are copied in the time of decoding one token, about: 250 for 135M parameters on two cores.

A copy takes the whole stream with it, however few of its cells are in use.
"""


class Streams:
    """The streams of a context without a unified cache, and the tokens that each holds.

    Where the memory is a plain cache of tokens, a stream can be copied and cut back to any length. Elsewhere, it can
    only be copied as it is, which helps those prompts that begin with all of it.

    Args:
        context: The context.
        shares_prefixes: Whether tokens are reused at all; None for wherever copies are exact.
    """

    def __init__(self, context: Context, *, shares_prefixes: bool | None = None):
        model = context.model
        if shares_prefixes is None:
            shares_prefixes = model.metadata("general.architecture") not in _INEXACT_COPIES
        self._context = context
        self.shares_prefixes = shares_prefixes
        self.rolls_back = model.has_cache_per_token and context.plan.swa_full
        self.least_shared = 1 + context.n_ctx_per_sequence // _CELLS_PER_TOKEN
        self.held: list[Tokens] = [[] for _ in range(context.plan.n_seq_max)]

    def clear(self, *, data: bool = False) -> None:
        """Empties all of them; with `data`, also what is left in memory of earlier texts."""
        self._context.clear(data=data)
        self.held = [[] for _ in self.held]

    def count_usable(self, held: Tokens, tokens: Tokens) -> int:
        """How many of the tokens need no decoding in a stream that holds others, or in a copy of it."""
        if not self.shares_prefixes:
            return 0
        if not self.rolls_back:
            return len(held) if held == tokens[: len(held)] else 0
        return shared_length(held, tokens)

    def find_best(self, tokens: Tokens, streams: Iterable[int]) -> tuple[int, int]:
        """The stream that holds most of the tokens, the first of several, and how many they are."""
        best, most = -1, -1
        for stream in streams:
            if most < 0 or self.held[stream][: most + 1] == tokens[: most + 1]:
                usable = self.count_usable(self.held[stream], tokens)
                if usable > most:
                    best, most = stream, usable
        return best, most

    def prepare(self, tokens: Tokens, free: Sequence[int], *, keeps_source: bool = False) -> int:
        """Has a free stream hold as many of the first tokens as any does; the stream.

        Args:
            tokens: What is to be held, as far as it is known already.
            free: Streams to choose from.
            keeps_source: Whether the tokens will be asked for again. Where they can be cut back to at any time, that
                makes no difference.
        """
        target, n = self.find_best(tokens, free)
        source, n_copied = self.find_best(tokens, range(len(self.held)))
        others = [stream for stream in free if stream != source]
        is_lost = keeps_source and not self.rolls_back and target == source and n > 0
        if others and (is_lost or n_copied - n >= self.least_shared):
            target, n = others[0], n_copied
            self.copy(source, target)
        self._cut(target, n)
        return target

    def copy(self, source: int, target: int) -> None:
        """Has a stream hold what another holds."""
        if source != target:
            self._context.copy(source, target, -1)
            self.held[target] = self.held[source].copy()

    def drop(self, stream: int) -> None:
        """Empties a stream."""
        self._context.forget(stream)
        self.held[stream] = []

    def _cut(self, stream: int, n: int) -> None:
        held = self.held[stream]
        if n == len(held):
            return
        if n == 0 or not self._context.forget(stream, n):
            self.drop(stream)
        else:
            del held[n:]
