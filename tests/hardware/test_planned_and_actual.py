"""What is planned is what llama.cpp takes: layouts without memory against the buffers of models that are open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.hardware.dry_layout import DryLayouts
from llamabench.hardware.gguf import read_model
from llamabench.hardware.layout import Placement
from llamabench.records import BufferBytes, ContextPlan

pytestmark = pytest.mark.model

CONTEXTS = {
    "small": (
        ContextPlan(512, 4, 64, 64, 64, kv_unified=True),
        ContextPlan(512, 2, 64, 64, 2, kv_unified=False),
    ),
    "large": (
        ContextPlan(4096, 64, 1024, 512, 256, kv_unified=True),
        ContextPlan(8192, 16, 512, 512, 16, kv_unified=False),
    ),
}
ARCHITECTURES = [
    "deepseek2-moe", "gemma3-dense", "gpt-oss-moe", "lfm2-dense", "llama-dense", "mamba2-dense", "minimax-01-moe",
    "qwen35-dense", "qwen3moe-moe",
]  # fmt: skip


def total(buffers: tuple[BufferBytes, ...]) -> tuple[int, int, int]:
    return (
        sum(buffer.weight_bytes for buffer in buffers),
        sum(buffer.context_bytes for buffer in buffers),
        sum(buffer.compute_bytes for buffer in buffers),
    )


def compare(path: Path, scoring: ContextPlan, generation: ContextPlan) -> None:
    model = read_model(path)
    plan = replace(PLAIN_PLAN, scoring=scoring, generation=generation, strategy="single", is_mapped=False)
    with DryLayouts(model, [], plan) as layouts, Engine(path, plan) as engine:
        for context in (scoring, generation):
            planned = layouts.lay_out(Placement(0), context)
            assert planned.is_exact, layouts.note
            host = planned.host
            actual = total(engine.read_buffers(for_scoring=context is scoring))
            assert (host.weight_bytes, host.context_bytes, host.compute_bytes) == actual


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_takes_what_was_planned(
    name: str, contexts: tuple[ContextPlan, ContextPlan], shared_data: Path
) -> None:
    compare(shared_data / "archs" / f"{name}.gguf", *contexts)


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
def test_a_quantized_model_takes_what_was_planned(contexts: tuple[ContextPlan, ContextPlan], demo_model: Path) -> None:
    compare(demo_model, *contexts)
