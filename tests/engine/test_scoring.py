"""Every strategy gives what one sequence alone gives, whatever stands beside it and whatever came before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import logsumexp

from llamabench.engine.llama import Batch, Context, Model
from llamabench.engine.packing import TokenSequence, count_trie_tokens
from llamabench.engine.scoring import (
    PackedScoring,
    SequenceScore,
    SingleScoring,
    log_normalisers,
    measure_pack_size,
)
from llamabench.engine.strategy import list_strategies, make_strategy
from llamabench.errors import EngineError
from llamabench.records import ContextPlan, Plan, StrategyName

ATTENTION = ("deepseek2-moe", "gemma3-dense", "gpt-oss-moe", "llama-dense", "qwen3moe-moe")
STATEFUL = ("lfm2-dense", "mamba2-dense", "minimax-01-moe", "qwen35-dense")
EXACT = 1e-5
"""Per token, for F32 weights without flash attention; what is left comes from the f16 cache."""

DEMO_NOISE = 1e-3
"""Per token, on the demo model without flash attention, where another n_ubatch alone changes up to 2e-4."""

OpenReference = Callable[..., Any]
OpenContext = Callable[..., Context]


@pytest.fixture
def open_context(small_plan: Plan) -> Iterator[OpenContext]:
    """Opens scoring contexts and frees them after the test."""
    opened: list[Context] = []

    def open_one(path: Path, plan: Plan = small_plan, **changes: object) -> Context:
        plan = dataclasses.replace(plan, **changes)  # type: ignore[arg-type]
        opened.append(Context(Model(str(path), plan), plan.scoring, plan))
        return opened[-1]

    yield open_one
    for context in opened:
        context.close()
        context.model.close()


def make_sequences(seed: int = 0, *, n_vocab: int = 128, n_primer: int = 40) -> list[TokenSequence]:
    """A primer, questions that share it and one another's beginnings, and choices of one to eight tokens."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, n_vocab, n).tolist())

    primer = draw(n_primer)
    found = []
    for _ in range(4):
        question = primer + draw(int(rng.integers(2, 30)))
        answer = draw(8)
        choices = [answer, answer[:3], answer[:3] + draw(2), draw(1), draw(1)]
        found += [TokenSequence(question + choice, len(question)) for choice in choices]
    # one that is longer than a pack and has more to score than a pack has outputs
    found.append(TokenSequence(primer + draw(100), len(primer) + 20))
    return found


def differences(
    scores: Sequence[SequenceScore], sequences: Sequence[TokenSequence], reference: Any
) -> npt.NDArray[np.float64]:
    """Absolute difference from the reference of every scored token of every sequence."""
    solo = [reference.logprobs(s.tokens, s.n_context) for s in sequences]
    return np.abs(np.concatenate([score.logprobs for score in scores]) - np.concatenate(solo))


