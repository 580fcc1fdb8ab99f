"""Continuations that have lost are left: the same winners and ties as without, and nobody left could have won."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamabench.engine import racing
from llamabench.engine.llama import Context, Model
from llamabench.engine.packing import TokenSequence
from llamabench.engine.process import Engine
from llamabench.engine.racing import MARGIN, Race
from llamabench.engine.scoring import SequenceScore
from llamabench.engine.strategy import list_strategies, make_strategy
from llamabench.records import ContextPlan, Plan, ScoreRequest, ScoreResult, StrategyName, TextPrompt

ROOMY = ContextPlan(1024, n_seq_max=8, n_batch=64, n_ubatch=64, n_outputs_max=64, kv_unified=True)
NOISE = 0.1
"""Nats of a sum; `MARGIN` is beyond it, and races as near as that are left out of what is compared."""

OpenContext = Callable[..., Context]


@pytest.fixture(scope="module")
def open_context(small_plan: Plan) -> Iterator[OpenContext]:
    """Opens a context of a model once."""
    opened: dict[Path, Context] = {}

    def open_one(path: Path) -> Context:
        if path not in opened:
            plan = dataclasses.replace(small_plan, scoring=ROOMY)
            opened[path] = Context(Model(str(path), plan), ROOMY, plan)
        return opened[path]

    yield open_one
    for context in opened.values():
        context.close()
        context.model.close()


def draw_races(seed: int, *, n_vocab: int) -> list[TokenSequence]:
    """Questions with answers of one to eighty tokens, some of which begin alike; every third question is no race."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> tuple[int, ...]:
        return tuple(rng.integers(3, n_vocab, n).tolist())

    primer = draw(int(rng.integers(0, 30)))
    found = []
    for number in range(4):
        question = primer + draw(int(rng.integers(2, 70)))
        begin = draw(int(rng.integers(0, 40)))
        race = None if number % 3 == 2 else number
        for _ in range(int(rng.integers(1, 5))):
            answer = begin[: int(rng.integers(0, len(begin) + 1))] + draw(int(rng.integers(1, 40)))
            found.append(TokenSequence(question + answer, len(question), race))
    return found


def sums(scores: Sequence[SequenceScore]) -> list[float]:
    return [float(score.logprobs.sum()) for score in scores]


def check_same_winners(
    sequences: Sequence[TokenSequence], pruned: Sequence[SequenceScore], whole: Sequence[SequenceScore]
) -> None:
    for sequence, some, every in zip(sequences, pruned, whole, strict=True):
        assert len(some.logprobs) + some.n_unread == sequence.n_scored
        assert some.n_unread == 0 or sequence.race is not None
        np.testing.assert_allclose(some.logprobs.sum(), every.logprobs[: len(some.logprobs)].sum(), atol=NOISE)
    for race in {sequence.race for sequence in sequences} - {None}:
        rivals = [number for number, sequence in enumerate(sequences) if sequence.race == race]
        best = max(sums(whole)[number] for number in rivals)
        for number in rivals:
            if sums(whole)[number] > best - MARGIN + NOISE:
                assert pruned[number].n_unread == 0, "the winner, and what is as likely, has its whole sum"
            if pruned[number].n_unread:
                assert sums(pruned)[number] < best - MARGIN + NOISE


