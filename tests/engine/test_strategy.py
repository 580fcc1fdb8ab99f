"""The strategy is found by trying: what is wrong, refused or deadly is passed over, a model without order refused."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamabench.data import demo_model as demo_model_module
from llamabench.engine import worker
from llamabench.engine.copying import Strand, plan_waves
from llamabench.engine.llama import Context, Model
from llamabench.engine.packing import TokenSequence, count_trie_tokens
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.engine.scoring import SequenceScore, SingleScoring
from llamabench.engine.strategy import check_strategy, list_strategies
from llamabench.errors import Death, EngineDiedError, EngineError, ModelFileError
from llamabench.records import ContextPlan, ModelSpec, Plan, StrategyCheck, StrategyName


@pytest.fixture
def small(small_plan: Plan) -> Iterator[Callable[..., Context]]:
    """Opens contexts of the small plan, one after the other."""
    opened: list[Context] = []

    def open_one(path: Path, scoring: ContextPlan = small_plan.scoring) -> Context:
        plan = dataclasses.replace(small_plan, scoring=scoring)
        opened.append(Context(Model(str(path), plan), scoring, plan))
        return opened[-1]

    yield open_one
    for context in opened:
        context.close()
        context.model.close()


# --- the probe ----------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize("name", ["packed", "copied", "single"])
def test_what_is_exact_passes(name: StrategyName, demo_model: Path, small: Callable[..., Context]) -> None:
    check = check_strategy(name, small(demo_model))
    assert check.is_exact
    assert check.difference is not None
    assert check.difference < 1e-3
    assert name == "single" or "as far as a probe of 4 short sequences shows" in check.reason


@pytest.mark.model
@pytest.mark.parametrize(
    ("model", "words"),
    [("lfm2-dense", "gives other numbers than one sequence alone"), ("mamba2-dense", "could not decode")],
)
def test_packing_is_found_out_where_it_is_wrong(
    model: str, words: str, shared_data: Path, small: Callable[..., Context]
) -> None:
    """llama.cpp packs these without a word (lfm2: off by 0.001) or refuses to."""
    context = small(shared_data / "archs" / f"{model}.gguf")
    check = check_strategy("packed", context)
    assert not check.is_exact
    assert words in check.reason
    assert check_strategy("copied", context).is_exact, "the failed try left nothing behind"


@pytest.mark.model
def test_a_model_without_order_is_found_out(shared_data: Path, small: Callable[..., Context]) -> None:
    with pytest.raises(ModelFileError, match="no left-to-right probabilities"):
        check_strategy("packed", small(shared_data / "archs" / "dream-dense.gguf"))


@pytest.mark.model
def test_wrong_numbers_of_a_strategy_are_found_out(
    demo_model: Path, small: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlightlyWrong(SingleScoring):
        def score(self, sequences: Any) -> list[SequenceScore]:
            return [dataclasses.replace(s, logprobs=s.logprobs + 0.01) for s in super().score(sequences)]

    monkeypatch.setattr("llamabench.engine.strategy.make_strategy", lambda _, context, __: SlightlyWrong(context))
    check = check_strategy("packed", small(demo_model))
    assert not check.is_exact
    assert check.difference == pytest.approx(0.01, rel=1e-3)


@pytest.mark.model
def test_a_context_of_one_sequence_allows_one_strategy(demo_model: Path, small: Callable[..., Context]) -> None:
    plan = ContextPlan(256, 1, n_batch=64, n_ubatch=64, n_outputs_max=64, kv_unified=True)
    context = small(demo_model, plan)
    assert list_strategies(context) == ("single",)
    assert check_strategy("single", context).is_exact


# --- the choice ---------------------------------------------------------------------------------


class ScriptedEngine(Engine):
    """An engine whose worker is a list of answers."""

    def __init__(self, answers: dict[StrategyName, StrategyCheck | Exception]):
        self.spec = ModelSpec("model.gguf", PLAIN_PLAN)
        self.answers = answers
        self.n_restarts = 0

    def _call(self, task: Any, *args: Any, **_: Any) -> Any:
        if task is worker.list_strategies:
            return tuple(self.answers)
        if task is worker.check_strategy:
            assert self.spec.plan is not None
            answer = self.answers[self.spec.plan.strategy]
            if isinstance(answer, Exception):
                raise answer
            return answer
        return None

    def restart(self) -> None:
        self.n_restarts += 1


def check_of(name: StrategyName, *, is_exact: bool) -> StrategyCheck:
    return StrategyCheck(name, 0.0, 0.0, is_exact=is_exact, reason=f"{name} was tried.")


def test_the_first_exact_strategy_is_taken() -> None:
    engine = ScriptedEngine({n: check_of(n, is_exact=n != "packed") for n in ("packed", "copied", "single")})
    plan = engine.open(PLAIN_PLAN)
    assert plan.strategy == "copied"
    assert plan.reasons[-2:] == ("packed was tried.", "copied was tried.")
    assert engine.spec.plan == plan


def test_a_strategy_that_is_asked_for_is_not_tried_out() -> None:
    engine = ScriptedEngine({})
    assert engine.open(dataclasses.replace(PLAIN_PLAN, strategy="single")).strategy == "single"


def test_no_exact_strategy_is_an_error() -> None:
    with pytest.raises(EngineError, match="No way of scoring model.gguf is exact: .* single was tried"):
        ScriptedEngine({"single": check_of("single", is_exact=False)}).open(PLAIN_PLAN)


class DeadlyPacking(Engine):
    """An engine whose process really ends when packing is tried out, as with some models of llama.cpp's."""

    def _call(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        if task is worker.check_strategy and args[0].plan.strategy == "packed":
            return super()._call(os.abort)
        return super()._call(task, *args, **kwargs)


@pytest.mark.model
def test_a_strategy_that_ends_the_process_is_passed_over(demo_model: Path) -> None:
    with DeadlyPacking(demo_model) as engine:
        before = engine.process_id
        plan = engine.open(PLAIN_PLAN)
        assert plan.strategy == "copied"
        assert "Scoring packed ended the process in a probe" in plan.reasons[-2]
        assert engine.process_id != before
        assert engine.score_tokens([([5, 6, 7], [[8, 9], [10]])])


class DeadlyKernels(Engine):
    """An engine whose process ends at each decode while weights are repacked, as with AMX in some virtual machines."""

    def _call(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        if task is worker.check_strategy and args[0].plan.is_repacked:
            return super()._call(os.abort)
        return super()._call(task, *args, **kwargs)


@pytest.mark.model
def test_kernels_that_end_the_process_are_done_without(demo_model: Path) -> None:
    with DeadlyKernels(demo_model) as engine:
        plan = engine.open(PLAIN_PLAN)
        assert (plan.strategy, plan.is_repacked) == ("packed", False)
        assert any("left in the order of the file" in reason for reason in plan.reasons)
        assert engine.score_tokens([([5, 6, 7], [[8, 9], [10]])])


@pytest.mark.parametrize("cause", ["memory", "killed", "hung"])
def test_other_deaths_of_one_sequence_alone_are_no_matter_of_kernels(cause: Death) -> None:
    engine = ScriptedEngine({"single": EngineDiedError("It died.", cause)})
    with pytest.raises(EngineDiedError):
        engine.open(PLAIN_PLAN)
    assert engine.n_restarts == 0


@pytest.mark.model
@pytest.mark.parametrize("name", ["mamba2-dense", "qwen3moe-moe"])
def test_tokens_can_be_scored_with_a_path_alone(name: str, shared_data: Path, open_reference: Any) -> None:
    path = shared_data / "archs" / f"{name}.gguf"
    context, continuations = list(range(10, 40)), [[50, 51, 52], [50, 60]]
    with Engine(path) as engine:
        (scores,) = engine.score_tokens([(context, continuations)])
    reference = open_reference(path, flash="auto")
    for scored, continuation in zip(scores, continuations, strict=True):
        expected = reference.logprobs((*context, *continuation), len(context))
        np.testing.assert_allclose(scored.token_logprobs, expected, atol=1e-4)


@pytest.mark.model
def test_a_diffusion_model_is_refused(shared_data: Path) -> None:
    with Engine(shared_data / "archs" / "dream-dense.gguf") as engine, pytest.raises(ModelFileError, match="diffusion"):
        engine.score_tokens([([5, 6, 7], [[8]])])


@pytest.mark.model
def test_a_model_that_attends_to_what_comes_later_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = demo_model_module._describe

    def describe_an_encoder(writer: Any, *args: Any) -> None:
        describe(writer, *args)
        writer.add_causal_attention(False)

    monkeypatch.setattr(demo_model_module, "_describe", describe_an_encoder)
    path = demo_model_module.ensure_demo_model(tmp_path)
    with Engine(path) as engine:
        for _ in range(2):
            with pytest.raises(ModelFileError, match="attend to what comes later"):
                engine.score_tokens([([5, 6, 7], [[8]])])


# --- waves --------------------------------------------------------------------------------------


@st.composite
def families(draw: st.DrawFn) -> list[TokenSequence]:
    """Sequences of a few contexts, with continuations that often begin alike."""
    tokens = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)
    contexts = draw(st.lists(tokens, min_size=1, max_size=4))
    chosen = draw(st.lists(st.tuples(st.sampled_from(contexts), tokens), min_size=1, max_size=12))
    return [TokenSequence(context + continuation, len(context)) for context, continuation in chosen]


@given(families(), st.integers(1, 6), st.integers(4, 60))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_waves_read_every_token_once_after_its_own_past(
    sequences: list[TokenSequence], n_ids: int, n_cells: int
) -> None:
    reads: dict[tuple[int, int], int] = {}

    def decode(strand: Strand) -> None:
        past = memory.get(strand.id, ())
        assert len(past) == strand.start
        memory[strand.id] = past + strand.tokens
        for position, wanted in strand.wanted.items():
            for number, offset, token in wanted:
                sequence = sequences[number]
                assert memory[strand.id][: position + 1] == sequence.tokens[: sequence.n_context + offset]
                assert (number, offset) not in reads
                reads[number, offset] = token

    for wave in plan_waves(sequences, n_prefix=0, n_ids=n_ids, n_cells=n_cells):
        memory: dict[int, tuple[int, ...]] = {}
        for stem in wave.stems:
            decode(stem)
        for source, target in wave.copies:
            assert target not in memory
            memory[target] = memory[source]
        for leaf in wave.leaves:
            decode(leaf)
        assert wave.n_ids == len(memory) <= n_ids
        assert max(memory) == wave.n_ids
        assert wave.n_tokens <= n_cells or wave.n_ids == 1
    expected = {
        (number, offset): token
        for number, sequence in enumerate(sequences)
        for offset, token in enumerate(sequence.tokens[sequence.n_context :])
    }
    assert reads == expected


def test_a_context_is_decoded_once() -> None:
    context = tuple(range(20))
    sequences = [TokenSequence((*context, n, 30, 31), 20) for n in range(40, 44)]
    (wave,) = plan_waves(sequences, n_prefix=4, n_ids=8, n_cells=100)
    assert wave.n_tokens == count_trie_tokens(sequences) - 4
    assert [len(stem.tokens) for stem in wave.stems] == [16]
    assert [len(leaf.tokens) for leaf in wave.leaves] == [2] * 4