def same_bits(first: Sequence[SequenceScore], second: Sequence[SequenceScore]) -> bool:
    return all(
        a.logprobs.tobytes() == b.logprobs.tobytes() and a.is_greedy == b.is_greedy
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("n_vocab", [1, 7, 1000])
@pytest.mark.parametrize("n_rows", [1, 16, 37])
@pytest.mark.parametrize("spread", [0.0, 1.0, 60.0])
def test_log_normalisers(n_rows: int, n_vocab: int, spread: float) -> None:
    logits = np.random.default_rng(n_rows).normal(5, spread, (n_rows, n_vocab)).astype(np.float32)
    maxima, normalisers = log_normalisers(logits)
    np.testing.assert_array_equal(maxima, logits.max(axis=1))
    np.testing.assert_allclose(normalisers, logsumexp(logits.astype(np.float64), axis=1), rtol=0, atol=1e-6)


def test_log_normalisers_of_impossible_tokens() -> None:
    logits = np.array([[0.0, -np.inf, 0.0], [-np.inf, -3e38, 1e30]], np.float32)
    np.testing.assert_allclose(log_normalisers(logits)[1], [np.log(2), 1e30], rtol=1e-6)


def test_log_normalisers_pass_on_what_is_no_number() -> None:
    logits = np.array([[0.0, np.nan], [1.0, 1.0]], np.float32)
    assert np.isnan(log_normalisers(logits)[1]).tolist() == [True, False]


@pytest.mark.model
@pytest.mark.parametrize("pack_tokens", [7, 48, 64])
def test_packed_equals_alone(
    pack_tokens: int, demo_model: Path, open_context: OpenContext, open_reference: OpenReference
) -> None:
    sequences = make_sequences()
    strategy = PackedScoring(open_context(demo_model), pack_tokens)
    scores = strategy.score(sequences)
    assert differences(scores, sequences, open_reference(demo_model)).max() < DEMO_NOISE
    if pack_tokens == 64:
        assert strategy.n_decoded < 1.2 * count_trie_tokens(sequences)


@pytest.mark.model
@pytest.mark.parametrize("n_outputs", [8, 11, 64])
@pytest.mark.parametrize("n_sequences", [2, 3, 8])
def test_packed_equals_alone_in_narrow_contexts(
    n_sequences: int, n_outputs: int, demo_model: Path, open_context: OpenContext, open_reference: OpenReference
) -> None:
    sequences = make_sequences()[::3]
    narrow = ContextPlan(256, n_sequences, n_batch=64, n_ubatch=16, n_outputs_max=n_outputs, kv_unified=True)
    scores = PackedScoring(open_context(demo_model, scoring=narrow), 64).score(sequences)
    assert differences(scores, sequences, open_reference(demo_model)).max() < DEMO_NOISE


@pytest.mark.model
@pytest.mark.parametrize(
    ("strategy_name", "pack_tokens"), [("packed", 16), ("packed", 64), ("copied", 64), ("single", 64)]
)
@pytest.mark.parametrize("name", ATTENTION)
def test_every_strategy_equals_alone_on_attention(
    name: str,
    strategy_name: StrategyName,
    pack_tokens: int,
    shared_data: Path,
    open_context: OpenContext,
    open_reference: OpenReference,
) -> None:
    path = shared_data / "archs" / f"{name}.gguf"
    sequences = make_sequences()
    context = open_context(path)
    assert list_strategies(context) == ("packed", "copied", "single")
    scores = make_strategy(strategy_name, context, pack_tokens).score(sequences)
    assert differences(scores, sequences, open_reference(path)).max() < EXACT


@pytest.mark.model
@pytest.mark.parametrize(("strategy_name", "pack_tokens"), [("copied", 7), ("copied", 64), ("single", 64)])
@pytest.mark.parametrize("name", STATEFUL)
def test_every_strategy_equals_alone_on_states(
    name: str,
    strategy_name: StrategyName,
    pack_tokens: int,
    shared_data: Path,
    open_context: OpenContext,
    open_reference: OpenReference,
) -> None:
    path = shared_data / "archs" / f"{name}.gguf"
    sequences = make_sequences()
    context = open_context(path)
    assert list_strategies(context) == ("copied", "single")
    strategy = make_strategy(strategy_name, context, pack_tokens)
    reference = open_reference(path)
    for chunk in (sequences, sequences[::-1], sequences[5:9]):
        assert differences(strategy.score(chunk), chunk, reference).max() < EXACT


@pytest.mark.model
@pytest.mark.parametrize("name", ["gemma3-dense", "gpt-oss-moe"])
@pytest.mark.parametrize(
    ("shapes", "pack_tokens", "n_outputs"),
    [
        ([(29, 2, 0), (19, 18, 3), (57, 56, 14), (34, 27, 4)], 31, 22),
        ([(31, 20, 0), (16, 15, 1), (50, 27, 14), (3, 2, 1)], 16, 5),
    ],
)
def test_sliding_window_keeps_what_later_sequences_need(
    name: str,
    shapes: list[tuple[int, int, int]],
    pack_tokens: int,
    n_outputs: int,
    shared_data: Path,
    open_context: OpenContext,
    open_reference: OpenReference,
) -> None:
    """A path that lies scattered grows beyond the window of 32 tokens, then a sequence branches off near its start.

    Shapes are length, context and what is shared with the sequence before, in the order of packing.
    """
    path = shared_data / "archs" / f"{name}.gguf"
    rng = np.random.default_rng(0)
    sequences = [TokenSequence((3, 3, 3, 3), 1)]
    for length, n_context, n_shared in shapes:
        before = sequences[-1].tokens
        new = (before[n_shared] + 1, *rng.integers(3, 100, length - n_shared - 1).tolist())
        sequences.append(TokenSequence(before[:n_shared] + new, n_context))
    plan = ContextPlan(256, n_seq_max=5, n_batch=32, n_ubatch=8, n_outputs_max=n_outputs, kv_unified=True)
    scores = PackedScoring(open_context(path, scoring=plan), pack_tokens).score(sequences[1:])
    assert differences(scores, sequences[1:], open_reference(path)).max() < EXACT


@pytest.mark.model
@pytest.mark.parametrize("strategy_name", ["packed", "copied"])
def test_sequences_may_fill_the_context(
    strategy_name: StrategyName, demo_model: Path, open_context: OpenContext
) -> None:
    context = open_context(demo_model)
    strategy = make_strategy(strategy_name, context, 64)
    assert strategy.max_tokens == 513, "the last token is not decoded"
    tokens = tuple(np.random.default_rng(0).integers(3, 300, 513).tolist())
    answers = [tokens[505:], tokens[505:507], (7,) * 8]
    sequences = [TokenSequence(tokens[:505] + answer, 505) for answer in answers]
    sequences += [TokenSequence(tokens[:300] + tokens[:n], 300) for n in (1, 213)]
    alone = SingleScoring(context).score(sequences)
    context.clear()
    for one, other in zip(strategy.score(sequences), alone, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=DEMO_NOISE)


@pytest.mark.model
def test_single_equals_alone(demo_model: Path, open_context: OpenContext, open_reference: OpenReference) -> None:
    sequences = make_sequences()
    scores = SingleScoring(open_context(demo_model)).score(sequences)
    assert differences(scores, sequences, open_reference(demo_model)).max() < DEMO_NOISE


@pytest.mark.model
def test_packing_differs_no_more_than_another_ubatch(
    shared_data: Path, open_context: OpenContext, open_reference: OpenReference
) -> None:
    path = shared_data / "models" / "stories260K.gguf"
    sequences = make_sequences(n_vocab=512)[::2]
    plain, *others = (open_reference(path, flash="auto", n_ubatch=n_ubatch) for n_ubatch in (256, 1, 16))
    solo = [SequenceScore(plain.logprobs(s.tokens, s.n_context), False) for s in sequences]
    noise = max(differences(solo, sequences, other).max() for other in others)
    packed = PackedScoring(open_context(path, flash_attention="auto"), 64).score(sequences)
    assert differences(packed, sequences, plain).max() <= 3 * noise


@pytest.mark.model
@pytest.mark.parametrize("name", ["packed", "copied"])
def test_chunk_does_not_depend_on_what_came_before(
    name: StrategyName, demo_model: Path, open_context: OpenContext
) -> None:
    chunk = make_sequences(seed=1)
    fresh = make_strategy(name, open_context(demo_model), 48).score(chunk)
    strategy = make_strategy(name, open_context(demo_model), 48)
    for earlier in (make_sequences(seed=2), make_sequences(seed=3, n_primer=1), chunk[:1], chunk[::-1]):
        strategy.score(earlier)
        assert same_bits(strategy.score(chunk), fresh)


@pytest.mark.model
@pytest.mark.parametrize("name", ["packed", "copied"])
def test_held_prefix_is_not_decoded_again_and_changes_no_bit(
    name: StrategyName, demo_model: Path, open_context: OpenContext
) -> None:
    chunk = make_sequences()
    strategy = make_strategy(name, open_context(demo_model), 48)
    first = strategy.score(chunk)
    n_first = strategy.n_decoded
    second = strategy.score(chunk)
    assert strategy.n_decoded - n_first == n_first - 40
    assert same_bits(first, second)


@pytest.mark.model
def test_order_of_a_chunk_changes_no_bit(demo_model: Path, open_context: OpenContext) -> None:
    chunk = make_sequences()
    order = np.random.default_rng(0).permutation(len(chunk)).tolist()
    straight = PackedScoring(open_context(demo_model), 48).score(chunk)
    shuffled = PackedScoring(open_context(demo_model), 48).score([chunk[n] for n in order])
    assert same_bits(shuffled, [straight[n] for n in order])


@pytest.mark.model
@pytest.mark.parametrize("name", ["packed", "copied", "single"])
def test_greedy_continuation_is_recognised(
    name: StrategyName,
    demo_model: Path,
    open_context: OpenContext,
    open_reference: OpenReference,
) -> None:
    context = tuple(range(40, 70))
    reference = open_reference(demo_model)
    likeliest: tuple[int, ...] = ()
    for _ in range(3):
        likeliest += (int(reference.logits(context + likeliest)[-1].argmax()),)
    strategy = make_strategy(name, open_context(demo_model), 48)
    other = (*likeliest[:2], likeliest[2] ^ 1)
    scores = strategy.score([TokenSequence(context + tail, len(context)) for tail in (likeliest, other)])
    assert [score.is_greedy for score in scores] == [True, False]


@pytest.mark.model
@pytest.mark.parametrize("n_scored", [1, 6, 150])
@pytest.mark.parametrize(
    ("n_sequences", "name"), [(1, "single"), (2, "packed"), (8, "packed"), (2, "copied"), (8, "copied")]
)
def test_sequences_as_long_as_allowed(
    n_sequences: int,
    name: StrategyName,
    n_scored: int,
    demo_model: Path,
    open_context: OpenContext,
    open_reference: Any,
) -> None:
    plan = ContextPlan(256, n_sequences, n_batch=64, n_ubatch=64, n_outputs_max=64, kv_unified=True)
    strategy = make_strategy(name, open_context(demo_model, scoring=plan), 48)
    n_context = strategy.max_tokens - n_scored
    rng = np.random.default_rng(0)
    context = tuple(rng.integers(3, 250, n_context).tolist())
    choices = [tuple(rng.integers(3, 250, n_scored).tolist()) for _ in range(10 if n_scored < 10 else 2)]
    sequences = [TokenSequence(context + choice, n_context) for choice in choices]
    scores = strategy.score(sequences)
    assert differences(scores, sequences, open_reference(demo_model)).max() < DEMO_NOISE


@pytest.mark.model
@pytest.mark.parametrize("name", ["packed", "copied"])
def test_failed_decode_leaves_nothing_behind(
    name: StrategyName, demo_model: Path, open_context: OpenContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = make_sequences()
    opened = open_context(demo_model)
    strategy = make_strategy(name, opened, 48)
    expected = strategy.score(chunk)
    decode, n_left = opened.decode, iter(range(3))

    def fail_soon(batch: Batch) -> None:
        if next(n_left, None) is None:
            raise EngineError("no room")
        decode(batch)

    with monkeypatch.context() as patch:
        patch.setattr(opened, "decode", fail_soon)
        with pytest.raises(EngineError, match="no room"):
            strategy.score(chunk)
    assert same_bits(strategy.score(chunk), expected)


@pytest.mark.model
def test_measured_pack_size_is_one_that_fits(demo_model: Path, open_context: OpenContext) -> None:
    speed = measure_pack_size(open_context(demo_model), 256)
    assert speed.n_tokens == 64, "n_batch, the largest there is room for"
    assert speed.tokens_per_s > 0
