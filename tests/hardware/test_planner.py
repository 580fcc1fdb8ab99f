"""The planner fits, is maximal, never passes what is free, and says why."""

import dataclasses
from pathlib import Path

import pytest
from recorded import MACHINES, load_machine, make_model

from llamabench.errors import PlanError
from llamabench.hardware.contexts import Contexts
from llamabench.hardware.forecast import Forecast
from llamabench.hardware.layout import FormulaLayouts, Layout, Placement
from llamabench.hardware.placing import Room, offload_devices
from llamabench.hardware.planner import plan_run
from llamabench.records import ContextPlan, Demand, Device, Machine, ModelFacts, Overrides, Plan
from llamabench.units import format_bytes, format_part

MIB, GIB = 1 << 20, 1 << 30
SCORING = Demand(longest_sequence=700)
GENERATING = Demand(longest_sequence=2000, longest_generation=1024, n_parallel=32)


def make_machine(*devices: Device, ram: float = 64) -> Machine:
    return dataclasses.replace(
        load_machine("no_gpu"), devices=devices, ram_total_bytes=int(ram * GIB), ram_available_bytes=int(ram * GIB)
    )


def card(name: str, free: float, total: float | None = None) -> Device:
    return Device(name, "Test card", "gpu", "CUDA", int(free * GIB), int((total or free) * GIB))


def lay_out(model: ModelFacts, context: ContextPlan, *, n_gpu_layers: int, shares: tuple[float, ...]) -> Layout:
    names = [f"CUDA{index}" for index in range(len(shares))]
    return FormulaLayouts(model, names).lay_out(Placement(n_gpu_layers, shares), context)


def expected(model: ModelFacts, plan: Plan, n_gpu_layers: int, shares: tuple[float, ...]) -> list[int]:
    """The most that each device would hold with this many layers."""
    contexts = (plan.scoring, plan.generation)
    layouts = [lay_out(model, context, n_gpu_layers=n_gpu_layers, shares=shares) for context in contexts]
    return [
        max(sizes) for sizes in zip(*([part.total_bytes for part in layout.devices] for layout in layouts), strict=True)
    ]


# --- every recorded machine ---------------------------------------------------------------------


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
@pytest.mark.parametrize("demand", [SCORING, GENERATING], ids=["scoring", "generating"])
def test_plan_keeps_within_every_limit(path: Path, demand: Demand) -> None:
    machine = load_machine(path.stem)
    model = make_model(layer_bytes=(70 * MIB,) * 32, size_bytes=2940 * MIB)
    plan = plan_run(model, machine, demand)
    assert plan == plan_run(model, machine, demand)
    assert plan.expected_bytes["CPU"] <= machine.ram_available_bytes
    for device in machine.devices:
        assert plan.expected_bytes.get(device.name, 0) <= max(device.free_bytes - 512 * MIB, 0)
    for context in (plan.scoring, plan.generation):
        assert 0 < context.n_seq_max <= context.n_outputs_max <= context.n_batch
        assert context.n_seq_max <= 256
        assert context.n_ubatch <= context.n_batch <= context.n_ctx
        assert context.n_ctx % 256 == 0
    assert plan.scoring.n_ctx >= demand.longest_sequence + plan.scoring.n_batch
    assert plan.generation.n_ctx >= plan.generation.n_seq_max * demand.longest_generation
    assert plan.scoring.kv_unified
    assert not plan.generation.kv_unified
    assert 1 <= plan.pack_tokens <= plan.scoring.n_batch
    assert plan.kv_type == "f16"
    assert plan.reasons
    assert all(reason.endswith(".") for reason in plan.reasons)


# --- offload ------------------------------------------------------------------------------------


def test_everything_fits_on_a_large_card() -> None:
    plan = plan_run(make_model(), load_machine("nvidia_12gb"), SCORING)
    assert plan.n_gpu_layers == 33
    assert plan.tensor_split == ()
    assert plan.scoring.n_batch == plan.pack_tokens == 1024
    assert plan.reasons == ("All 33 layers fit on CUDA0: 5.4 of 11.2 GiB.",)


def test_without_a_card_all_runs_on_the_processor() -> None:
    plan = plan_run(make_model(), load_machine("no_gpu"), SCORING)
    assert plan.n_gpu_layers == 0
    assert plan.n_threads == 6
    assert plan.scoring.n_batch == 512
    assert plan.pack_tokens == 256
    assert plan.reasons == (
        "There is no device to offload to: all 33 layers run on the processor, in 6.1 of 12.0 GiB of memory.",
    )