@pytest.mark.model
@pytest.mark.parametrize("strategy_name", ["packed", "copied", "single"])
@pytest.mark.parametrize(
    "name", ["demo", "models/stories260K", "archs/llama-dense", "archs/gemma3-dense", "archs/qwen35-dense"]
)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), step=st.integers(1, 40), pack_tokens=st.sampled_from([24, 64]))
def test_winners_are_those_without_pruning(
    name: str,
    strategy_name: StrategyName,
    open_context: OpenContext,
    request: pytest.FixtureRequest,
    *,
    seed: int,
    step: int,
    pack_tokens: int,
) -> None:
    path = request.getfixturevalue("demo_model")
    if name != "demo":
        path = request.getfixturevalue("shared_data") / f"{name}.gguf"
    context = open_context(path)
    if strategy_name not in list_strategies(context):
        pytest.skip("this memory is not shared in part")
    sequences = draw_races(seed, n_vocab=min(context.model.n_vocab, 200))
    strategy = make_strategy(strategy_name, context, pack_tokens)
    context.clear()
    whole = strategy.score([dataclasses.replace(sequence, race=None) for sequence in sequences])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(racing, "STEP", step)
        pruned = strategy.score(sequences)
        again = strategy.score(sequences)
    check_same_winners(sequences, pruned, whole)
    assert [score.logprobs.tobytes() for score in pruned] == [score.logprobs.tobytes() for score in again]


@pytest.mark.model
@pytest.mark.parametrize("strategy_name", ["packed", "copied", "single"])
def test_fewer_tokens_are_decoded(strategy_name: StrategyName, demo_model: Path, open_context: OpenContext) -> None:
    context, prompt = open_context(demo_model), tuple(range(40, 80))
    answers = (tuple(range(100, 104)), tuple(range(104, 254)))
    pair = [TokenSequence(prompt + answer, len(prompt), race=0) for answer in answers]
    n_decoded = []
    for sequences in (pair, [dataclasses.replace(sequence, race=None) for sequence in pair]):
        context.clear()
        strategy = make_strategy(strategy_name, context, 64)
        scores = strategy.score(sequences)
        n_decoded.append(strategy.n_decoded)
        n_left = sum(score.n_unread for score in scores)
        assert n_left == (150 - racing.STEP if sequences is pair else 0), "random weights: what is short is likelier"
    assert n_decoded[1] - n_decoded[0] >= 150 - racing.STEP


@pytest.mark.model
def test_ties_are_scored_to_their_end(demo_model: Path) -> None:
    text = " and then they all went home again, as people do" * 3
    ask = ScoreRequest("tie", TextPrompt("They ate"), (text, text, " " + text * 2), wants_winner=True)
    with Engine(demo_model) as engine:
        (result,) = engine.score([ask])
        (whole,) = engine.score([dataclasses.replace(ask, wants_winner=False)])
    assert isinstance(result, ScoreResult)
    assert isinstance(whole, ScoreResult)
    assert [scored.is_pruned for scored in result.continuations] == [False, False, True]
    assert result.continuations[0].logprob_sum == result.continuations[1].logprob_sum
    assert [scored.n_tokens for scored in result.continuations] == [scored.n_tokens for scored in whole.continuations]
    assert result.continuations[2].logprob_sum > whole.continuations[2].logprob_sum, "an upper bound"


# --- the rules ----------------------------------------------------------------------------------


def test_short_answers_are_whole_at_once() -> None:
    race = Race([1, 5, racing.STEP * 2, 3], [0, 0, 0, None], lambda number, n_tokens: -1.0)
    assert race.ends == [1, 5, racing.STEP * 2, 3]
    assert not any(race.advance(number) for number in range(4))


def test_nobody_loses_to_what_is_not_read() -> None:
    race = Race([40, 200], [7, 7], lambda number, n_tokens: np.nan if number == 0 else -1000.0)
    assert race.ends == [40, 40]
    assert race.advance(1)
    assert race.ends == [40, 40 + racing.STEP]


@pytest.mark.parametrize(("partial", "goes_on"), [(-10.0, True), (-10.4, True), (-10.5, True), (-10.6, False)])
def test_a_loss_is_clear(partial: float, goes_on: bool) -> None:
    race = Race([40, 200], [7, 7], lambda number, n_tokens: (-10.0, partial)[number])
    assert race.advance(1) is goes_on


def test_one_without_rivals_goes_to_its_end() -> None:
    race = Race([500, 500], [1, None], lambda number, n_tokens: -1.0)
    assert race.ends == [500, 500]
