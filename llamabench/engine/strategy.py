"""Which way of scoring a model takes: by what llama.cpp says of its memory, and by trying it out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llamabench.engine.copying import CopiedScoring
from llamabench.engine.llama import Context
from llamabench.engine.packing import MIN_SHARED_PREFIX, TokenSequence
from llamabench.engine.scoring import PackedScoring, ScoringStrategy, SequenceScore, SingleScoring
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import StrategyCheck, StrategyName

_PIECES = (1, 5)
"""Tokens per decode of the sequence that shows llama.cpp's own noise: vectors and matrices take different paths."""

_NOISE_FACTOR, _LEAST_LIMIT = 3.0, 1e-4
"""A strategy may differ by so many times the noise, and in any case by so much: root mean squares, in nats."""

_MOST_CHANGE = 0.2
"""From which root mean square on a probability depends on what it must not depend on, in nats; noise stays below."""

_PROBE_PACK = 32


def list_strategies(context: Context) -> tuple[StrategyName, ...]:
    """The strategies that a context allows, fastest first; `single` is always the last.

    A memory that is recurrent, in all layers or in some, takes no shared tokens: some models refuse them, some end
    the process, and some answer wrongly without a word.
    """
    if context.plan.n_seq_max == 1:
        return ("single",)
    return ("packed", "copied", "single") if context.model.has_cache_per_token else ("copied", "single")


def make_strategy(name: StrategyName, context: Context, pack_tokens: int) -> ScoringStrategy:
    """A strategy by its name.

    Args:
        name: One of `list_strategies`.
        context: A context with one unified cache.
        pack_tokens: Tokens to put into one decode.
    """
    if name == "packed":
        return PackedScoring(context, pack_tokens)
    if name == "copied":
        return CopiedScoring(context, pack_tokens)
    return SingleScoring(context)


def check_strategy(name: StrategyName, context: Context) -> StrategyCheck:
    """Scores a small probe both ways: by a strategy and one sequence at a time.

    The probe has a prefix that all share, contexts that share more, and continuations that begin alike. It is scored
    twice, the second time with the prefix held. llama.cpp's own noise is that of a sequence decoded in pieces. The
    check also finds a model whose log-probabilities depend on what comes later, or on which of them are asked for.

    Args:
        name: One of `list_strategies`.
        context: The context that will be scored with; its memory is emptied.

    Raises:
        ModelFileError: The model gives no left-to-right log-probabilities.
        EngineError: llama.cpp cannot decode one sequence by itself.
    """
    sequences = _probe(context)
    single = SingleScoring(context)
    alone = _flat(single.score(sequences))
    noise = _check_order(context, sequences[0], alone)
    if name == "single":
        return StrategyCheck(name, 0.0, noise, is_exact=True, reason="Each sequence is scored by itself.")
    context.clear()
    strategy = make_strategy(name, context, _PROBE_PACK)
    try:
        found = [_flat(strategy.score(sequences)) for _ in range(2)]
    except EngineError as exc:
        return StrategyCheck(name, None, noise, is_exact=False, reason=str(exc))
    finally:
        context.clear()
    difference = max(_rms(scores - alone) for scores in found)
    is_exact = difference <= max(_NOISE_FACTOR * noise, _LEAST_LIMIT)  # never true of NaN
    words = "gives what one sequence alone gives" if is_exact else "gives other numbers than one sequence alone"
    reason = (
        f"Scoring {name} {words}, as far as a probe of {len(sequences)} short sequences shows: {difference:.1g} apart, "
        f"llama.cpp's own noise is {noise:.1g}."
    )
    return StrategyCheck(name, difference, noise, is_exact=is_exact, reason=reason)


def _probe(context: Context) -> list[TokenSequence]:
    """Four sequences: two contexts, two continuations each, all with a common beginning."""
    room = min(context.plan.n_ctx // 2, context.n_ctx_per_sequence)
    if room < 2 * MIN_SHARED_PREFIX:
        raise EngineError(f"A context of {context.plan.n_ctx} tokens is too small to score anything.")
    rng = np.random.default_rng(0)
    # the first tokens of a vocabulary are often special
    low = min(context.model.n_vocab // 2, 300)

    def draw(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(low, context.model.n_vocab, n).tolist())

    primer = draw(MIN_SHARED_PREFIX + 1)
    question = primer + draw(2)
    begin = draw(1)
    shapes = [(question, draw(5)), (question, begin + draw(3)), (question + draw(3), begin + draw(4))]
    shapes.append((shapes[-1][0], begin + draw(1)))
    return [
        TokenSequence(context_tokens + continuation, len(context_tokens)) for context_tokens, continuation in shapes
    ]


def _check_order(context: Context, sequence: TokenSequence, alone: npt.NDArray[np.float64]) -> float:
    """Checks that scores depend on the past alone; the noise of decoding in pieces, root mean square."""
    single = SingleScoring(context)
    every = TokenSequence(sequence.tokens, 1)
    cut = TokenSequence(sequence.tokens[: sequence.n_context + 1], 1)
    whole, beginning = (_flat(single.score([one])) for one in (every, cut))
    n_scored = len(sequence.tokens) - sequence.n_context
    pieces = [_flat(SingleScoring(context, n_tokens).score([every])) for n_tokens in _PIECES]
    noise = max(_rms(one - whole) for one in pieces)
    change = max(noise, _rms(whole[-n_scored:] - alone[:n_scored]), _rms(beginning - whole[: len(beginning)]))
    if not change <= _MOST_CHANGE:
        raise ModelFileError(
            f"{context.model.path} has no left-to-right probabilities: in a probe they changed by {change:.2g} with "
            "what came later, or with which of them were asked for."
        )
    return noise


def _flat(scores: Sequence[SequenceScore]) -> npt.NDArray[np.float64]:
    return np.fromiter(itertools.chain.from_iterable(score.logprobs for score in scores), np.float64)


def _rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