@pytest.mark.parametrize("free", [1.6, 2.0, 2.7, 3.3, 4.1, 5.0, 5.3])
def test_plan_is_maximal(free: float) -> None:
    model, device = make_model(), card("CUDA0", free)
    plan = plan_run(model, make_machine(device), SCORING)
    limit = device.free_bytes - 512 * MIB
    assert 0 < plan.n_gpu_layers < 33
    assert expected(model, plan, plan.n_gpu_layers, (1.0,))[0] <= limit
    assert expected(model, plan, plan.n_gpu_layers + 1, (1.0,))[0] > limit


@pytest.mark.parametrize("demand", [SCORING, GENERATING], ids=["scoring", "generating"])
def test_more_memory_is_never_slower(demand: Demand) -> None:
    """Layers alone are not the measure: a layer less with more texts side by side may be faster."""
    model = make_model()
    seconds, layers = [], []
    for quarters in range(1, 60):
        machine = make_machine(card("CUDA0", quarters / 4))
        plan = plan_run(model, machine, demand)
        placement = Placement(plan.n_gpu_layers, (1.0 if plan.n_gpu_layers else 0.0,))
        contexts = Contexts(plan.scoring, plan.generation, is_generating=demand.longest_generation > 0)
        seconds.append(Forecast(model, machine, demand).seconds(placement, contexts))
        layers.append(plan.n_gpu_layers)
    assert seconds == sorted(seconds, reverse=True)
    assert (layers[0], layers[-1]) == (0, 33)


@pytest.mark.parametrize(
    ("has_display", "is_wsl", "reserve"),
    [(None, False, 512 * MIB), (False, False, 512 * MIB), (True, False, GIB), (None, True, GIB)],
)
def test_a_display_needs_room(has_display: bool | None, is_wsl: bool, reserve: int) -> None:
    device = dataclasses.replace(card("CUDA0", 8), has_display=has_display)
    machine = dataclasses.replace(make_machine(device), is_wsl=is_wsl)
    assert Room.of(machine, Overrides()).device_bytes == (8 * GIB - reserve,)


def test_another_machines_display_is_not_known() -> None:
    server = Device("RPC0", "127.0.0.1:50052", "gpu", "RPC", 8 * GIB, 8 * GIB)
    machine = dataclasses.replace(make_machine(server), is_wsl=True)
    assert Room.of(machine, Overrides()).device_bytes == (8 * GIB - 512 * MIB,)


def test_a_card_reserves_four_percent() -> None:
    model = make_model(layer_bytes=(700 * MIB,) * 32, size_bytes=23100 * MIB)
    plan = plan_run(model, make_machine(card("CUDA0", 24)), SCORING)
    assert plan.n_gpu_layers == 33
    plan = plan_run(model, make_machine(card("CUDA0", 24, 40)), SCORING)
    assert plan.expected_bytes["CUDA0"] <= 24 * GIB - 40 * GIB * 0.04


def test_large_models_spread_over_two_cards_as_they_have_room() -> None:
    machine = load_machine("two_unlike_gpus")
    model = make_model(layer_bytes=(800 * MIB,) * 32, size_bytes=26300 * MIB)
    plan = plan_run(model, machine, SCORING)
    assert plan.n_gpu_layers == 33
    assert plan.tensor_split == (21.0, 12.0)
    for device in machine.devices:
        assert plan.expected_bytes[device.name] <= device.free_bytes - 512 * MIB
    assert plan.expected_bytes["CUDA0"] > plan.expected_bytes["CUDA1"]


def test_a_card_too_small_to_help_is_left_out() -> None:
    plan = plan_run(make_model(), make_machine(card("CUDA0", 0.7), card("CUDA1", 12)), SCORING)
    assert plan.n_gpu_layers == 33
    assert plan.tensor_split == (0.0, 33.0)
    assert set(plan.expected_bytes) == {"CUDA1", "CPU"}


def test_device_that_reports_no_memory_gets_nothing() -> None:
    plan = plan_run(make_model(), load_machine("gpu_without_memory"), SCORING)
    assert plan.n_gpu_layers == 0
    assert plan.expected_bytes.keys() == {"CPU"}
    assert "Vulkan0 has 0 B free" in plan.reasons[0]


def test_integrated_graphics_only_without_a_card() -> None:
    igpu = Device("Vulkan0", "iGPU", "igpu", "Vulkan", 8 * GIB, 8 * GIB)
    server = Device("RPC0", "127.0.0.1:50052", "gpu", "RPC", 8 * GIB, 8 * GIB)
    accelerator = Device("BLAS", "OpenBLAS", "accel", "BLAS", 0, 0)
    assert offload_devices(make_machine(igpu, card("CUDA0", 8), server, accelerator)) == (server, card("CUDA0", 8))
    assert offload_devices(make_machine(igpu, server)) == (server, igpu)
    assert offload_devices(make_machine(accelerator)) == ()


