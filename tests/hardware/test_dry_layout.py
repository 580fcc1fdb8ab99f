"""llama.cpp's own layouts of headers with the dimensions of real models, on cards that are not there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import headers
import pytest
from recorded import load_machine

from llamabench.engine.llama import DryModel, virtual
from llamabench.engine.process import PLAIN_PLAN
from llamabench.errors import EngineError
from llamabench.hardware.attention import is_recurrent
from llamabench.hardware.dry_layout import DryLayouts
from llamabench.hardware.gguf import read_model
from llamabench.hardware.layout import FormulaLayouts, Placement, cache_by_place, weights_by_place
from llamabench.hardware.placing import Room
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.planning import make_plan
from llamabench.records import ContextPlan, Demand, Device, ModelFacts

pytestmark = pytest.mark.model

MIB, GIB = 1 << 20, 1 << 30
CARD = Device("CUDA0", "NVIDIA GeForce RTX 3060", "gpu", "CUDA", 11 * GIB, 12 * GIB)
SECOND = Device("CUDA1", "NVIDIA GeForce RTX 2060", "gpu", "CUDA", 5 * GIB, 6 * GIB)
CONTEXT = ContextPlan(8192, 1, 2048, 512, 512, kv_unified=False)

HOST_TILES = 0.03
"""What processors with AMX add to weights of these types that they keep in tiles (`ggml/src/ggml-cpu/amx/mmq.cpp`)."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFacts]:
    folder = tmp_path_factory.mktemp("headers")
    chosen = {
        "llama-8b": headers.LLAMA_8B,
        "qwen2.5-3b": headers.QWEN25_3B,
        "gemma3-12b": headers.GEMMA3_12B,
        "qwen3-30b-a3b": headers.QWEN3_30B_A3B,
    }
    return {
        name: read_model(headers.write_header(model, folder / f"{name}.gguf", has_tokens=False))
        for name, model in chosen.items()
    }


