"""Layers on another device give the same scores: llama.cpp's RPC backend serves this processor over loopback."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.model, pytest.mark.rpc]

_SERVE = """
import ctypes, sys
from llama_cpp import llama_cpp as api
lib = api._lib
api.llama_backend_init()
lib.ggml_backend_dev_get.restype = ctypes.c_void_p
lib.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
devices = (ctypes.c_void_p * 1)(lib.ggml_backend_dev_get(0))
serve = lib.ggml_backend_rpc_start_server
serve.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
print("ready", flush=True)
serve(sys.argv[1].encode(), None, 1, 1, devices)
"""

_SCORE = """
import ctypes, json, sys
from dataclasses import replace
from llama_cpp import llama_cpp as api
from llamabench.engine.llama import initialise, read_backend
from llamabench.engine.process import PLAIN_PLAN
from llamabench.engine.session import Session
from llamabench.records import ModelSpec, ScoreRequest, TextPrompt

initialise()
lines = []
log = api.llama_log_callback(lambda level, text, _: lines.append(text.decode(errors="replace")))
api.llama_log_set(log, ctypes.c_void_p(0))
lib = api._lib
lib.ggml_backend_rpc_add_server.restype = ctypes.c_void_p
lib.ggml_backend_rpc_add_server.argtypes = [ctypes.c_char_p]
lib.ggml_backend_register.argtypes = [ctypes.c_void_p]
lib.ggml_backend_register(lib.ggml_backend_rpc_add_server(sys.argv[1].encode()))
before = read_backend().devices
request = ScoreRequest("a", TextPrompt("The sky on a clear day is"), (" blue", " green", " made of stone"))
found = {}
for n_layers in (0, 3, 5):
    plan = replace(PLAIN_PLAN, strategy="packed", n_gpu_layers=n_layers, n_threads=1, flash_attention="off")
    session = Session(ModelSpec(sys.argv[2], plan))
    result = session.score([request]).results[0]
    found[n_layers] = [scored.logprob_sum for scored in result.continuations]
    session.close()
offloaded = [line.split("offloaded ")[1].split()[0] for line in lines if "offloaded " in line]
print(json.dumps({"offloaded": offloaded, "devices": [(d.name, d.kind, d.backend) for d in before], "scores": found}))
"""


def _has_rpc() -> bool:
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    return any((Path(spec.origin).parent / "lib").glob("*ggml-rpc*"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def endpoint() -> Iterator[str]:
    if not _has_rpc():
        pytest.skip("this llama-cpp-python was built without -DGGML_RPC=on, so there is no device to offload to")
    address = f"127.0.0.1:{_free_port()}"
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, address], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline().strip() == "ready"
    yield address
    server.kill()
    server.communicate()


def test_layers_on_a_device_score_as_on_the_processor(endpoint: str, demo_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, endpoint, str(demo_model)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert [kind for _, kind, backend in found["devices"] if backend == "RPC"] == ["gpu"]
    assert found["offloaded"][-2:] == ["3/5", "5/5"], "the layers did not go to the device"
    on_processor = found["scores"]["0"]
    for n_layers in ("3", "5"):
        assert found["scores"][n_layers] == pytest.approx(on_processor, abs=1e-4)
