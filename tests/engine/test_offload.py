"""Layers on other devices: llama.cpp's RPC backend serves this processor over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rpc import GIB, Server, free_port

from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.errors import ServerError
from llamabench.hardware.gguf import read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planning import make_plan
from llamabench.records import (
    Demand,
    GenerateRequest,
    GenerateResult,
    Overrides,
    Plan,
    Sampling,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)

pytestmark = [pytest.mark.model, pytest.mark.rpc]

PLAN = replace(PLAIN_PLAN, strategy="packed", n_threads=1, flash_attention="off")
QUESTION = ScoreRequest("a", TextPrompt("The sky on a clear day is"), (" blue", " green", " made of stone"))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


def score(engine: Engine, plan: Plan) -> list[float]:
    engine.use(plan)
    (result,) = engine.score([QUESTION])
    assert isinstance(result, ScoreResult)
    return [scored.logprob_sum for scored in result.continuations]


def weights(engine: Engine) -> dict[str, int]:
    """Bytes of weights on each device."""
    found: dict[str, int] = {}
    for buffer in engine.read_buffers():
        found[buffer.device] = found.get(buffer.device, 0) + buffer.weight_bytes
    return found


def test_layers_on_a_server_score_as_on_the_processor(server: Server, demo_model: Path) -> None:
    with Engine(demo_model, PLAN) as engine:
        expected = score(engine, PLAN)
        sizes = []
        for n_layers in (2, 5):
            found = score(engine, replace(PLAN, n_gpu_layers=n_layers, rpc_servers=(server.address,)))
            assert found == pytest.approx(expected, abs=1e-4)
            sizes.append(weights(engine)["RPC0"])
        assert 0 < sizes[0] < sizes[1]


def test_a_model_opened_later_does_not_use_a_server_it_does_not_name(server: Server, demo_model: Path) -> None:
    """What is registered with ggml would be used by every model of the process."""
    with Engine(demo_model, PLAN) as engine:
        score(engine, replace(PLAN, n_gpu_layers=5, rpc_servers=(server.address,)))
        assert weights(engine)["RPC0"] > 0
        score(engine, replace(PLAN, n_gpu_layers=5))
        assert "RPC0" not in weights(engine)


def test_texts_generated_on_a_server_are_those_of_the_processor(server: Server, demo_model: Path) -> None:
    request = GenerateRequest("a", TextPrompt("The sky is"), Sampling(max_tokens=12, temperature=0.0))
    with Engine(demo_model, PLAN) as engine:
        texts = []
        for plan in (PLAN, replace(PLAN, n_gpu_layers=5, rpc_servers=(server.address,))):
            engine.use(plan)
            (result,) = engine.generate([request])
            assert isinstance(result, GenerateResult)
            texts.append(result.texts[0].text)
    assert texts[0] == texts[1]


def test_two_servers_share_a_model_as_planned(server: Server, demo_model: Path) -> None:
    with Server(free_bytes=3 * GIB) as other:
        machine = read_machine(rpc_servers=(other.address, server.address))
        assert [(d.name, d.description, d.kind, d.backend, d.free_bytes) for d in machine.devices] == [
            ("RPC0", other.address, "gpu", "RPC", 3 * GIB),
            ("RPC1", server.address, "gpu", "RPC", 4 * GIB),
        ]
        assert machine.notes[0].startswith(f"RPC0 is on the server {other.address}: 3.0 GiB of ")
        overrides = Overrides(n_gpu_layers=5, tensor_split=(2.0, 3.0))
        plan = make_plan(read_model(demo_model), machine, Demand(64), overrides=overrides)
        assert plan.rpc_servers == (other.address, server.address)
        assert plan.is_exact_layout
        with Engine(demo_model, replace(plan, strategy="packed")) as engine:
            buffers = engine.read_buffers()
    for part in plan.layout:
        if part.device != "CPU":
            actual = [buffer for buffer in buffers if buffer.device == part.device]
            assert sum(buffer.weight_bytes for buffer in actual) == part.weight_bytes > 0
            assert sum(buffer.context_bytes for buffer in actual) == part.context_bytes > 0
            # with two devices llama.cpp pipelines, and its dry run copies one input more than it needs then
            assert 0 < sum(buffer.compute_bytes for buffer in actual) <= part.compute_bytes


def test_a_plan_that_uses_no_device_needs_no_server(server: Server, demo_model: Path) -> None:
    machine = read_machine(rpc_servers=(server.address,))
    plan = make_plan(read_model(demo_model), machine, Demand(64), overrides=Overrides(n_gpu_layers=0))
    assert plan.rpc_servers == ()


def test_a_server_that_is_not_there_is_named(demo_model: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    words = f"No server listens at {address}. Start one there: llamabench rpc-server --host 127.0.0.1 --port"
    with pytest.raises(ServerError, match=words) as caught:
        read_machine(rpc_servers=(address,))
    assert caught.value.address == address
    with Engine(demo_model) as engine, pytest.raises(ServerError, match=words) as caught:
        engine.open(replace(PLAN, n_gpu_layers=2, rpc_servers=(address,)))
    assert caught.value.address == address


def test_a_server_with_fewer_devices_than_planned_is_refused(server: Server, demo_model: Path) -> None:
    with Engine(demo_model) as engine, pytest.raises(ServerError, match="has 1 devices, the plan is for 2"):
        engine.open(replace(PLAN, n_gpu_layers=2, rpc_servers=(server.address, server.address)))


def test_a_build_without_rpc_names_the_command() -> None:
    from llamabench.engine.llama.remote import rpc_function

    with pytest.raises(ServerError, match="built without RPC.+-DGGML_RPC=on.+pip install --force-reinstall"):
        rpc_function("ggml_backend_rpc_of_another_name", None)