@pytest.fixture(scope="module")
def on_card(models: dict[str, ModelFacts]) -> Iterator[dict[str, DryLayouts]]:
    """A process for each model, which many tests ask."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True))
            for name, model in models.items()
        }


@pytest.fixture
def llama(models: dict[str, ModelFacts]) -> Iterator[DryLayouts]:
    with DryLayouts(models["llama-8b"], [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        yield layouts
        assert layouts.note is None


def in_mib(size: int) -> float:
    return round(size / MIB, 2)


def test_published_figures_of_llama_8b(llama: DryLayouts) -> None:
    """4403.49 and 281.81 MiB stand in published logs of CUDA builds; 258.50 and 564.01 in the ones of this version."""
    layout = llama.lay_out(Placement(33, (33.0,)), CONTEXT)
    (card,) = layout.devices
    assert layout.is_exact
    assert layout.flash_attention is True
    assert in_mib(card.weight_bytes) == 4403.49
    assert in_mib(layout.host.weight_bytes) == 281.81
    assert card.context_bytes == 8192 * 32 * 2 * 8 * 128 * 2
    assert in_mib(card.compute_bytes) == 258.50
    assert in_mib(layout.host.compute_bytes) == 24.01


def test_published_figure_of_qwen_3b(models: dict[str, ModelFacts]) -> None:
    with DryLayouts(models["qwen2.5-3b"], [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        layout = layouts.lay_out(Placement(37, (1.0,)), CONTEXT)
    assert in_mib(layout.devices[0].compute_bytes) == 300.75


def test_without_flash_attention_buffers_are_larger(models: dict[str, ModelFacts]) -> None:
    plan = replace(PLAIN_PLAN, flash_attention="off")
    with DryLayouts(models["llama-8b"], [CARD], plan, are_virtual=True) as layouts:
        layout = layouts.lay_out(Placement(33, (1.0,)), CONTEXT)
    assert layout.flash_attention is False
    assert in_mib(layout.devices[0].compute_bytes) == 564.01


@pytest.mark.parametrize("name", ["llama-8b", "qwen2.5-3b", "gemma3-12b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("part", [0, 0.4, 1])
@pytest.mark.parametrize(
    "context",
    [CONTEXT, ContextPlan(2048, 32, 512, 512, 32, kv_unified=False), ContextPlan(1024, 64, 256, 256, 64, True)],
    ids=["one", "streams", "unified"],
)
def test_formulas_for_weights_and_cache_agree(
    models: dict[str, ModelFacts],
    on_card: dict[str, DryLayouts],
    name: str,
    part: float,
    context: ContextPlan,
) -> None:
    """CUDA pads rows of quantized tensors to 512 elements, which few of these need."""
    model = models[name]
    placement = Placement(round(part * (model.n_layers + 1)), (1.0,))
    layout = on_card[name].lay_out(placement, context)
    weights, host_weights = weights_by_place(model, placement)
    caches, host_cache = cache_by_place(model, placement, context, kv_type="f16")
    assert layout.devices[0].weight_bytes == pytest.approx(weights[0], abs=64 * 1024)
    # a tied output is kept in tiles beside the input that it is tied to
    is_copied = placement.n_gpu_layers == 0 and layout.host.weight_bytes - host_weights > model.output_bytes
    copy = model.output_bytes if is_copied else 0
    assert -64 * 1024 <= layout.host.weight_bytes - host_weights - copy <= (host_weights + copy) * HOST_TILES
    assert layout.devices[0].context_bytes == caches[0]
    assert layout.host.context_bytes == host_cache


@pytest.mark.parametrize("name", ["llama-8b", "qwen2.5-3b", "gemma3-12b", "qwen3-30b-a3b"])
def test_formulas_do_not_promise_too_much(
    models: dict[str, ModelFacts], on_card: dict[str, DryLayouts], name: str
) -> None:
    """What stands in for llama.cpp where it cannot be asked errs on the safe side, flash attention given."""
    model = models[name]
    for n_ubatch in (64, 512, 1024):
        context = ContextPlan(2048, 32, 1024, n_ubatch, 512, kv_unified=True)
        exact = on_card[name].lay_out(Placement(model.n_layers + 1, (1.0,)), context)
        guess = FormulaLayouts(model, ["CUDA0"]).lay_out(Placement(model.n_layers + 1, (1.0,)), context)
        assert guess.devices[0].total_bytes >= exact.devices[0].total_bytes
        assert guess.host.total_bytes >= exact.host.total_bytes


def test_layers_go_where_the_shares_say(models: dict[str, ModelFacts]) -> None:
    """llama.cpp gives each of two cards the layers that the formulas count there, for any split."""
    model = models["llama-8b"]
    with DryLayouts(model, [CARD, SECOND], PLAIN_PLAN, are_virtual=True) as layouts:
        for n_gpu_layers, first in [(33, 20), (33, 1), (20, 13), (7, 6), (33, 33)]:
            placement = Placement(n_gpu_layers, (float(first), float(n_gpu_layers - first)))
            layout = layouts.lay_out(placement, CONTEXT)
            weights, _ = weights_by_place(model, placement)
            for part, expected in zip(layout.devices, weights, strict=True):
                assert part.weight_bytes == pytest.approx(expected, abs=64 * 1024)


def test_experts_on_the_host_leave_the_card(models: dict[str, ModelFacts]) -> None:
    model = models["qwen3-30b-a3b"]
    with DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        all_there = layouts.lay_out(Placement(49, (1.0,)), CONTEXT)
        some = layouts.lay_out(Placement(49, (1.0,), n_cpu_moe=20), CONTEXT)
    moved = sum(model.expert_bytes[:20])
    assert moved > 5 * GIB
    assert all_there.devices[0].weight_bytes - some.devices[0].weight_bytes == pytest.approx(moved, abs=64 * 1024)
    assert some.host.weight_bytes - all_there.host.weight_bytes == moved
    assert all_there.devices[0].context_bytes == some.devices[0].context_bytes


def test_sliding_windows_need_less(models: dict[str, ModelFacts]) -> None:
    """40 of 48 layers keep 1024 cells and a batch per text: HARDWARE figures of one text at 16384 are 6144 and 1504."""
    context = ContextPlan(16384, 1, 512, 512, 1, kv_unified=False)
    with DryLayouts(models["gemma3-12b"], [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        full = layouts.lay_out(Placement(49, (1.0,)), context)
        windows = layouts.lay_out(Placement(49, (1.0,)), replace(context, swa_full=False))
    assert in_mib(full.devices[0].context_bytes) == 6144
    assert in_mib(windows.devices[0].context_bytes) == 1504


def test_a_quantized_cache_needs_less(models: dict[str, ModelFacts]) -> None:
    with DryLayouts(models["llama-8b"], [CARD], replace(PLAIN_PLAN, kv_type="q8_0"), are_virtual=True) as layouts:
        layout = layouts.lay_out(Placement(33, (1.0,)), replace(CONTEXT, n_ctx=16384))
    assert in_mib(layout.devices[0].context_bytes) == 1088


def test_more_context_never_needs_less(llama: DryLayouts) -> None:
    sizes = [
        llama.lay_out(Placement(20, (1.0,)), replace(CONTEXT, n_ctx=n_ctx)) for n_ctx in (256, 512, 2048, 8192, 65536)
    ]
    assert [layout.devices[0].total_bytes for layout in sizes] == sorted(s.devices[0].total_bytes for s in sizes)
    assert [layout.host.total_bytes for layout in sizes] == sorted(s.host.total_bytes for s in sizes)


def test_the_log_says_what_the_exact_figures_say(
    models: dict[str, ModelFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where llama.cpp's own figures cannot be read, the log and the formulas together give the same to 0.01 MiB."""
    model = models["llama-8b"]
    for n_gpu_layers in (0, 12, 33):
        placement = Placement(n_gpu_layers, (1.0,))
        with DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
            exact = layouts.lay_out(placement, CONTEXT)
            whole = layouts._read
            monkeypatch.setattr(
                layouts,
                "_read",
                lambda placement, context, answers, whole=whole: whole(
                    placement, context, [replace(answer, buffers=()) for answer in answers]
                ),
            )
            other = layouts.lay_out(placement, replace(CONTEXT, n_batch=1024))
        assert exact.is_exact
        assert other.is_exact
        for one, two in zip((*exact.devices, exact.host), (*other.devices, other.host), strict=True):
            assert one.compute_bytes <= two.compute_bytes <= one.compute_bytes + 0.03 * MIB
            assert one.context_bytes <= two.context_bytes <= one.context_bytes + 0.02 * MIB
            tiles = HOST_TILES * two.weight_bytes if n_gpu_layers == 0 else 0
            assert -64 * 1024 <= one.weight_bytes - two.weight_bytes <= 64 * 1024 + tiles


