"""Machines that were recorded, and a model to plan on them."""

from __future__ import annotations

import json
from pathlib import Path

from llamabench.records import Device, Machine, ModelFacts

MIB = 1 << 20
_FOLDER = Path(__file__).parents[1] / "hardware" / "machines"
MACHINES = sorted(_FOLDER.glob("*.json"))


def load_machine(name: str) -> Machine:
    raw = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    raw["devices"] = tuple(Device(**device) for device in raw["devices"])
    raw["notes"] = tuple(raw["notes"])
    return Machine(**raw)


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
