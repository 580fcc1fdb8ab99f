from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamabench.hardware.gguf import read_model
from llamabench.hardware.planner import plan_run
from llamabench.hardware.rates import PlaceSpeed
from llamabench.hardware.speed import SpeedMemory, speed_key
from llamabench.records import Demand, Device, Machine, ModelFacts, PackSpeed, Plan

MACHINE = Machine(
    os="Linux",
    cpu="A",
    n_performance_cores=4,
    ram_total_bytes=1 << 34,
    ram_available_bytes=1 << 33,
    devices=(),
    llama_cpp_python="0.3.36",
    llama_cpp_commit="0c1e",
)


@pytest.fixture
def model(demo_model: Path) -> ModelFacts:
    return read_model(demo_model)


@pytest.fixture
def plan(model: ModelFacts) -> Plan:
    return plan_run(model, MACHINE, Demand(100))


def test_speeds_are_remembered(tmp_path: Path) -> None:
    memory = SpeedMemory(tmp_path / "new" / "speed.json")
    assert memory.recall("a") is None
    memory.keep("a", PackSpeed(256, 1234.5678901234567))
    memory.keep("b", PackSpeed(512, 2.0))
    memory.keep("b", PackSpeed(1024, 3.0))
    again = SpeedMemory(tmp_path / "new" / "speed.json")
    assert again.recall("a") == PackSpeed(256, 1234.5678901234567)
    assert again.recall("b") == PackSpeed(1024, 3.0)
    assert again.recall("c") is None
    assert os.listdir(tmp_path / "new") == ["speed.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", "null", "\udcff", "[" * 100_000],
    ids=["empty", "open", "list", "number", "null", "bytes", "deep"],
)
def test_a_damaged_file_counts_as_none_and_is_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "speed.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    memory = SpeedMemory(path)
    assert memory.recall("a") is None
    memory.keep("a", PackSpeed(256, 1.0))
    assert memory.recall("a") == PackSpeed(256, 1.0)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        "25",
        [],
        [256],
        [256, 1.0, 2.0],
        ["256", 1.0],
        [256, None],
        [256.5, 1.0],
        [0, 1.0],
        [-1, 1.0],
        [256, 0],
        [256, -1.0],
        [256, float("nan")],
        [256, float("inf")],
        [256, 10**400],
        {"0": 256, "1": 1.0},
    ],
    ids=repr,
)
def test_an_entry_that_makes_no_sense_counts_as_none(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"a": entry, "b": [128, 7]}))
    assert SpeedMemory(path).recall("a") is None
    assert SpeedMemory(path).recall("b") == PackSpeed(128, 7.0)


def test_a_file_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "speed.json", tmp_path / ("a" * 300), tmp_path):
        SpeedMemory(path).keep("a", PackSpeed(256, 1.0))
        assert SpeedMemory(path).recall("a") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_key_is_short_and_stable(model: ModelFacts, plan: Plan) -> None:
    assert speed_key(model, MACHINE, plan) == speed_key(model, MACHINE, plan)
    assert len(speed_key(model, MACHINE, plan)) == 16


def test_what_changes_the_speed_changes_the_key(model: ModelFacts, plan: Plan) -> None:
    others = [
        speed_key(replace(model, fingerprint="other"), MACHINE, plan),
        speed_key(model, replace(MACHINE, cpu="B"), plan),
        speed_key(model, replace(MACHINE, llama_cpp_commit="b0a7"), plan),
        speed_key(model, MACHINE, replace(plan, n_threads=plan.n_threads + 1)),
        speed_key(model, MACHINE, replace(plan, n_gpu_layers=1)),
        speed_key(model, MACHINE, replace(plan, kv_type="q8_0")),
        speed_key(model, MACHINE, replace(plan, flash_attention="off")),
        speed_key(model, MACHINE, replace(plan, scoring=replace(plan.scoring, n_batch=64))),
        speed_key(model, MACHINE, replace(plan, scoring=replace(plan.scoring, n_ubatch=64))),
    ]
    assert len({speed_key(model, MACHINE, plan), *others}) == len(others) + 1


def test_what_does_not_change_the_speed_keeps_the_key(model: ModelFacts, plan: Plan) -> None:
    card = Device("CUDA0", "A card", "gpu", "CUDA", 1, 2)
    same = [
        speed_key(replace(model, path="elsewhere.gguf"), MACHINE, plan),
        speed_key(model, replace(MACHINE, ram_available_bytes=1), plan),
        speed_key(model, replace(MACHINE, devices=(card,)), plan),
        speed_key(model, MACHINE, replace(plan, reasons=("Because.",))),
    ]
    assert set(same) == {speed_key(model, MACHINE, plan)}


def test_devices_count_once_layers_are_on_them(model: ModelFacts, plan: Plan) -> None:
    machine = replace(MACHINE, devices=(Device("CUDA0", "A card", "gpu", "CUDA", 1, 2),))
    offloaded = replace(plan, n_gpu_layers=2)
    assert speed_key(model, machine, offloaded) != speed_key(model, MACHINE, offloaded)


# --- places -------------------------------------------------------------------------------------


def test_places_are_remembered_beside_packs(tmp_path: Path) -> None:
    memory = SpeedMemory(tmp_path / "speed.json")
    assert memory.recall_places() == {}
    memory.keep("a", PackSpeed(256, 1.0))
    memory.keep_places({"CUDA card Q4_0": PlaceSpeed(flops=5e12), "host Q4_0": PlaceSpeed(3e10, 0.001)})
    memory.keep("b", PackSpeed(512, 2.0))
    memory.keep_places({"CUDA card Q4_0": PlaceSpeed(bandwidth=4e11, overhead_s=0.002)})
    memory.keep_places({"CUDA card Q4_0": PlaceSpeed(flops=6e12)})
    again = SpeedMemory(tmp_path / "speed.json")
    assert again.recall_places() == {
        "CUDA card Q4_0": PlaceSpeed(4e11, 0.002, 6e12),
        "host Q4_0": PlaceSpeed(3e10, 0.001),
    }
    assert (again.recall("a"), again.recall("b")) == (PackSpeed(256, 1.0), PackSpeed(512, 2.0))
    assert again.recall("places") is None


@pytest.mark.parametrize("places", [None, 5, [], "x", {"p": 5}, {"p": {}}, {"p": [1, 2, 3]}, {"p": {"flops": "9"}}])
def test_places_that_make_no_sense_count_as_none(tmp_path: Path, places: Any) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"a": [128, 7], "places": places}))
    memory = SpeedMemory(path)
    assert memory.recall_places() == {}
    memory.keep_places({"p": PlaceSpeed(flops=1e12)})
    assert memory.recall_places() == {"p": PlaceSpeed(flops=1e12)}
    assert memory.recall("a") == PackSpeed(128, 7.0)


@pytest.mark.parametrize(
    "figure", [None, 0, -1.0, float("nan"), float("inf"), True, "1e12", [1], 10**400], ids=lambda f: repr(f)[:9]
)
def test_a_figure_that_makes_no_sense_counts_as_not_measured(tmp_path: Path, figure: Any) -> None:
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"places": {"p": {"bandwidth": 1e11, "overhead_s": figure, "flops": figure}}}))
    assert SpeedMemory(path).recall_places() == {"p": PlaceSpeed(bandwidth=1e11)}
