"""Log-probabilities of token sequences, by the strategy that the model's memory allows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from llamabench.engine.llama import Batch, Context
from llamabench.engine.packing import Pack, PackLimits, Read, TokenSequence, common_prefix, pack_sequences
from llamabench.engine.racing import Race
from llamabench.records import PackSpeed, StrategyName

_ROWS_AT_ONCE = 16
"""Rows of logits whose exponentials are taken together: they fit into the processor's cache."""

_CALIBRATION_S = 1.5
_CALIBRATION_ROUNDS = 6
_CLEARLY_FASTER = 0.9
_PACK_SIZES = (128, 256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """What one token sequence scored.

    Attributes:
        logprobs: Natural-log probability of each scored token given all before it, (n_scored - n_unread,).
        is_greedy: Whether each of them was the likeliest.
        n_unread: Last tokens that are not scored, because the sequence has lost its race without them.
    """

    logprobs: npt.NDArray[np.float64]
    is_greedy: bool
    n_unread: int = 0


class ScoringStrategy(Protocol):
    """A way to score sequences that is exact for a kind of memory; `n_decoded` counts tokens."""

    name: StrategyName
    n_decoded: int

    def score(self, sequences: Sequence[TokenSequence]) -> list[SequenceScore]:
        """Scores sequences, in the order given; none may be longer than `max_tokens`."""

    @property
    def max_tokens(self) -> int:
        """Most tokens that a sequence may have."""


class Sheet:
    """Collects log-probabilities as they come; its `race` says how far each sequence is to be scored."""

    def __init__(self, sequences: Sequence[TokenSequence]):
        lengths = [sequence.n_scored for sequence in sequences]
        self.race = Race(lengths, [sequence.race for sequence in sequences], self._sum)
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._logprobs = np.full(self._starts[-1], np.nan)
        self._is_greedy = np.zeros(self._starts[-1], np.bool_)

    def enter(self, logits: npt.NDArray[np.float32], reads: Iterable[Read]) -> None:
        """Turns logits, (n_rows, n_vocab), into the log-probabilities that `reads` ask for."""
        rows, sequences, offsets, tokens = np.array(list(reads), np.int64).T
        maxima, normalisers = log_normalisers(logits)
        picked = logits[rows, tokens].astype(np.float64)
        places = self._starts[sequences] + offsets
        self._logprobs[places] = picked - normalisers[rows]
        self._is_greedy[places] = picked >= maxima[rows]

    def _sum(self, number: int, n_tokens: int) -> float:
        start = self._starts[number]
        return float(self._logprobs[start : start + n_tokens].sum())

    def scores(self) -> list[SequenceScore]:
        """One score per sequence, in order."""
        return [self._score(number, start, end) for number, (start, end) in enumerate(itertools.pairwise(self._starts))]

    def _score(self, number: int, start: int, end: int) -> SequenceScore:
        n_unread = self.race.n_left(number)
        read = slice(start, end - n_unread)
        return SequenceScore(self._logprobs[read], bool(self._is_greedy[read].all()), n_unread)


def log_normalisers(
    logits: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Maximum and log-sum-exp of each row.

    Args:
        logits: (n_rows, n_vocab).

    Returns:
        Two arrays (n_rows,): log softmax is the logit less the second.
    """
    maxima = logits.max(axis=1)
    sums = np.empty(len(logits), np.float64)
    work = np.empty((min(_ROWS_AT_ONCE, len(logits)), logits.shape[1]), np.float32)
    for start in range(0, len(logits), _ROWS_AT_ONCE):
        block = logits[start : start + _ROWS_AT_ONCE]
        shifted = work[: len(block)]
        np.subtract(block, maxima[start : start + len(block), None], out=shifted)
        np.exp(shifted, out=shifted)
        sums[start : start + len(block)] = shifted.sum(axis=1)
    exact = maxima.astype(np.float64)
    return exact, exact + np.log(sums)


class PackedScoring:
    """Packs sequences with shared prefixes into single decodes; exact where memory is a cache of tokens.

    Args:
        context: A context with one unified cache.
        pack_tokens: Tokens to put into one decode.
    """

    name: StrategyName = "packed"

    def __init__(self, context: Context, pack_tokens: int):
        plan = context.plan
        self._context = context
        self._batch = Batch(plan.n_batch, plan.n_seq_max)
        self._limits = PackLimits(
            n_tokens=min(pack_tokens, plan.n_batch),
            n_sequences=plan.n_seq_max - 1,
            n_outputs=min(plan.n_outputs_max, pack_tokens),
            n_cells=plan.n_ctx,
        )
        self._held: tuple[int, ...] = ()
        self.n_decoded = 0

    @property
    def max_tokens(self) -> int:
        """Most tokens that a sequence may have: packs beside a long one are smaller."""
        return self._context.plan.n_ctx + 1

    def score(self, sequences: Sequence[TokenSequence]) -> list[SequenceScore]:
        """Scores sequences, in the order given."""
        sheet = Sheet(sequences)
        prefix = common_prefix(sequences)
        is_held = bool(prefix) and self._held == prefix
        if not is_held:
            self._context.clear()
        self._held = ()
        for pack in pack_sequences(sequences, self._limits, sheet.race, is_prefix_held=is_held):
            self._decode(pack, sheet)
        self._context.keep_only(0)
        self._held = prefix
        return sheet.scores()

    def _decode(self, pack: Pack, sheet: Sheet) -> None:
        context = self._context
        if not pack.is_step:
            context.keep_only(0)
        for sequence, length in pack.loans:
            context.copy(0, sequence, length)
        self._batch.fill(pack.tokens, pack.positions, sequences=pack.sequences, outputs=pack.outputs)
        context.decode(self._batch)
        self.n_decoded += len(pack.tokens)
        if pack.reads:
            sheet.enter(context.logits(len(pack.outputs)), pack.reads)
        if pack.path_source != 0:
            context.forget(0)
            if pack.path_length:
                context.copy(pack.path_source, 0, pack.path_length)


class SingleScoring:
    """Decodes one sequence after the other from an empty memory; exact on every causal model, and slow.

    Args:
        context: Any context.
        n_tokens: Most tokens in one decode; as many as the context takes by default.
    """

    name: StrategyName = "single"

    def __init__(self, context: Context, n_tokens: int | None = None):
        plan = context.plan
        self._context = context
        self._batch = Batch(plan.n_batch, 1)
        self._step = min(plan.n_batch, plan.n_outputs_max, n_tokens or plan.n_batch)
        self.n_decoded = 0

    @property
    def max_tokens(self) -> int:
        """Most tokens that a sequence may have."""
        return self._context.n_ctx_per_sequence + 1

    def score(self, sequences: Sequence[TokenSequence]) -> list[SequenceScore]:
        """Scores sequences, in the order given."""
        sheet = Sheet(sequences)
        race = sheet.race
        for number in sorted(range(len(sequences)), key=race.place):
            self._context.clear()
            end = 0
            while True:
                start, end = end, sequences[number].n_decoded(race.ends[number])
                self._decode(number, sequences[number], range(start, end), sheet=sheet)
                if not race.advance(number):
                    break
        return sheet.scores()

    def _decode(self, number: int, sequence: TokenSequence, places: range, *, sheet: Sheet) -> None:
        first = sequence.n_context - 1
        for start in places[:: self._step]:
            positions = list(range(start, min(start + self._step, places.stop)))
            scored = [p for p in positions if p >= first]
            self._batch.fill(
                list(sequence.tokens[start : positions[-1] + 1]),
                positions,
                sequences=[[0]] * len(positions),
                outputs=[p - start for p in scored],
            )
            self._context.decode(self._batch)
            self.n_decoded += len(positions)
            reads = [Read(row, number, p - first, sequence.tokens[p + 1]) for row, p in enumerate(scored)]
            if reads:
                sheet.enter(self._context.logits(len(reads)), reads)


def measure_pack_size(context: Context, usual: int) -> PackSpeed:
    """Times decodes of several sizes and returns the one that runs fastest per token.

    Attention grows with the pack while matrix products gain from it, so the best size differs by machine and model.
    The sizes take turns, so that a machine that slows down slows them all; another size than the usual one must be
    clearly faster. Stops after about a second and a half.

    Args:
        context: A context for scoring.
        usual: The pack size to prefer, in tokens.
    """
    rng = np.random.default_rng(0)
    plan = context.plan
    batch = Batch(plan.n_batch, 1)
    largest = min(plan.n_batch, plan.n_ctx)
    usual = min(usual, largest)
    sizes = [usual, *(size for size in _PACK_SIZES if size <= largest and size != usual)]
    token_s: dict[int, float] = {}
    deadline = time.perf_counter() + _CALIBRATION_S
    for size in sizes * _CALIBRATION_ROUNDS:
        elapsed_s = _time_decode(context, batch, rng.integers(0, context.model.n_vocab, size))
        token_s[size] = min(elapsed_s, token_s.get(size, np.inf))
        if time.perf_counter() > deadline:
            break
    fastest = min(token_s, key=lambda size: token_s[size])
    if token_s[fastest] > token_s[usual] * _CLEARLY_FASTER:
        fastest = usual
    return PackSpeed(fastest, 1 / token_s[fastest])


def _time_decode(context: Context, batch: Batch, tokens: npt.NDArray[np.int64]) -> float:
    size = len(tokens)
    context.clear()
    batch.fill(tokens.tolist(), list(range(size)), sequences=[[0]] * size, outputs=[size - 1])
    start = time.perf_counter()
    context.decode(batch)
    context.logits(1)
    elapsed_s = time.perf_counter() - start
    context.clear()
    return elapsed_s / size