def test_a_model_that_llama_cpp_refuses_is_laid_out_by_formulas(tmp_path: Path, models: dict[str, ModelFacts]) -> None:
    path = headers.write_header(replace(headers.LLAMA_8B, n_layers=2), tmp_path / "odd.gguf", has_tokens=False)
    model = replace(read_model(path), n_vocab=77)
    with DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        layout = layouts.lay_out(Placement(3, (1.0,)), CONTEXT)
    assert not layout.is_exact
    assert layouts.note is not None
    assert "memory is estimated by formulas" in layouts.note


def test_an_abort_in_llama_cpp_is_survived(models: dict[str, ModelFacts]) -> None:
    """More sequences than 256 end llama.cpp's process."""
    with DryLayouts(models["llama-8b"], [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        layout = layouts.lay_out(Placement(3, (1.0,)), replace(CONTEXT, n_seq_max=64, n_outputs_max=1))
    assert not layout.is_exact
    assert layouts.note is not None
    assert "could not lay the model out" in layouts.note


def test_large_recurrent_states_are_not_tried() -> None:
    """They would really be allocated."""
    model = ModelFacts(
        path="missing.gguf", name="m", architecture="qwen35", quant="Q4_K_M", size_bytes=GIB, n_params=10**9,
        n_layers=32, n_ctx_train=4096, n_vocab=1000, n_embd=4096, layer_bytes=(MIB,) * 32, output_bytes=MIB,
        input_bytes=MIB,
        kv_bytes_per_token=(0, 0, 0, 4096) * 8, has_chat_template=False, fingerprint="0",
    )  # fmt: skip
    with DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        assert not layouts.lay_out(Placement(33, (1.0,)), replace(CONTEXT, n_seq_max=256)).is_exact
        assert layouts.note is None


@pytest.mark.parametrize(
    "name",
    ["deepseek2-moe", "gemma3-dense", "gpt-oss-moe", "llama-dense", "qwen3moe-moe", "lfm2-dense", "mamba2-dense"],
)
def test_formulas_agree_on_every_architecture(shared_data: Path, name: str) -> None:
    """Weights and caches to 64 KiB; what grows with sequences and not with tokens is an upper estimate."""
    model = read_model(shared_data / "archs" / f"{name}.gguf")
    context = ContextPlan(2048, 2, 512, 256, 64, kv_unified=True)
    with DryLayouts(model, [CARD], PLAIN_PLAN, are_virtual=True) as layouts:
        found = {
            placement: layouts.lay_out(placement, context)
            for placement in (Placement(n, (1.0,)) for n in range(1, model.n_layers + 2))
        }
        assert layouts.note is None
    for placement, layout in found.items():
        weights, host_weights = weights_by_place(model, placement)
        caches, host_cache = cache_by_place(model, placement, context, kv_type="f16")
        assert layout.devices[0].weight_bytes == pytest.approx(weights[0], abs=64 * 1024)
        assert layout.host.weight_bytes == pytest.approx(host_weights, abs=64 * 1024)
        if is_recurrent(model.architecture):
            assert layout.devices[0].context_bytes <= caches[0]
            assert layout.host.context_bytes <= host_cache
        else:
            assert layout.devices[0].context_bytes == pytest.approx(caches[0], abs=64 * 1024)
            assert layout.host.context_bytes == pytest.approx(host_cache, abs=64 * 1024)


# --- devices that are not there -----------------------------------------------------------------


def test_structures_are_those_of_the_library_that_is_loaded() -> None:
    assert virtual.why_unusable() is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("_API_VERSION", 3, "devices have another interface"),
        ("_TENSOR_OVERHEAD_LESS_TENSOR", 40, "tensors have another size"),
    ],
)
def test_another_library_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str, value: int, words: str) -> None:
    monkeypatch.setattr(virtual, name, value)
    reason = virtual.why_unusable()
    assert reason is not None
    assert reason.startswith(words)
    with pytest.raises(EngineError, match="hardware that is not there are not possible"):
        DryModel("any.gguf", PLAIN_PLAN, virtual=[CARD])