@pytest.mark.parametrize("name", ["apu_shared_memory", "apple_m2"])
def test_shared_memory_is_counted_once(name: str) -> None:
    machine = load_machine(name)
    for ram in (5.0, 6.0, 7.0, 9.0):
        limited = dataclasses.replace(machine, ram_available_bytes=int(ram * GIB))
        try:
            plan = plan_run(make_model(), limited, SCORING)
        except PlanError:
            assert ram == 5.0
        else:
            assert sum(plan.expected_bytes.values()) <= ram * GIB


def test_tied_embeddings_lie_on_both_sides_when_offloaded() -> None:
    model = make_model(input_bytes=400 * MIB, output_bytes=400 * MIB, size_bytes=(32 * 140 + 400 + 6) * MIB)
    context = plan_run(model, load_machine("nvidia_12gb"), SCORING).scoring
    on_host = lay_out(model, context, n_gpu_layers=0, shares=())
    with_output = lay_out(model, context, n_gpu_layers=1, shares=(1.0,))
    untied = dataclasses.replace(model, size_bytes=model.size_bytes + 400 * MIB)
    assert lay_out(
        untied, context, n_gpu_layers=0, shares=()
    ).host.total_bytes - on_host.host.total_bytes == pytest.approx(400 * MIB, abs=6 * MIB)
    assert with_output.devices[0].total_bytes >= 400 * MIB


def test_layers_move_from_the_end() -> None:
    model = make_model(layer_bytes=tuple(range(MIB, 33 * MIB, MIB)))
    context = plan_run(model, load_machine("no_gpu"), SCORING).scoring
    two, three = (lay_out(model, context, n_gpu_layers=n, shares=(1.0,)) for n in (2, 3))
    cache = 4096 * context.n_ctx
    assert three.devices[0].total_bytes - two.devices[0].total_bytes == 31 * MIB + cache
    assert two.host.total_bytes - three.host.total_bytes == 31 * MIB + cache


def test_split_follows_llama_cpp() -> None:
    """31 layers and the output over shares of 3 and 1: fractions below 0.75 go to the first."""
    model = make_model(n_layers=31, layer_bytes=(MIB,) * 31, kv_bytes_per_token=(0,) * 31, output_bytes=MIB)
    context = plan_run(model, load_machine("no_gpu"), SCORING).scoring
    even = lay_out(model, context, n_gpu_layers=32, shares=(1.0, 0.0))
    layout = lay_out(model, context, n_gpu_layers=32, shares=(3.0, 1.0))
    buffer = even.devices[0].total_bytes - 32 * MIB
    assert [part.total_bytes - buffer for part in layout.devices] == [24 * MIB, 8 * MIB]


# --- contexts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_vocab", "n_outputs"),
    [(32_000, 512), (128_256, 512), (262_144, 256), (600_000, 111), (70_000_000, 1)],
)
def test_rows_of_logits_are_bounded(n_vocab: int, n_outputs: int) -> None:
    scoring = plan_run(make_model(n_vocab=n_vocab), make_machine(), SCORING).scoring
    assert scoring.n_outputs_max == n_outputs
    assert scoring.n_seq_max == min(256, n_outputs)


def test_a_sequence_longer_than_the_model_knows_is_said_not_cut() -> None:
    plan = plan_run(make_model(n_ctx_train=512), make_machine(), SCORING)
    assert plan.scoring.n_ctx == 1280
    assert "The longest sequence has 700 tokens, the model was trained for 512" in plan.reasons[1]


def test_nothing_to_generate_gets_the_smallest_context() -> None:
    generation = plan_run(make_model(), make_machine(), Demand(700, 0, 16)).generation
    assert (generation.n_ctx, generation.n_seq_max, generation.n_batch) == (256, 1, 256)


def test_many_parallel_texts_stay_within_one_batch() -> None:
    plan = plan_run(make_model(n_vocab=32_000), make_machine(ram=400), Demand(100, 100, 1000))
    assert plan.generation.n_seq_max == 256
    assert plan.generation.n_batch >= 256
    assert any("256 texts are generated side by side, 1000 were asked for." in reason for reason in plan.reasons)


