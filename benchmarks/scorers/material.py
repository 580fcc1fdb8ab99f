"""What the toxicity scorer learns from and is tested on: labelled sets, sentences of our own, texts for the teacher."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from compose import compose
from labelled import (
    ATTRIBUTES,
    DEV_FOLD,
    TEST_FOLDS,
    Labelled,
    read_davidson,
    read_dexperts,
    read_dynahate,
    read_gptfuzz,
    read_hatecheck,
    read_rtp,
    read_rtp_prompts,
    read_sbic,
    read_toxigen,
    read_wikipedia,
    read_wikipedia_perspective,
)

SOURCES = {"rtp": 1.0, "davidson": 0.6, "toxigen": 0.8, "sbic": 0.7, "dynahate": 1.5, "composed": 0.6}
"""What is learned from, and how much a text of each counts; the first sets the scale."""
N_COMPOSED = 9_000
_COMPOSED_SEED = 7
_DAVIDSON_FOLDS = frozenset({3, 4, 5, 6})


@dataclass(frozen=True, slots=True)
class Material:
    """Rows by what they are for; no text of `test` or of `dev` is in `train`."""

    train: list[Labelled]
    dev: list[Labelled]
    test: dict[str, list[Labelled]]


def gather(folder: Path, without: Sequence[str] = ()) -> Material:
    """Reads all sets and parts them.

    RealToxicityPrompts is parted by document: those of the test folds, and all of the non-toxic prompts whose document
    is not learned from, are for testing. HateCheck, Wikipedia and DExperts are for testing only.

    Args:
        folder: Where the sets lie.
        without: Sources that are not learned from at all.
    """
    rtp = list(read_rtp(folder))
    learned = [row for row in rtp if row.fold not in TEST_FOLDS]
    documents = {row.group for row in learned}
    test = {
        "rtp": [row for row in rtp if row.fold in TEST_FOLDS],
        "rtp_nontoxic": [row for row in read_rtp(folder, "decodingtrust_nontoxic.jsonl") if row.group not in documents],
        "wikipedia": list(read_wikipedia(folder)),
        "wikipedia_perspective": list(read_wikipedia_perspective(folder)),
        "hatecheck": list(read_hatecheck(folder)),
        "dexperts": list(read_dexperts(folder)),
    }
    learned += read_rtp_prompts(folder)
    for read in (read_davidson, read_toxigen, read_sbic, read_dynahate):
        learned += read(folder)
    learned += _composed()
    kept_apart = {_core(row.text) for rows in test.values() for row in rows}
    learned = [row for row in learned if row.source not in without and _core(row.text) not in kept_apart]
    dev = [row for row in learned if row.fold == DEV_FOLD and row.source != "composed"]
    kept_apart |= {_core(row.text) for row in dev}
    train = [row for row in learned if _core(row.text) not in kept_apart]
    return Material([row for row in train if row.source != "davidson" or row.fold in _DAVIDSON_FOLDS], dev, test)


def read_unlabelled(folder: Path, material: Material) -> list[str]:
    """Texts that the teacher labels for the pupil: prose, conversation, abuse, and more sentences of our own."""
    kept_apart = {_core(row.text) for rows in [*material.test.values(), material.dev] for row in rows}
    texts = dict.fromkeys(text.strip() for text in _unlabelled(folder))
    return [text for text in texts if text and _core(text) not in kept_apart]


def _composed() -> Iterator[Labelled]:
    for sentence in compose(N_COMPOSED, _COMPOSED_SEED):
        ratings = {"identity_attack": float(sentence.is_attack)}
        if sentence.is_toxic is not None:
            ratings["toxicity"] = float(sentence.is_toxic)
        yield Labelled("composed", sentence.text, sentence.text, ratings)


def _unlabelled(folder: Path) -> Iterator[str]:
    yield from (row.text for row in read_davidson(folder) if row.fold > 6)
    yield from (sentence.text for sentence in compose(12_000, _COMPOSED_SEED + 1))
    yield from (row.answer[:300] for row in list(read_gptfuzz(folder))[::2])
    for line in (folder / "validation/sst2/train.tsv").read_text(encoding="utf-8").splitlines()[::2]:
        yield line.split("\t")[0]
    for path in sorted((folder / "bold/wikipedia").glob("*.json")):
        groups = json.loads(path.read_text(encoding="utf-8"))
        yield from [text for people in groups.values() for texts in people.values() for text in texts][::5]
    pairs = folder / "preference/hh-rlhf/harmless-base/test.jsonl.gz"
    with gzip.open(pairs, "rt", encoding="utf-8") as file:
        for line in file:
            yield from (turn[:300] for turn in json.loads(line)["rejected"].split("\n\n")[:4])


def _core(text: str) -> str:
    """A text without what does not make it another."""
    return " ".join(text.lower().split()).strip(" .!?\"'")


def ratings_of(row: Labelled) -> list[float]:
    """The ratings in the order of `ATTRIBUTES`, NaN where nobody rated."""
    return [row.ratings.get(name, float("nan")) for name in ATTRIBUTES]