# --- plans with llama.cpp's layouts -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "gib"),
    [("llama-8b", 2.5), ("llama-8b", 4), ("qwen2.5-3b", 1.5), ("gemma3-12b", 5), ("gemma3-12b", 7.3), ("llama-8b", 6)],
)
@pytest.mark.parametrize("demand", [Demand(700), Demand(1500, 900, 16)], ids=["scoring", "generating"])
def test_a_plan_fits_and_one_more_layer_would_not(
    models: dict[str, ModelFacts], name: str, gib: float, demand: Demand
) -> None:
    model, card = models[name], replace(CARD, free_bytes=int(gib * GIB), total_bytes=int(gib * GIB))
    machine = replace(load_machine("no_gpu"), devices=(card,), ram_available_bytes=64 * GIB, ram_total_bytes=64 * GIB)
    plan = make_plan(model, machine, demand, is_virtual=True)
    (limit,) = Room.of(machine, NO_OVERRIDES).device_bytes
    assert plan.is_exact_layout
    assert plan.expected_bytes["CUDA0"] <= limit
    if plan.n_gpu_layers > model.n_layers:
        return
    contexts = [plan.scoring, plan.generation] if demand.longest_generation else [plan.scoring]
    with DryLayouts(model, [card], PLAIN_PLAN, are_virtual=True) as layouts:
        more = [layouts.lay_out(Placement(plan.n_gpu_layers + 1, (1.0,)), context) for context in contexts]
    assert max(layout.devices[0].total_bytes for layout in more) > limit
