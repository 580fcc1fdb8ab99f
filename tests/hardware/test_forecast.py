"""Speeds that are forecast: near what was published, no slower for more, and honest about what they rest on."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llamabench.hardware.catalogue import find_card, virtual_device
from llamabench.hardware.contexts import Contexts
from llamabench.hardware.forecast import Forecast, forecast_plan, model_traits, plan_placement, split_model
from llamabench.hardware.layout import Placement, weights_by_place
from llamabench.hardware.planner import plan_run
from llamabench.hardware.rates import PlaceSpeed, Rates, device_key, host_key, host_rates
from llamabench.hardware.roofline import Helper, Link, Part, Place, Traits, decode_time
from llamabench.records import ContextPlan, Demand, Device, Machine, ModelFacts, SpeedForecast

MIB, GIB = 1 << 20, 1 << 30
PUBLISHED = json.loads((Path(__file__).parent / "published_speeds.json").read_text(encoding="utf-8"))
DEMAND = Demand(longest_sequence=700, longest_generation=512, n_parallel=8, n_prompt_tokens=9000)


def make_model(**changes: Any) -> ModelFacts:
    """Llama 7B in Q4_0, as llama.cpp's collections of results have it."""
    facts: dict[str, Any] = {
        "path": "llama-7b.gguf",
        "name": "llama-7b",
        "architecture": "llama",
        "quant": "Q4_0",
        "size_bytes": 3_822_600_000,
        "n_params": 6_738_415_616,
        "n_layers": 32,
        "n_ctx_train": 4096,
        "n_vocab": 32000,
        "n_embd": 4096,
        "layer_bytes": (113_793_750,) * 32,
        "output_bytes": 107_500_000,
        "input_bytes": 73_700_000,
        "kv_bytes_per_token": (16384,) * 32,
        "has_chat_template": False,
        "fingerprint": "0" * 64,
    }
    return ModelFacts(**{**facts, **changes})


