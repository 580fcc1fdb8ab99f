"""The network of the toxicity scorer in PyTorch, and how it is trained. It is needed for training only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-6
_WARM_UP = 0.06


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a network is.

    Attributes:
        n_pieces: Size of the vocabulary; piece 0 fills up short texts.
        width: Size of a piece's vector.
        n_layers: Number of layers.
        n_heads: Attention heads of each.
        n_inner: Width of the feed-forward part.
        n_out: Number of logits.
        limit: Most pieces of a text.
        is_smooth: Whether the feed-forward part bends by GELU, as BERT, or by ReLU.
        drop: Share of values that are dropped inside while it learns.
    """

    n_pieces: int
    width: int
    n_layers: int
    n_heads: int
    n_inner: int
    n_out: int
    limit: int
    is_smooth: bool
    drop: float


class Layer(nn.Module):
    """One layer: attention and feed-forward, each normalised afterwards."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.n_heads, self.drop = shape.n_heads, shape.drop
        self.mix, self.out = nn.Linear(shape.width, 3 * shape.width), nn.Linear(shape.width, shape.width)
        self.up, self.down = nn.Linear(shape.width, shape.n_inner), nn.Linear(shape.n_inner, shape.width)
        self.first, self.second = (nn.LayerNorm(shape.width, eps=_EPSILON) for _ in range(2))
        self.bend = functional.gelu if shape.is_smooth else functional.relu

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Vectors of each place, shape `(n_texts, n_places, width)`, to vectors of the same shape."""
        n, t, width = x.shape
        drop = self.drop if self.training else 0.0
        q, k, v = self.mix(x).view(n, t, 3, self.n_heads, width // self.n_heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, mask[:, None, None, :], dropout_p=drop)
        seen = self.out(seen.transpose(1, 2).reshape(n, t, width))
        x = self.first(x + functional.dropout(seen, drop))
        return self.second(x + functional.dropout(self.down(self.bend(self.up(x))), drop))


class Network(nn.Module):
    """Word pieces to logits: layers, mean and maximum over places, a head."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.drop = shape.drop
        self.pieces, self.places = nn.Embedding(shape.n_pieces, shape.width), nn.Embedding(shape.limit, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.head = nn.Linear(2 * shape.width, shape.n_out)

    def forward(self, numbers: Tensor) -> Tensor:
        """Word pieces, shape `(n_texts, n_places)`, to logits, shape `(n_texts, n_out)`."""
        mask = numbers != 0
        x = self.norm(self.pieces(numbers) + self.places.weight[: numbers.shape[1]])
        x = functional.dropout(x, self.drop, self.training)
        for layer in self.layers:
            x = layer(x, mask)
        weight = mask[..., None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1)
        most = x.masked_fill(~mask[..., None], -1e4).amax(1)
        pooled = functional.dropout(torch.cat([mean, most], 1), 0.1, self.training)
        return self.head(pooled).float()


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network learns.

    Attributes:
        rows: Word pieces of each text.
        targets: Its ratings, NaN where an attribute was not rated, shape `(n_texts, n_out)`.
        weights: How much each counts, shape `(n_texts,)`.
        sources: Number of each text's source; source 0 sets the scale, the others have offsets from it.
        logits: What a teacher says, same shape as `targets`; None without a teacher.
    """

    rows: Sequence[Sequence[int]]
    targets: Tensor
    weights: Tensor
    sources: Tensor
    logits: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How a network is trained: passes, highest rate, word pieces in a batch, seed."""

    n_epochs: int
    rate: float
    n_pieces: int
    seed: int


def fit(network: Network, lesson: Lesson, course: Course) -> None:
    """Trains on soft targets, and on the teacher's logits where there are any; prints the loss of each pass."""
    torch.manual_seed(course.seed)
    rng = np.random.default_rng(course.seed)
    offsets = nn.Parameter(torch.zeros(int(lesson.sources.max()) + 1, lesson.targets.shape[1]))
    is_free = torch.arange(len(offsets))[:, None] > 0
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [{"params": trained, "lr": course.rate}, {"params": [offsets], "lr": 1e-2, "weight_decay": 0}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    lengths = [len(row) for row in lesson.rows]
    n_steps = course.n_epochs * sum(1 for _ in _batches(lengths, course.n_pieces, np.random.default_rng(0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_at(step / n_steps))
    for epoch in range(course.n_epochs):
        network.train()
        losses = []
        for batch in _batches(lengths, course.n_pieces, rng):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(_pad([lesson.rows[i] for i in batch]))
            loss = _loss(logits, (offsets * is_free)[lesson.sources[batch]], lesson, batch)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"pass {epoch + 1} of {course.n_epochs}: loss {np.mean(losses):.4f}", flush=True)


def predict(network: Network, rows: Sequence[Sequence[int]], n_pieces: int = 4096) -> Tensor:
    """Logits of each text, shape `(n_texts, n_out)`."""
    network.eval()
    found: dict[int, Tensor] = {}
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for batch in _batches([len(row) for row in rows], n_pieces, None):
            found |= zip(batch, network(_pad([rows[i] for i in batch])).unbind(), strict=True)
    return torch.stack([found[i] for i in range(len(rows))]).clone()


def _loss(logits: Tensor, offsets: Tensor, lesson: Lesson, batch: list[int]) -> Tensor:
    targets, weights = lesson.targets[batch], lesson.weights[batch][:, None]
    errors = functional.binary_cross_entropy_with_logits(logits + offsets, targets.nan_to_num(0.0), reduction="none")
    share = weights * ~targets.isnan()
    loss = (errors * share).sum() / share.sum().clamp(min=1e-6)
    if lesson.logits is None:
        return loss
    taught = lesson.logits[batch].clamp(-6, 6)
    return (
        loss
        + functional.binary_cross_entropy_with_logits(logits, taught.sigmoid())
        + 0.1 * (logits - taught).square().mean()
    )


def _batches(lengths: Sequence[int], n_pieces: int, rng: np.random.Generator | None) -> Iterator[list[int]]:
    """Numbers of texts of like length, at most `n_pieces` pieces in a batch; in random order with an `rng`."""
    noise = rng.random(len(lengths)) if rng else np.zeros(len(lengths))
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + 4 * noise[i])
    made: list[list[int]] = [[]]
    for i in order:
        if (len(made[-1]) + 1) * max(lengths[k] for k in [i, *made[-1][-1:]]) > n_pieces and made[-1]:
            made.append([])
        made[-1].append(i)
    yield from (made[int(k)] for k in (rng.permutation(len(made)) if rng else range(len(made))))


def _pad(rows: Sequence[Sequence[int]]) -> Tensor:
    table = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row)
    return table


def _rate_at(done: float) -> float:
    return min(done / _WARM_UP, 1.0) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
