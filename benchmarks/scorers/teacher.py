"""The teacher of the toxicity scorer: MiniLM with a head of ours. It is needed for training only."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from network import Network, Shape
from torch import Tensor

from llamabench.scorers.wordpiece import WordPiece

MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)."""
LIMIT = 64
_START, _STOP = 101, 102
_N_LAYERS, _WIDTH = 6, 384


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights and vocabulary of the model that the teacher starts from."""

    tensors: dict[str, Tensor]
    pieces: list[str]


def read_pretrained(folder: Path) -> Pretrained:
    """Reads `model.safetensors` and `tokenizer.json`, and checks that the weights are those meant."""
    blob = (folder / "model.safetensors").read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != MODEL_SHA256:
        raise SystemExit(f"{folder / 'model.safetensors'} has SHA-256 {found}, not {MODEL_SHA256}.")
    (n_header,) = struct.unpack("<Q", blob[:8])
    tensors = {}
    for name, entry in json.loads(blob[8 : 8 + n_header]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, stop = (8 + n_header + offset for offset in entry["data_offsets"])
            array = np.frombuffer(blob[start:stop], dtype=np.float32).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(array.copy())
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return Pretrained(tensors, sorted(vocabulary, key=vocabulary.__getitem__))


def make_teacher(pretrained: Pretrained, n_out: int) -> Network:
    """The pretrained model with a fresh head."""
    tensors = pretrained.tensors
    shape = Shape(len(pretrained.pieces), _WIDTH, _N_LAYERS, 12, 4 * _WIDTH, n_out, LIMIT, is_smooth=True, drop=0.0)
    kind = tensors["embeddings.token_type_embeddings.weight"][0]
    state = {
        "pieces.weight": tensors["embeddings.word_embeddings.weight"],
        "places.weight": tensors["embeddings.position_embeddings.weight"][:LIMIT] + kind,
        "norm.weight": tensors["embeddings.LayerNorm.weight"],
        "norm.bias": tensors["embeddings.LayerNorm.bias"],
        "head.weight": torch.zeros(n_out, 2 * _WIDTH),
        "head.bias": torch.zeros(n_out),
    }
    for number in range(_N_LAYERS):
        state |= _layer_state(tensors, number)
    teacher = Network(shape)
    teacher.load_state_dict(state)
    teacher.pieces.weight.requires_grad_(False)  # rare words keep the meaning that they came with
    return teacher


def encode(cutter: WordPiece, texts: Sequence[str]) -> list[list[int]]:
    """Word pieces of each text between the marks that MiniLM knows, at most `LIMIT`."""
    return [[_START, *cutter.encode(text, LIMIT - 2), _STOP] for text in texts]


def _layer_state(tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    root, ours = f"encoder.layer.{number}", f"layers.{number}"
    names = {
        "out": "attention.output.dense",
        "up": "intermediate.dense",
        "down": "output.dense",
        "first": "attention.output.LayerNorm",
        "second": "output.LayerNorm",
    }
    state = {}
    for kind in ("weight", "bias"):
        parts = [tensors[f"{root}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        state[f"{ours}.mix.{kind}"] = torch.cat(parts)
        state |= {f"{ours}.{name}.{kind}": tensors[f"{root}.{theirs}.{kind}"] for name, theirs in names.items()}
    return state