LLAMA_7B = make_model()
GPT_OSS_20B = make_model(
    name="gpt-oss-20b",
    quant="MXFP4_MOE",
    size_bytes=12_110_000_000,
    n_params=20_914_757_184,
    n_layers=24,
    n_embd=2880,
    layer_bytes=(10_180_000_000 // 24 + 20_000_000,) * 24,
    output_bytes=590_000_000,
    input_bytes=590_000_000,
    kv_bytes_per_token=(2048,) * 24,
    n_experts=32,
    n_experts_used=4,
    expert_bytes=(10_180_000_000 // 24,) * 24,
)
MODELS = {"llama-7b": LLAMA_7B, "gpt-oss-20b": GPT_OSS_20B}


def make_machine(*devices: Device, cpu: str = "AMD Ryzen 5 5600X 6-Core Processor", n_cores: int = 6) -> Machine:
    return Machine(
        os="Linux",
        cpu=cpu,
        n_performance_cores=n_cores,
        ram_total_bytes=64 * GIB,
        ram_available_bytes=64 * GIB,
        devices=devices,
        llama_cpp_python="0.3.36",
        llama_cpp_commit="0c1e57098",
    )


def make_contexts(n_ubatch: int = 512, n_parallel: int = 1) -> Contexts:
    scoring = ContextPlan(2048, 64, n_ubatch, n_ubatch, 64, kv_unified=True)
    generation = ContextPlan(1024 * n_parallel, n_parallel, n_ubatch, n_ubatch, n_parallel, kv_unified=False)
    return Contexts(scoring, generation, is_generating=True)


def forecast_card(name: str, model: ModelFacts = LLAMA_7B, *, backend: str | None = None) -> SpeedForecast:
    device = virtual_device(find_card(name))
    device = replace(device, backend=backend or device.backend)
    return Forecast(model, make_machine(device), DEMAND).speeds(Placement(model.n_layers + 1, (1.0,)), make_contexts())


# --- against what was published -----------------------------------------------------------------


def errors_of(backend: str, model: str, test: str) -> list[float]:
    """By how much each forecast is off, as a share of what was published."""
    rows = [row for row in PUBLISHED[backend] if f"{model} {test}" in row]
    forecasts = [forecast_card(row["card"], MODELS[model]) for row in rows]
    speeds = [one.generation_1 if test == "tg128" else one.prompt for one in forecasts]
    return [abs(one.expected / row[f"{model} {test}"] - 1) for one, row in zip(speeds, rows, strict=True)]


@pytest.mark.parametrize(
    ("backend", "model", "test", "n", "median", "most"),
    [
        ("CUDA", "llama-7b", "tg128", 17, 0.07, 0.20),
        ("CUDA", "gpt-oss-20b", "tg128", 7, 0.08, 0.22),
        ("MTL", "llama-7b", "tg128", 19, 0.07, 0.20),
        ("Vulkan", "llama-7b", "tg128", 8, 0.08, 0.20),
        ("CUDA", "llama-7b", "pp512", 9, 0.10, 0.30),
        ("MTL", "llama-7b", "pp512", 8, 0.10, 0.30),
    ],
)
def test_forecasts_are_near_published_speeds(
    backend: str, model: str, test: str, n: int, median: float, most: float
) -> None:
    errors = errors_of(backend, model, test)
    assert len(errors) == n
    assert statistics.median(errors) <= median
    assert max(errors) <= most


def test_a_fit_stands_beside_each_published_card() -> None:
    for backend in ("CUDA", "MTL", "Vulkan"):
        for row in PUBLISHED[backend]:
            assert virtual_device(find_card(row["card"])).backend == backend


# --- no slower for more -------------------------------------------------------------------------


@st.composite
def models(draw: st.DrawFn) -> ModelFacts:
    """Models of 0.1 to 70 GiB, dense or with experts."""
    n_layers = draw(st.integers(1, 80))
    layers = tuple(draw(st.lists(st.integers(MIB, 900 * MIB), min_size=n_layers, max_size=n_layers)))
    n_experts = draw(st.sampled_from([0, 8, 128]))
    experts = tuple(size * 9 // 10 for size in layers) if n_experts else ()
    output = draw(st.integers(MIB, 900 * MIB))
    return make_model(
        n_layers=n_layers,
        layer_bytes=layers,
        output_bytes=output,
        input_bytes=output,
        size_bytes=sum(layers) + 2 * output,
        n_params=(sum(layers) + 2 * output) * draw(st.integers(1, 4)) // 2,
        n_embd=draw(st.integers(64, 8192)),
        kv_bytes_per_token=(draw(st.integers(0, 16384)),) * n_layers,
        n_experts=n_experts,
        n_experts_used=min(n_experts, 8),
        expert_bytes=experts,
    )


def demands() -> st.SearchStrategy[Demand]:
    tokens = st.integers(0, 10**7)
    return st.builds(Demand, st.integers(1, 8000), st.integers(0, 8000), st.integers(1, 64), tokens, tokens)


CARDS = (virtual_device(find_card("RTX 4090")), virtual_device(find_card("RTX 3060 12GB"), index=1))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(models(), demands(), st.sampled_from([64, 256, 1024]), st.integers(1, 64), st.data())
def test_more_layers_on_a_faster_device_are_never_slower(
    model: ModelFacts, demand: Demand, n_ubatch: int, n_parallel: int, data: st.DataObject
) -> None:
    forecast = Forecast(model, make_machine(data.draw(st.sampled_from(CARDS)), n_cores=2), demand)
    contexts = make_contexts(n_ubatch, n_parallel)
    n_cpu_moe = data.draw(st.integers(0, model.n_layers))
    n_gpu_layers = data.draw(st.integers(0, model.n_layers))
    fewer, more = (
        forecast.seconds(Placement(n, (1.0,), n_cpu_moe), contexts) for n in (n_gpu_layers, n_gpu_layers + 1)
    )
    assert 0 < more <= fewer * (1 + 1e-9) < math.inf


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(models(), demands(), st.sampled_from([64, 256, 1024]), st.data())
def test_fewer_experts_on_the_host_are_never_slower(
    model: ModelFacts, demand: Demand, n_ubatch: int, data: st.DataObject
) -> None:
    assume(model.n_experts)
    forecast = Forecast(model, make_machine(CARDS[0], n_cores=2), demand)
    n_cpu_moe = data.draw(st.integers(0, model.n_layers - 1))
    contexts = make_contexts(n_ubatch, 4)
    fewer, more = (
        forecast.seconds(Placement(model.n_layers + 1, (1.0,), n), contexts) for n in (n_cpu_moe, n_cpu_moe + 1)
    )
    assert 0 < fewer <= more * (1 + 1e-9) < math.inf


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(models(), st.data())
def test_larger_batches_are_never_slower(model: ModelFacts, data: st.DataObject) -> None:
    n_gpu_layers = data.draw(st.integers(0, model.n_layers + 1))
    n_least = 32 if n_gpu_layers else 1  # from here on weights on the host go to the card, which may be slower
    sizes = sorted(data.draw(st.lists(st.integers(n_least, 2048), min_size=2, max_size=5)))
    forecast = Forecast(model, make_machine(CARDS[0]), DEMAND)
    placement = Placement(n_gpu_layers, (1.0,))
    speeds = [forecast.speeds(placement, make_contexts(size)).prompt.expected for size in sizes]
    for smaller, larger in zip(speeds, speeds[1:], strict=False):
        assert larger >= smaller * (1 - 1e-9)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.floats(0.6, 24), st.floats(0, 24), st.sampled_from([Demand(700), Demand(2000, 1024, 16), DEMAND]))
def test_more_memory_on_a_card_is_never_slower(free: float, more: float, demand: Demand) -> None:
    model = make_model(layer_bytes=(300 * MIB,) * 32, size_bytes=9900 * MIB)
    seconds = []
    for size in (free, free + more):
        device = Device("CUDA0", "NVIDIA GeForce RTX 3090", "gpu", "CUDA", int(size * GIB), 48 * GIB)
        machine = make_machine(device)
        plan = plan_run(model, machine, demand)
        seconds.append(forecast_plan(model, machine, demand, plan=plan).seconds.expected)
    assert seconds[1] <= seconds[0] * (1 + 1e-9)


# --- what a forecast is made of -----------------------------------------------------------------


def test_the_formula() -> None:
    """Two places, by hand: 1 GB read at 100 GB/s beside 2 GB at 500 GB/s, 64 layers, 1 MB of cache a token."""
    slow, fast = Rates(1e11, 1e12, 0.002, 0.1, "assumed"), Rates(5e11, 1e13, 0.001, 0.1, "catalogue")
    places = [
        Place("fast", Part(2 * 10**9, 0, 600_000, 48), fast),
        Place("slow", Part(10**9, 0, 400_000, 16), slow),
    ]
    traits = Traits(flops_per_byte=4, expert_share=1, n_embd=1000)
    time = decode_time(places, traits, n_tokens=1, n_ctx=1000)
    assert time.weights_s == pytest.approx(2 / 500 + 1 / 100)
    assert time.cache_s == pytest.approx(1000 * 6e5 / 5e11 + 1000 * 4e5 / 1e11)
    assert time.fixed_s == pytest.approx(0.001 * 1.5 + 0.002 * 0.5)
    many = decode_time(places, traits, n_tokens=100, n_ctx=0)
    assert many.weights_s == pytest.approx(100 * 2e9 * 4 / 1e13 + 100 * 1e9 * 4 / 1e12)


def test_weights_on_the_host_go_to_the_card_in_large_batches() -> None:
    slow, fast = Rates(1e11, 1e12, 0.0, 0.1, "assumed"), Rates(5e11, 1e13, 0.0, 0.1, "catalogue")
    helper = Helper(fast, Link(1e10, 0.0, is_network=False))
    place, traits = Place("host", Part(10**9, 0, 0, 32), slow, helper=helper), Traits(4, 1, 1000)
    assert decode_time([place], traits, n_tokens=31, n_ctx=0).total_s == pytest.approx(31 * 4e9 / 1e12)
    assert decode_time([place], traits, n_tokens=32, n_ctx=0).total_s == pytest.approx(0.1 + 32 * 4e9 / 1e13)


def test_a_network_costs_a_round_trip_and_activations() -> None:
    rates, link = Rates(1e11, 1e12, 0.0, 0.6, "assumed"), Link(1e8, 0.001, is_network=True)
    traits = Traits(4, 1, 1000)
    near = decode_time([Place("a", Part(10**9, 0, 0, 32), rates)], traits, n_tokens=10, n_ctx=0)
    far = decode_time([Place("a", Part(10**9, 0, 0, 32), rates, link=link)], traits, n_tokens=10, n_ctx=0)
    assert far.total_s - near.total_s == pytest.approx(2 * (0.001 + 10 * 4000 / 1e8))


def test_only_experts_that_are_used_are_read() -> None:
    rates, traits = Rates(1e11, 1e15, 0.0, 0.1, "catalogue"), Traits(2, 1 / 8, 1000)
    place = Place("a", Part(0, 8 * 10**9, 0, 32), rates)
    seconds = [decode_time([place], traits, n_tokens=n, n_ctx=0).total_s for n in (1, 2, 1000)]
    assert seconds == pytest.approx([0.01, 0.08 * (1 - (7 / 8) ** 2), 0.08])


@pytest.mark.parametrize("n_cpu_moe", [0, 5, 24])
@pytest.mark.parametrize("n_gpu_layers", [0, 1, 12, 25])
@pytest.mark.parametrize("shares", [(1.0,), (3.0, 1.0)])
def test_parts_are_what_is_laid_out(shares: tuple[float, ...], n_gpu_layers: int, n_cpu_moe: int) -> None:
    placement = Placement(n_gpu_layers, shares, n_cpu_moe)
    *devices, host = split_model(GPT_OSS_20B, placement)
    weights, on_host = weights_by_place(GPT_OSS_20B, placement)
    assert tuple(part.dense_bytes + part.expert_bytes for part in devices) == weights
    everything = sum(GPT_OSS_20B.layer_bytes) + GPT_OSS_20B.output_bytes
    assert host.dense_bytes + host.expert_bytes + sum(weights) == everything
    if n_gpu_layers:
        assert host.dense_bytes + host.expert_bytes + GPT_OSS_20B.input_bytes == on_host
    assert sum(part.kv_bytes_per_token for part in (*devices, host)) == sum(GPT_OSS_20B.kv_bytes_per_token)


def test_traits() -> None:
    assert model_traits(GPT_OSS_20B).expert_share == 1 / 8
    assert model_traits(LLAMA_7B).expert_share == 1
    assert model_traits(LLAMA_7B).flops_per_byte == pytest.approx(2 * 6.738 / 3.8226, rel=1e-3)


def test_seconds_are_tokens_over_speeds() -> None:
    forecast = Forecast(LLAMA_7B, make_machine(CARDS[0]), replace(DEMAND, n_generated_tokens=4000))
    placement, contexts = Placement(33, (1.0,)), make_contexts(n_parallel=8)
    speeds = forecast.speeds(placement, contexts)
    assert speeds.n_parallel == 8
    assert speeds.generation_1.expected < speeds.generation_n.expected < 8 * speeds.generation_1.expected
    assert speeds.seconds.expected == 9000 / speeds.prompt.expected + 4000 / speeds.generation_n.expected
    assert speeds.seconds.low == 9000 / speeds.prompt.high + 4000 / speeds.generation_n.high
    assert speeds.seconds == speeds.seconds_for(9000, 4000)
    assert forecast.seconds(placement, contexts) == speeds.seconds.expected
    assert speeds.seconds_for(0, 0).expected == 0


def test_where_nobody_counted_one_prompt_and_the_texts_side_by_side_count() -> None:
    speeds = Forecast(LLAMA_7B, make_machine(), Demand(700, 100, 4)).speeds(Placement(0), make_contexts())
    assert speeds.seconds == speeds.seconds_for(700, 400)


# --- ranges, and what they rest on --------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "model", "doubt", "basis"),
    [
        (CARDS[0], LLAMA_7B, 0.15, "catalogue"),
        (CARDS[0], replace(LLAMA_7B, quant="Q6_K"), 0.15, "catalogue"),
        (CARDS[0], replace(LLAMA_7B, quant="IQ2_XS"), 0.3, "catalogue"),
        (CARDS[0], replace(LLAMA_7B, quant="F16"), 0.3, "catalogue"),
        (CARDS[0], GPT_OSS_20B, 0.3, "catalogue"),
        (virtual_device(find_card("H200")), LLAMA_7B, 0.3, "catalogue"),
        (virtual_device(find_card("RX 7900 XTX")), LLAMA_7B, 0.3, "catalogue"),
        (virtual_device(find_card("M2 Pro")), LLAMA_7B, 0.3, "catalogue"),
        (virtual_device(find_card("780M")), LLAMA_7B, 0.5, "catalogue"),
        (Device("CUDA0", "A card of tomorrow", "gpu", "CUDA", GIB, GIB), LLAMA_7B, 0.6, "assumed"),
        (Device("Vulkan0", "Graphics", "igpu", "Vulkan", GIB, GIB), LLAMA_7B, 0.6, "assumed"),
        (Device("MTL0", "Apple M99", "gpu", "MTL", GIB, GIB), LLAMA_7B, 0.6, "assumed"),
        (Device("RPC0", "10.0.0.7:50052", "gpu", "RPC", GIB, GIB), LLAMA_7B, 0.6, "assumed"),
    ],
    ids=lambda value: getattr(value, "description", None),
)
def test_ranges_say_how_sure_they_are(device: Device, model: ModelFacts, doubt: float, basis: str) -> None:
    forecast = Forecast(model, make_machine(device), DEMAND)
    speeds = forecast.speeds(Placement(model.n_layers + 1, (1.0,)), make_contexts())
    for speed in (speeds.prompt, speeds.generation_1, speeds.generation_n):
        assert 0 < speed.low < speed.expected < speed.high < math.inf
        assert speed.low == pytest.approx(speed.expected * (1 - doubt))
        assert speed.basis == basis


def test_unknown_hardware_gets_sane_speeds() -> None:
    """A dense 7B in 4 bits: 4 to 200 tokens/s, whatever it runs on."""
    for device in (
        Device("CUDA0", "A card of tomorrow", "gpu", "CUDA", GIB, GIB),
        Device("Vulkan0", "Graphics", "igpu", "Vulkan", GIB, GIB),
        Device("MTL0", "Apple M99", "gpu", "Metal", GIB, GIB),
        Device("RPC0", "10.0.0.7:50052", "gpu", "RPC", GIB, GIB),
    ):
        speeds = Forecast(LLAMA_7B, make_machine(device), DEMAND).speeds(Placement(33, (1.0,)), make_contexts())
        assert 4 < speeds.generation_1.expected < 200
        assert speeds.prompt.expected > speeds.generation_1.expected


def test_a_host_that_takes_part_widens_the_range() -> None:
    forecast = Forecast(LLAMA_7B, make_machine(CARDS[0]), DEMAND)
    part = forecast.speeds(Placement(20, (1.0,)), make_contexts())
    whole = forecast.speeds(Placement(33, (1.0,)), make_contexts())
    host = forecast.speeds(Placement(0, (1.0,)), make_contexts())
    assert host.generation_1.expected < part.generation_1.expected < whole.generation_1.expected
    assert part.generation_1.basis == "assumed"
    assert part.generation_1.low == pytest.approx(part.generation_1.expected * 0.5)


@pytest.mark.parametrize(
    ("cpu", "n_cores", "gb_s"),
    [
        ("AMD Ryzen 5 5600X 6-Core Processor", 6, 51 * 0.65),
        ("AMD Ryzen 9 7950X 16-Core Processor", 16, 83 * 0.65),
        ("AMD Ryzen 7 7840U w/ Radeon 780M Graphics", 8, 83 * 0.65),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", 16, 192 * 0.65 / 0.96),
        ("Intel(R) Core(TM) Ultra 7 155H", 6, 83 * 0.65),
        ("13th Gen Intel(R) Core(TM) i7-13700K", 8, 83 * 0.65),
        ("Intel(R) Core(TM) i5-8400 CPU @ 2.80GHz", 6, 51 * 0.65),
        ("AMD EPYC 7B13", 2, 24),
        ("AMD EPYC 7B13", 64, 120 * 0.65),
        ("Apple M1", 4, 68 * 0.65),
        ("Apple M3 Ultra", 20, 240),
        ("unknown", 1, 12),
    ],
    ids=str,
)
def test_processors_read_what_memory_and_cores_allow(cpu: str, n_cores: int, gb_s: float) -> None:
    rates = host_rates(make_machine(cpu=cpu, n_cores=n_cores), LLAMA_7B)
    assert rates.bandwidth == pytest.approx(gb_s * 1e9)
    assert rates.flops == pytest.approx(n_cores * 8e10)
    assert rates.basis == "assumed"


def test_what_was_measured_replaces_the_catalogue_and_narrows_the_range() -> None:
    machine, placement = make_machine(CARDS[0]), Placement(33, (1.0,))
    measured = {device_key(CARDS[0], LLAMA_7B): PlaceSpeed(bandwidth=4e11, overhead_s=0.001)}
    before = Forecast(LLAMA_7B, machine, DEMAND).speeds(placement, make_contexts())
    after = Forecast(LLAMA_7B, machine, DEMAND, measured=measured).speeds(placement, make_contexts())
    assert after.generation_1.expected == pytest.approx(1 / (3.7489e9 / 4e11 + 0.001))
    assert after.generation_1.basis == "measured"
    assert after.generation_1.low == pytest.approx(after.generation_1.expected * 0.9)
    assert after.prompt.expected == pytest.approx(before.prompt.expected, rel=0.01)  # the same arithmetic
    assert after.prompt.basis == "catalogue"
    assert after.seconds_for(100, 0).basis == "catalogue"
    assert after.seconds_for(0, 100).basis == "measured"


def test_measurements_hold_for_models_of_that_quantization_and_size() -> None:
    keys = [
        device_key(CARDS[0], LLAMA_7B),
        device_key(CARDS[1], LLAMA_7B),
        device_key(replace(CARDS[0], backend="Vulkan"), LLAMA_7B),
        device_key(CARDS[0], replace(LLAMA_7B, quant="Q8_0")),
        device_key(CARDS[0], replace(LLAMA_7B, size_bytes=300 * MIB)),
        device_key(CARDS[0], replace(LLAMA_7B, n_experts=8)),
        host_key(make_machine(), LLAMA_7B),
        host_key(make_machine(n_cores=4), LLAMA_7B),
    ]
    assert len(set(keys)) == len(keys)
    assert device_key(CARDS[0], LLAMA_7B) == "CUDA RTX 4090 Q4_0 from 1.0 GiB"
    assert device_key(CARDS[0], replace(LLAMA_7B, size_bytes=2 * GIB)) == keys[0]


# --- plans --------------------------------------------------------------------------------------


def test_a_plan_says_where_the_layers_are() -> None:
    machine = make_machine(*CARDS)
    plan = plan_run(LLAMA_7B, machine, DEMAND)
    assert plan_placement(plan, machine) == Placement(33, plan.tensor_split)
    assert plan_placement(replace(plan, tensor_split=()), machine) == Placement(33, (24.0 * GIB, 12.0 * GIB))
    assert plan_placement(replace(plan, tensor_split=(), n_gpu_layers=0), make_machine()) == Placement(0, ())


def test_the_forecast_of_a_plan_is_that_of_its_placement() -> None:
    machine = make_machine(CARDS[0])
    plan = plan_run(LLAMA_7B, machine, DEMAND)
    contexts = Contexts(plan.scoring, plan.generation, is_generating=True)
    expected = Forecast(LLAMA_7B, machine, DEMAND).speeds(Placement(33, (1.0,)), contexts)
    assert forecast_plan(LLAMA_7B, machine, DEMAND, plan=plan) == expected