def test_fewer_texts_at_once_when_that_brings_all_layers_onto_the_card() -> None:
    plan = plan_run(make_model(), make_machine(card("CUDA0", 8)), GENERATING)
    assert plan.n_gpu_layers == 33
    assert 4 <= plan.generation.n_seq_max < 32
    assert plan.scoring.n_batch == 1024


def test_recurrent_models_hold_few_sequences() -> None:
    plan = plan_run(make_model(architecture="qwen35", kv_bytes_per_token=(0, 0, 0, 4096) * 8), make_machine(), SCORING)
    assert plan.scoring.n_seq_max == 8
    assert any("it carries a state per sequence" in reason for reason in plan.reasons)


# --- memory -------------------------------------------------------------------------------------


def test_batches_shrink_before_giving_up() -> None:
    plan = plan_run(make_model(), make_machine(ram=5.9), SCORING)
    assert 64 <= plan.scoring.n_batch < 512
    assert plan.expected_bytes["CPU"] <= 5.9 * GIB
    assert any("instead of 512 to save memory" in reason for reason in plan.reasons)


def test_parallel_texts_shrink_before_giving_up() -> None:
    plan = plan_run(make_model(), make_machine(ram=7), GENERATING)
    assert 1 <= plan.generation.n_seq_max < 32
    assert plan.scoring.n_batch == 512


def test_error_says_what_is_needed_and_what_is_there() -> None:
    with pytest.raises(PlanError) as caught:
        plan_run(make_model(), make_machine(ram=4), SCORING)
    assert str(caught.value) == (
        "llama-3.1-8b Q4_K_M needs 5.6 GiB, 4.0 GiB of memory is free (weights 5.1 GiB, a context of 768 tokens "
        "234.9 MiB, the program 300.0 MiB). Close other programs, or use a smaller file of the model."
    )


def test_error_names_devices_too() -> None:
    with pytest.raises(PlanError, match=r"3\.0 GiB of memory is free, 1\.0 GiB on CUDA0 \("):
        plan_run(make_model(), make_machine(card("CUDA0", 1), ram=3), SCORING)


def test_a_card_makes_room_where_memory_alone_is_too_small() -> None:
    plan = plan_run(make_model(), make_machine(card("CUDA0", 8), ram=3), SCORING)
    assert plan.n_gpu_layers == 33
    assert plan.expected_bytes["CPU"] <= 3 * GIB


def test_threads_follow_cores_and_few_are_enough_beside_a_card() -> None:
    machine = dataclasses.replace(make_machine(card("CUDA0", 12)), n_performance_cores=24)
    assert plan_run(make_model(), machine, SCORING).n_threads == 8
    assert plan_run(make_model(), dataclasses.replace(machine, devices=()), SCORING).n_threads == 24


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1048575, "1.0 MiB"),
        (5 * GIB, "5.0 GiB"),
        (1 << 63, "8.0 EiB"),
        (1 << 74, "16384.0 EiB"),
    ],
)
def test_format_bytes(n_bytes: int, text: str) -> None:
    assert format_bytes(n_bytes) == text


def test_format_part() -> None:
    assert format_part(4_939_212_390, 8_160_437_862) == "4.6 of 7.6 GiB"
    assert format_part(MIB, GIB) == "1.0 MiB of 1.0 GiB"


@pytest.mark.parametrize("n_gpu_layers", [1, 99])
def test_layers_on_devices_need_a_device(n_gpu_layers: int) -> None:
    with pytest.raises(PlanError) as caught:
        plan_run(make_model(), load_machine("no_gpu"), Demand(700), overrides=Overrides(n_gpu_layers=n_gpu_layers))
    assert str(caught.value) == (
        "There is no device to put layers on. Leave --gpu-layers out, or say 0; `llamabench doctor` tells why."
    )


def test_more_threads_than_cores_are_warned_of() -> None:
    machine = dataclasses.replace(load_machine("no_gpu"), n_performance_cores=2)
    asked = plan_run(make_model(), machine, Demand(700), overrides=Overrides(n_threads=400))
    assert asked.n_threads == 400
    assert (
        "400 threads were asked for, and 2 cores can be used here: more threads than cores are slower, because they "
        "wait for each other."
    ) in asked.reasons
    for n_threads in (None, 2):
        plan = plan_run(make_model(), machine, Demand(700), overrides=Overrides(n_threads=n_threads))
        assert not any("threads were asked for" in reason for reason in plan.reasons)


def test_no_layers_on_devices_need_none() -> None:
    plan = plan_run(make_model(), load_machine("no_gpu"), Demand(700), overrides=Overrides(n_gpu_layers=0))
    assert plan.n_gpu_layers == 0
