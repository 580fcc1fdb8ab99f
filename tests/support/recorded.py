"""Machines and an installation that were recorded, and a model to plan on them."""

from __future__ import annotations

import json
from pathlib import Path

from llamabench.hardware.installation import Folder, Installation
from llamabench.records import Machine, ModelFacts
from llamabench.results.codec import decode

MIB = 1 << 20
_FOLDER = Path(__file__).parents[1] / "hardware" / "machines"
MACHINES = sorted(_FOLDER.glob("*.json"))

INSTALLATION = Installation(
    python="3.12.3",
    executable="/home/ada/venv/bin/python",
    binding="0.3.36",
    requirement="llama-cpp-python>=0.3.36,<0.3.37",
    is_tested=True,
    data=Folder("/home/ada/.local/share/llamabench", True, 80 << 30),
    runs=Folder("/home/ada/llamabench-runs", True, 80 << 30),
    tools={"c++": "c++", "nvcc": "/usr/local/cuda/bin/nvcc"},
    extras={"nvml": ()},
    n_data_sets=3,
)
"""Nothing is missing."""


def load_machine(name: str) -> Machine:
    return decode(Machine, json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def make_model(**changes: object) -> ModelFacts:
    """A model of the size of Llama 3.1 8B in Q4_K_M."""
    facts: dict[str, object] = {
        "path": "llama-3.1-8b-q4_k_m.gguf",
        "name": "llama-3.1-8b",
        "architecture": "llama",
        "quant": "Q4_K_M",
        "size_bytes": 5180 * MIB,
        "n_params": 8_030_261_312,
        "n_layers": 32,
        "n_ctx_train": 131072,
        "n_vocab": 128256,
        "n_embd": 4096,
        "layer_bytes": (140 * MIB,) * 32,
        "output_bytes": 410 * MIB,
        "input_bytes": 282 * MIB,
        "kv_bytes_per_token": (4096,) * 32,
        "has_chat_template": True,
        "fingerprint": "0" * 64,
    }
    return ModelFacts(**{**facts, **changes})  # type: ignore[arg-type]
