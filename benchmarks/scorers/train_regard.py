"""Trains the regard scorer as `train_toxicity.py` trains its own: a teacher, then the small network that ships.

    python benchmarks/scorers/train_regard.py DATA_FOLDER MINILM_FOLDER

writes `llamabench/scorers/regard.npz` and prints its digest. It learns from the train split of Sheng et al. 2019, from
sentences of Sheng et al. 2020 that were not made from those of dev or test, and from SST-2, which sets no scale.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from distilling import Labels, Pupil, keep_teacher, teach, write
from labelled import read_regard, read_regard_dialogues, read_sst2
from material import gather, read_unlabelled
from network import Course
from teacher import read_pretrained

from llamabench.scorers.regard import N_HEADS, name_nobody

OUT = Path(__file__).parents[2] / "llamabench/scorers/regard.npz"
TEACHER = Course(n_epochs=3, rate=1e-4, n_pieces=1536, seed=1)
PUPIL = Pupil(
    n_pieces=10_000,
    width=96,
    n_layers=2,
    n_heads=N_HEADS,
    n_inner=192,
    limit=64,
    course=Course(n_epochs=6, rate=2e-3, n_pieces=4096, seed=2),
)
_REPEATS = 5
_SST2_WEIGHT = 0.3
_ALIKE = 0.6


class _Row(NamedTuple):
    text: str
    label: str
    weight: float
    source: int


def labels_of(folder: Path) -> Labels:
    """What is learned from; of two outputs, the first is for negative and the second for positive regard."""
    rows = list(_rows(folder))
    return Labels(
        [row.text for row in rows],
        torch.tensor([[float(row.label == name) for name in ("negative", "positive")] for row in rows]),
        torch.tensor([row.weight for row in rows]),
        torch.tensor([row.source for row in rows]),
    )


def _rows(folder: Path) -> Iterator[_Row]:
    tested = [_words(text) for split in ("dev", "test") for text, _ in read_regard(folder, split)]
    written = [row for row in read_regard_dialogues(folder) if not any(_are_alike(_words(row[0]), w) for w in tested)]
    kept = [*read_regard(folder, "train"), *written]
    for text, label in kept * _REPEATS:
        yield _Row(name_nobody(text), label, 1.0, 0)
    for text, label in read_sst2(folder, "train"):
        yield _Row(text, "positive" if label else "negative", _SST2_WEIGHT, 1)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", name_nobody(text).lower())) - {
        "they",
        "their",
        "was",
        "the",
        "a",
        "and",
        "of",
    }


def _are_alike(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two sentences share so many words that one was made from the other: 2020's rewrite those of 2019."""
    return len(first & second) >= _ALIKE * min(len(first), len(second))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds validation/regard_nlg-bias and validation/sst2")
    parser.add_argument("minilm", type=Path, help="folder of model.safetensors and tokenizer.json")
    parser.add_argument("--teacher", type=Path, help="where the teacher is kept; read if it is there")
    parser.add_argument("--out", type=Path, default=OUT, help="file to write")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pretrained, labels = read_pretrained(asked.minilm), labels_of(asked.data)
    teacher = keep_teacher(pretrained, labels, TEACHER, asked.teacher)
    unlabelled = read_unlabelled(asked.data, gather(asked.data))
    write(*teach(teacher, pretrained, labels, unlabelled, PUPIL), asked.out)


if __name__ == "__main__":
    main()
