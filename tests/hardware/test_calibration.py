"""Measured speeds: a forecast gives them back, and they are kept only for what they were measured of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llamabench.hardware.calibration import calibrate, keep_speeds
from llamabench.hardware.catalogue import find_card, virtual_device
from llamabench.hardware.forecast import forecast_plan
from llamabench.hardware.planner import plan_run
from llamabench.hardware.rates import PlaceSpeed, device_key, host_key
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Demand, Device, Machine, ModelFacts, Overrides, Plan, SpeedForecast

MIB, GIB = 1 << 20, 1 << 30
DEMAND = Demand(longest_sequence=700, longest_generation=256, n_parallel=4)
NOTHING: Mapping[str, PlaceSpeed] = {}

MODEL = ModelFacts(
    path="model.gguf",
    name="model",
    architecture="llama",
    quant="Q4_K_M",
    size_bytes=5180 * MIB,
    n_params=8_030_261_312,
    n_layers=32,
    n_ctx_train=131072,
    n_vocab=128256,
    n_embd=4096,
    layer_bytes=(140 * MIB,) * 32,
    output_bytes=410 * MIB,
    input_bytes=282 * MIB,
    kv_bytes_per_token=(4096,) * 32,
    has_chat_template=True,
    fingerprint="0" * 64,
)
CARD = virtual_device(find_card("RTX 4090"))
STRANGER = Device("CUDA0", "A card of tomorrow", "gpu", "CUDA", 24 * GIB, 24 * GIB)


def make_machine(*devices: Device) -> Machine:
    return Machine(
        os="Linux",
        cpu="A processor",
        n_performance_cores=6,
        ram_total_bytes=64 * GIB,
        ram_available_bytes=64 * GIB,
        devices=devices,
        llama_cpp_python="0.3.36",
        llama_cpp_commit="0c1e57098",
    )


def make_plan(machine: Machine, *, n_gpu_layers: int | None = None) -> Plan:
    return plan_run(MODEL, machine, DEMAND, overrides=Overrides(n_gpu_layers=n_gpu_layers))


def forecast(machine: Machine, plan: Plan, measured: Mapping[str, PlaceSpeed] = NOTHING) -> SpeedForecast:
    return forecast_plan(MODEL, machine, DEMAND, plan=plan, measured=measured)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([(CARD,), (STRANGER,), ()]), st.floats(0.3, 10), st.floats(0.1, 1.2))
def test_a_forecast_gives_back_what_was_measured(devices: tuple[Device, ...], faster: float, quicker: float) -> None:
    """One place does all the work; a pack takes no less time than one token."""
    machine = make_machine(*devices)
    plan = make_plan(machine)
    before = forecast(machine, plan)
    prompt, generation = before.prompt.expected * faster, before.generation_1.expected * quicker
    assume(prompt < plan.pack_tokens * generation * 0.9)
    found = calibrate(
        MODEL, machine, plan, known=NOTHING, prompt_tokens_per_s=prompt, generation_tokens_per_s=generation
    )
    after = forecast(machine, plan, found)
    assert after.generation_1.expected == pytest.approx(generation, rel=0.01)
    assert after.generation_1.basis == "measured"
    assert after.generation_1.high - after.generation_1.low == pytest.approx(0.2 * generation, rel=0.02)
    assert after.prompt.expected == pytest.approx(prompt, rel=0.02)
    assert after.prompt.basis == "measured"


@pytest.mark.parametrize("devices", [(CARD,), (STRANGER,), ()], ids=["card", "stranger", "host"])
@pytest.mark.parametrize("share", [0.3, 1.0, 1.6])
def test_each_speed_is_given_back_alone(devices: tuple[Device, ...], share: float) -> None:
    machine = make_machine(*devices)
    plan = make_plan(machine)
    before = forecast(machine, plan)
    speed = before.prompt.expected * share
    found = calibrate(MODEL, machine, plan, known=NOTHING, prompt_tokens_per_s=speed)
    after = forecast(machine, plan, found)
    assert after.prompt.expected == pytest.approx(speed, rel=0.01)
    assert (after.prompt.basis, after.generation_1.basis) == ("measured", before.generation_1.basis)
    assert after.generation_1 == before.generation_1
    speed = before.generation_1.expected * share
    found = calibrate(MODEL, machine, plan, known=found, generation_tokens_per_s=speed)
    assert forecast(machine, plan, found).generation_1.expected == pytest.approx(speed, rel=0.01)


def test_two_cards_of_a_kind_are_one() -> None:
    machine = make_machine(CARD, replace(CARD, name="CUDA1"))
    plan = replace(make_plan(machine), tensor_split=(1.0, 1.0))
    speed = forecast(machine, plan).generation_1.expected * 0.8
    found = calibrate(MODEL, machine, plan, known=NOTHING, generation_tokens_per_s=speed)
    assert found.keys() == {device_key(CARD, MODEL)}
    assert forecast(machine, plan, found).generation_1.expected == pytest.approx(speed, rel=0.01)


def test_where_places_share_the_work_the_slowest_is_what_was_measured() -> None:
    machine = make_machine(CARD)
    plan = make_plan(machine, n_gpu_layers=16)
    speed = forecast(machine, plan).generation_1.expected * 1.3
    found = calibrate(MODEL, machine, plan, known=NOTHING, prompt_tokens_per_s=1000.0, generation_tokens_per_s=speed)
    assert found.keys() == {host_key(machine, MODEL)}
    assert found[host_key(machine, MODEL)].flops is None, "the card computed the prompt"
    assert forecast(machine, plan, found).generation_1.expected == pytest.approx(speed, rel=0.01)


def test_what_no_change_of_the_slowest_explains_is_not_kept() -> None:
    machine = make_machine(CARD)
    plan = make_plan(machine, n_gpu_layers=16)
    assert calibrate(MODEL, machine, plan, known=NOTHING, generation_tokens_per_s=5000.0) == {}


@pytest.mark.parametrize("speed", [None, 0.0, -1.0, math.nan, math.inf])
def test_what_is_no_speed_is_not_kept(speed: float | None) -> None:
    machine = make_machine()
    plan = make_plan(machine)
    found = calibrate(MODEL, machine, plan, known=NOTHING, prompt_tokens_per_s=speed, generation_tokens_per_s=speed)
    assert found == {}


def test_speeds_are_kept_for_the_next_forecast(tmp_path: Path) -> None:
    memory, machine = SpeedMemory(tmp_path / "speed.json"), make_machine(CARD)
    plan = make_plan(machine)
    keep_speeds(memory, MODEL, machine, plan, prompt_tokens_per_s=9000.0)
    keep_speeds(memory, MODEL, machine, plan, generation_tokens_per_s=110.0)
    after = forecast(machine, plan, SpeedMemory(tmp_path / "speed.json").recall_places())
    assert after.prompt.expected == pytest.approx(9000, rel=0.02)
    assert after.generation_1.expected == pytest.approx(110, rel=0.01)
    assert (after.prompt.basis, after.generation_1.basis, after.seconds.basis) == ("measured",) * 3


def test_a_run_that_teaches_nothing_leaves_no_file(tmp_path: Path) -> None:
    machine = make_machine()
    keep_speeds(SpeedMemory(tmp_path / "speed.json"), MODEL, machine, make_plan(machine))
    assert list(tmp_path.iterdir()) == []
