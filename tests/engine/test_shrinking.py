from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.engine.shrinking import move_to_host, shrink, without_server
from llamabench.records import ContextPlan, Plan


def steps(plan: Plan | None) -> Iterator[Plan]:
    while plan is not None:
        yield plan
        plan = shrink(plan)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans that llama.cpp takes, with layers on devices or none."""

    def context(stream: int, *, kv_unified: bool) -> ContextPlan:
        n_batch = draw(st.integers(1, 2048))
        n_outputs = draw(st.integers(1, n_batch))
        n_seq_max = draw(st.integers(1, min(n_outputs, 256)))
        n_ubatch = draw(st.integers(1, n_batch))
        return ContextPlan(
            stream * (1 if kv_unified else n_seq_max), n_seq_max, n_batch, n_ubatch, n_outputs, kv_unified
        )

    n_layers = draw(st.integers(0, 100))
    scoring = context(4096, kv_unified=True)
    return replace(
        PLAIN_PLAN,
        n_gpu_layers=n_layers,
        tensor_split=(0.5, 0.5) if n_layers else (),
        scoring=scoring,
        generation=context(512, kv_unified=False),
        pack_tokens=draw(st.integers(1, scoring.n_batch)),
        expected_bytes={"CPU": 1},
    )


@given(plans())
def test_each_step_needs_less_and_keeps_what_sequences_need(plan: Plan) -> None:
    for before, after in zip(steps(plan), list(steps(plan))[1:], strict=False):
        for old, new in ((before.scoring, after.scoring), (before.generation, after.generation)):
            assert 1 <= new.n_seq_max <= new.n_outputs_max <= new.n_batch <= old.n_batch
            assert 1 <= new.n_ubatch <= new.n_batch
            assert new.n_ubatch <= old.n_ubatch
        assert after.scoring.n_ctx == plan.scoring.n_ctx
        assert after.generation.n_ctx // after.generation.n_seq_max == 512
        assert min(plan.scoring.n_seq_max, 2) <= after.scoring.n_seq_max
        assert after.pack_tokens <= after.scoring.n_batch
        assert (after.kv_type, after.flash_attention) == (plan.kv_type, plan.flash_attention)
        assert after.reasons[: len(before.reasons)] == before.reasons
        assert after.reasons[-1].startswith("Memory ran out: ")
        assert after.expected_bytes == {}
        assert replace(after, reasons=(), expected_bytes={}) != replace(before, reasons=(), expected_bytes={})


@given(plans())
def test_it_ends_with_everything_on_the_processor(plan: Plan) -> None:
    *_, last = steps(plan)
    assert last.n_gpu_layers == 0
    assert last.tensor_split == ()
    assert last.generation.n_seq_max == 1
    assert len(list(steps(plan))) < 20


def test_batches_go_first_and_layers_last() -> None:
    context = ContextPlan(8192, n_seq_max=256, n_batch=1024, n_ubatch=1024, n_outputs_max=1024, kv_unified=True)
    plan = replace(PLAIN_PLAN, n_gpu_layers=33, scoring=context, pack_tokens=1024)
    told = [after.reasons[-1] for after in list(steps(plan))[1:]]
    assert told == [
        "Memory ran out: batches cut from 1024 to 256 tokens.",
        "Memory ran out: batches cut from 256 to 64 tokens.",
        "Memory ran out: sequences at a time cut from 64 to 16, texts from 4 to 1.",
        "Memory ran out: layers on devices cut from 33 to 16.",
        "Memory ran out: layers on devices cut from 16 to 8.",
        "Memory ran out: layers on devices cut from 8 to 4.",
        "Memory ran out: layers on devices cut from 4 to 2.",
        "Memory ran out: layers on devices cut from 2 to 1.",
        "Memory ran out: layers on devices cut from 1 to 0.",
    ]


def test_llama_cpp_takes_every_step(demo_model: Path) -> None:
    with Engine(demo_model) as engine:
        for plan in steps(replace(PLAIN_PLAN, n_threads=1)):
            engine.open(plan)
            ((scored,),) = engine.score_tokens([([1, 2, 3], [[4, 5]])])
            assert len(scored.token_logprobs) == 2


# --- layers on devices --------------------------------------------------------------------------


def test_weights_that_find_no_room_cost_layers_not_batches() -> None:
    plan = replace(PLAIN_PLAN, n_gpu_layers=33)
    less = shrink(plan, is_loading=True)
    assert less is not None
    assert (less.n_gpu_layers, less.scoring) == (16, plan.scoring)
    on_host = shrink(replace(PLAIN_PLAN, n_gpu_layers=0), is_loading=True)
    assert on_host is not None
    assert on_host.scoring.n_batch < plan.scoring.n_batch


def test_at_last_all_layers_move_to_the_host() -> None:
    plan = replace(PLAIN_PLAN, n_gpu_layers=33, n_cpu_moe=4, tensor_split=(1.0, 2.0), rpc_servers=("a:1",))
    less = move_to_host(plan)
    assert less is not None
    assert (less.n_gpu_layers, less.n_cpu_moe, less.tensor_split, less.rpc_servers) == (0, 0, (), ())
    assert less.reasons[-1] == "Memory ran out: layers on devices cut from 33 to 0."
    assert move_to_host(less) is None


@pytest.mark.parametrize(
    ("servers", "shares", "left", "expected"),
    [
        (("a:1",), (), "a:1", (0, (), ())),
        (("a:1",), (12.0, 18.0), "a:1", (18, (), ())),
        (("a:1", "b:1"), (10.0, 20.0), "a:1", (20, (), ("b:1",))),
        (("a:1", "b:1"), (10.0, 20.0), "b:1", (10, (), ("a:1",))),
        (("a:1", "b:1"), (10.0, 20.0), None, (0, (), ())),
        (("a:1", "a:1", "b:1"), (5.0, 5.0, 5.0, 15.0), "a:1", (20, (5.0, 15.0), ("b:1",))),
        (("a:1", "b:1"), (0.0, 30.0), "b:1", (0, (), ())),
        (("a:1", "b:1"), (0.25, 0.25, 0.5), "b:1", (22, (0.25, 0.5), ("a:1",))),
    ],
)
def test_only_the_layers_of_a_server_that_left_move(
    servers: tuple[str, ...], shares: tuple[float, ...], left: str | None, expected: tuple[object, ...]
) -> None:
    plan = replace(PLAIN_PLAN, n_gpu_layers=30, tensor_split=shares, rpc_servers=servers, expected_bytes={"RPC0": 1})
    less = without_server(plan, left)
    assert (less.n_gpu_layers, less.tensor_split, less.rpc_servers) == expected
    assert (less.scoring, less.pack_tokens, less.expected_bytes) == (plan.scoring, plan.pack_tokens, {})
    names = left or "a:1 and b:1"
    n_moved = 30 - less.n_gpu_layers
    assert less.reasons[-1] == f"{names} is not used any more: {n_moved} layers run on the host instead."
