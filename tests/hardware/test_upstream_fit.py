"""The planner places as much as llama.cpp's own fitting does, given the same levers and the same margin."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import headers
import pytest

from llamabench.engine.process import PLAIN_PLAN
from llamabench.hardware.contexts import Contexts
from llamabench.hardware.dry_layout import DryLayouts
from llamabench.hardware.gguf import read_model
from llamabench.hardware.placing import Placer, Room
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.records import ContextPlan, Device, ModelFacts

pytestmark = pytest.mark.model

GIB = 1 << 30
CONTEXT = ContextPlan(8192, 1, 2048, 512, 2048, kv_unified=False)
CONTEXTS = Contexts(CONTEXT, CONTEXT, is_generating=False)
SCRIPT = Path(__file__).parents[1] / "support" / "upstream_fit.py"


@cache
def has_upstream_fit() -> bool:
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parents[1] / "lib" / "libllama-common.so").is_file()


def ask_upstream(path: Path, free: list[int]) -> dict[str, Any]:
    if not has_upstream_fit():
        pytest.skip("this llama-cpp-python came without libllama-common")
    command = [sys.executable, str(SCRIPT), str(path), str(CONTEXT.n_ctx), *map(str, free)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFacts]:
    folder = tmp_path_factory.mktemp("headers")
    chosen = {"8b": headers.LLAMA_8B, "70b": headers.LLAMA_70B, "30b-a3b": headers.QWEN3_30B_A3B}
    return {
        name: read_model(headers.write_header(model, folder / f"{name}.gguf", has_tokens=False))
        for name, model in chosen.items()
    }


@pytest.mark.parametrize(
    ("name", "free", "n_layers"),
    [("8b", [4], 16), ("8b", [11], 33), ("70b", [23], 41), ("70b", [23, 11], 60)],
    ids=["8b on 4", "8b on 11", "70b on 23", "70b on 23 and 11"],
)
def test_as_many_layers_as_upstream(models: dict[str, ModelFacts], name: str, free: list[int], n_layers: int) -> None:
    """The numbers were found with llama.cpp commit 0c1e57098 for headers with a little more in Q6_K than these."""
    model, sizes = models[name], [one * GIB for one in free]
    upstream = ask_upstream(Path(model.path), sizes)
    wanted = model.n_layers + 1 if upstream["n_gpu_layers"] < 0 else upstream["n_gpu_layers"]
    assert wanted in (n_layers, n_layers + 1)
    cards = [Device(f"CUDA{i}", "virtual", "gpu", "CUDA", size, size) for i, size in enumerate(sizes)]
    room = Room(tuple(cards), tuple(size - GIB for size in sizes), 256 * GIB)
    with DryLayouts(model, cards, PLAIN_PLAN, are_virtual=True) as layouts:
        placed = Placer(model, room, layouts, NO_OVERRIDES).most_layers(CONTEXTS)
        assert layouts.note is None
    assert placed is not None
    assert abs(placed.placement.n_gpu_layers - wanted) <= 1
    assert placed.placement.n_gpu_layers >= wanted


def test_as_many_experts_on_the_card_as_upstream(models: dict[str, ModelFacts]) -> None:
    """Upstream also cuts one layer's experts in two; a layer more or less is that."""
    model = models["30b-a3b"]
    upstream = ask_upstream(Path(model.path), [11 * GIB])
    card = Device("CUDA0", "virtual", "gpu", "CUDA", 11 * GIB, 11 * GIB)
    room = Room((card,), (10 * GIB,), 256 * GIB)
    with DryLayouts(model, [card], PLAIN_PLAN, are_virtual=True) as layouts:
        placed = Placer(model, room, layouts, NO_OVERRIDES).fewest_experts_on_host(CONTEXTS)
        assert layouts.note is None
    assert placed is not None
    assert placed.placement.n_gpu_layers == model.n_layers + 1
    assert abs(placed.placement.n_cpu_moe - upstream["n_overridden"]) <= 1
