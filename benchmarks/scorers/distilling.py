"""A teacher, fine-tuned on labels, and a pupil, small enough to ship, that learns from labels and from the teacher."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from network import Course, Lesson, Network, Shape, fit, predict
from teacher import Pretrained, encode, make_teacher
from torch import Tensor

from llamabench.scorers.tiny_reader import quantize
from llamabench.scorers.wordpiece import WordPiece, plain


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts with their ratings: see `network.Lesson` for what the rows of each are."""

    texts: list[str]
    targets: Tensor
    weights: Tensor
    sources: Tensor


@dataclass(frozen=True, slots=True)
class Pupil:
    """Size and training of the small network: most word pieces, width, layers, heads, inner width, pieces of a text."""

    n_pieces: int
    width: int
    n_layers: int
    n_heads: int
    n_inner: int
    limit: int
    course: Course


def train_teacher(pretrained: Pretrained, labels: Labels, course: Course) -> Network:
    """Fine-tunes MiniLM on all labelled texts."""
    torch.manual_seed(0)
    teacher = make_teacher(pretrained, labels.targets.shape[1])
    rows = encode(WordPiece(pretrained.pieces), labels.texts)
    fit(teacher, Lesson(rows, labels.targets, labels.weights, labels.sources), course)
    return teacher


def keep_teacher(pretrained: Pretrained, labels: Labels, course: Course, path: Path | None) -> Network:
    """The teacher kept in a file; one is trained, and kept, where there is none."""
    if path and path.exists():
        teacher = make_teacher(pretrained, labels.targets.shape[1])
        teacher.load_state_dict(torch.load(path, weights_only=True))
        return teacher
    teacher = train_teacher(pretrained, labels, course)
    if path:
        torch.save(teacher.state_dict(), path)
    return teacher


def teach(
    teacher: Network, pretrained: Pretrained, labels: Labels, unlabelled: Sequence[str], pupil: Pupil
) -> tuple[Network, list[str]]:
    """Trains the small network on labels and on what the teacher says of labelled and other texts.

    Returns:
        The network and its vocabulary.
    """
    texts = [*labels.texts, *unlabelled]
    wide = WordPiece(pretrained.pieces)
    logits = predict(teacher, encode(wide, texts))
    chosen = _choose_pieces(wide, pretrained.pieces, texts, pupil)
    pieces = [pretrained.pieces[number] for number in chosen]
    cutter = WordPiece(pieces)
    rows = [cutter.encode(text, pupil.limit) or [cutter.unknown] for text in texts]
    torch.manual_seed(0)
    n_out, n_more = logits.shape[1], len(unlabelled)
    sizes = (len(pieces), pupil.width, pupil.n_layers, pupil.n_heads, pupil.n_inner, n_out, pupil.limit)
    network = Network(Shape(*sizes, is_smooth=False, drop=0.1))
    with torch.no_grad():
        network.pieces.weight.copy_(_shrink(teacher.pieces.weight.detach()[chosen], pupil.width))
        network.places.weight.mul_(0.1)
    targets = torch.cat([labels.targets, torch.full((n_more, n_out), float("nan"))])
    weights = torch.cat([labels.weights, torch.ones(n_more)])
    sources = torch.cat([labels.sources, torch.zeros(n_more, dtype=torch.long)])
    fit(network, Lesson(rows, targets, weights, sources, logits), pupil.course)
    return network, pieces


def write(network: Network, pieces: list[str], path: Path, **constants: float) -> None:
    """Rounds the network and writes it beside single numbers; prints size and digest."""
    arrays = quantize({name: value.detach().numpy() for name, value in network.state_dict().items()})
    vocabulary = np.frombuffer("\n".join(pieces).encode(), dtype=np.uint8)
    np.savez_compressed(path, vocabulary=vocabulary, **arrays, **constants)
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")


def _choose_pieces(cutter: WordPiece, pieces: list[str], texts: list[str], pupil: Pupil) -> list[int]:
    """Padding, the unknown piece, all single characters that occur, and the most frequent others."""
    counts = Counter(number for text in texts for number in cutter.encode(text, pupil.limit))
    letters = set("".join(plain(text) for text in texts))
    single = [i for i, piece in enumerate(pieces) if piece.removeprefix("##") in letters]
    frequent = [number for number, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    chosen = dict.fromkeys([0, pieces.index("[UNK]"), *single, *frequent])
    return list(chosen)[: pupil.n_pieces]


def _shrink(vectors: Tensor, width: int) -> Tensor:
    """The vectors along their first principal axes, to unit variance."""
    centred = vectors - vectors.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    short = centred @ axes[:width].T
    return short / short.std()
