"""The teacher of the toxicity scorer: MiniLM, fine-tuned on the labelled sets. It is needed for training only."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from llamabench.scorers.wordpiece import WordPiece

MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)."""

WIDTH, N_LAYERS, N_HEADS, LIMIT = 384, 6, 12, 96


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
    header = json.loads(blob[8 : 8 + n_header])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, stop = (8 + n_header + offset for offset in entry["data_offsets"])
            array = np.frombuffer(blob[start:stop], dtype=np.float32).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(array.copy())
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return Pretrained(tensors, sorted(vocabulary, key=vocabulary.__getitem__))


class Layer(nn.Module):
    """One layer of BERT: attention and feed-forward, each normalised afterwards."""

    def __init__(self, width: int, n_heads: int, n_inner: int, *, dropout: float = 0.1):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, n_inner), nn.Linear(n_inner, width)
        self.first, self.second = nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, t, width = x.shape
        q, k, v = self.mix(x).view(n, t, 3, self.n_heads, width // self.n_heads).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(q, k, v, mask[:, None, None, :], dropout_p=drop)
        seen = self.out(seen.transpose(1, 2).reshape(n, t, width))
        x = self.first(x + functional.dropout(seen, drop))
        return self.second(x + functional.dropout(self.down(functional.gelu(self.up(x))), drop))


class Reader(nn.Module):
    """Word pieces to ratings: a stack of layers, mean and maximum over pieces, one logit per attribute.

    Args:
        n_pieces: Size of the vocabulary; piece 0 fills up short texts.
        width: Size of a piece's vector.
        n_layers: Number of layers.
        n_heads: Attention heads of each.
        n_inner: Width of the feed-forward part.
        n_out: Number of attributes.
    """

    def __init__(self, n_pieces: int, width: int, n_layers: int, n_heads: int, n_inner: int, n_out: int):  # noqa: PLR0913
        super().__init__()
        self.pieces, self.places = nn.Embedding(n_pieces, width), nn.Embedding(LIMIT + 2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(width, n_heads, n_inner) for _ in range(n_layers))
        self.head = nn.Linear(2 * width, n_out)

    def forward(self, numbers: Tensor) -> Tensor:
        mask = numbers != 0
        x = self.norm(self.pieces(numbers) + self.places.weight[: numbers.shape[1]])
        x = functional.dropout(x, 0.1, self.training)
        for layer in self.layers:
            x = layer(x, mask)
        weight = mask[..., None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        most = x.masked_fill(~mask[..., None], -1e4).amax(1)
        return self.head(functional.dropout(torch.cat([mean, most], 1), 0.1, self.training)).float()


def make_teacher(pretrained: Pretrained, n_out: int) -> Reader:
    """The pretrained model with a fresh head."""
    tensors = pretrained.tensors
    model = Reader(len(pretrained.pieces), WIDTH, N_LAYERS, N_HEADS, 4 * WIDTH, n_out)
    kind = tensors["embeddings.token_type_embeddings.weight"][0]
    state = {
        "pieces.weight": tensors["embeddings.word_embeddings.weight"],
        "places.weight": tensors["embeddings.position_embeddings.weight"][: LIMIT + 2] + kind,
        "norm.weight": tensors["embeddings.LayerNorm.weight"],
        "norm.bias": tensors["embeddings.LayerNorm.bias"],
    }
    names = {"out": "attention.output.dense", "up": "intermediate.dense", "down": "output.dense",
             "first": "attention.output.LayerNorm", "second": "output.LayerNorm"}  # fmt: skip
    for i in range(N_LAYERS):
        root = f"encoder.layer.{i}"
        for kind_ in ("weight", "bias"):
            parts = [tensors[f"{root}.attention.self.{part}.{kind_}"] for part in ("query", "key", "value")]
            state[f"layers.{i}.mix.{kind_}"] = torch.cat(parts)
            state |= {
                f"layers.{i}.{ours}.{kind_}": tensors[f"{root}.{theirs}.{kind_}"] for ours, theirs in names.items()
            }
    state["head.weight"], state["head.bias"] = torch.zeros(n_out, 2 * WIDTH), torch.zeros(n_out)
    model.load_state_dict(state)
    return model


def encode(
    cutter: WordPiece, texts: Sequence[str], start: int | None = None, stop: int | None = None
) -> list[list[int]]:
    """Numbers of the word pieces of each text, between `start` and `stop` where they are given."""
    before, after = ([] if n is None else [n] for n in (start, stop))
    return [before + (cutter.encode(text, LIMIT) or [1]) + after for text in texts]


def batches(lengths: Sequence[int], n_pieces: int, rng: np.random.Generator | None) -> Iterator[list[int]]:
    """Indices of texts of like length, at most `n_pieces` pieces in a batch; in random order where there is an `rng`."""
    noise = rng.random(len(lengths)) if rng else np.zeros(len(lengths))
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + 4 * noise[i])
    made: list[list[int]] = [[]]
    for i in order:
        if (len(made[-1]) + 1) * lengths[i] > n_pieces:
            made.append([])
        made[-1].append(i)
    yield from (made[int(k)] for k in (rng.permutation(len(made)) if rng else range(len(made))))


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Texts of a batch as a table, filled up with 0."""
    table = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row)
    return table


def predict(model: nn.Module, rows: Sequence[Sequence[int]], n_pieces: int = 4096) -> Tensor:
    """Logits of each text, shape `(n_texts, n_out)`."""
    model.eval()
    out: list[Tensor] = [torch.empty(0)] * len(rows)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for batch in batches([len(row) for row in rows], n_pieces, None):
            for i, logits in zip(batch, model(pad([rows[i] for i in batch])), strict=True):
                out[i] = logits.clone()
    return torch.stack(out)


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts in word pieces with their targets; NaN where an attribute was not rated. `shift` is a row's source."""

    rows: list[list[int]]
    targets: Tensor
    weights: Tensor
    shift: Tensor


def fit(model: Reader, lesson: Lesson, *, n_epochs: int, rate: float, seed: int, n_pieces: int = 1536) -> None:
    """Trains with soft targets; each source has offsets of its own, so that sources need not agree on a scale."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n_sources = int(lesson.shift.max()) + 1
    offsets = nn.Parameter(torch.zeros(n_sources, lesson.targets.shape[1]))
    groups = [{"params": model.parameters(), "lr": rate}, {"params": [offsets], "lr": 1e-2, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    lengths = [len(row) for row in lesson.rows]
    n_steps = n_epochs * sum(1 for _ in batches(lengths, n_pieces, np.random.default_rng(seed)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_at(step / n_steps))
    is_free = torch.arange(n_sources)[:, None] > 0
    for epoch in range(n_epochs):
        model.train()
        total = 0.0
        for batch in batches(lengths, n_pieces, rng):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(pad([lesson.rows[i] for i in batch]))
            targets, shift = lesson.targets[batch], lesson.shift[batch]
            logits = logits + (offsets * is_free)[shift]
            loss = functional.binary_cross_entropy_with_logits(logits, targets.nan_to_num(0.0), reduction="none")
            share = lesson.weights[batch][:, None] * ~targets.isnan()
            loss = (loss * share).sum() / share.sum().clamp(min=1e-6)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(lengths):.4f}", flush=True)


def _rate_at(done: float) -> float:
    return min(done / 0.06, 1.0) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
