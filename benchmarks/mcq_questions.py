"""The questions that the multiple-choice measurements ask, ready for every side."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mcq_peers import Choices

from llamabench import selection
from llamabench.data.cache import DataFile, Dataset, find_dataset
from llamabench.data.locating import locate_editions
from llamabench.data.sources import SOURCES
from llamabench.engine.encoding import Encoder
from llamabench.engine.packing import TokenSequence, count_trie_tokens, shared_length
from llamabench.records import Item, ScoreRequest, TextPrompt
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

SUITE_NAMES = {"bbq": "bbq", "truthfulqa": "truthfulqa_mc"}
"""The suite of each data set."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Questions, ready for every side.

    Attributes:
        name: The data set, which the targets are called after.
        data: Which items these are, in words.
        suite: The suite that scores them.
        items: The items, with the choices to score.
        sequences: For each item, the tokens of its prompt with each choice.
    """

    name: str
    data: str
    suite: Suite
    items: list[Item]
    sequences: list[list[TokenSequence]]

    @property
    def n_items(self) -> int:
        """How many questions."""
        return len(self.items)

    @property
    def n_choices(self) -> int:
        """Choices of all items together."""
        return sum(map(len, self.sequences))

    @property
    def most_answers(self) -> int:
        """Choices of the item that has most."""
        return max(map(len, self.sequences))

    @property
    def all_sequences(self) -> list[TokenSequence]:
        """What is to be scored, item by item."""
        return list(itertools.chain(*self.sequences))

    @property
    def naive_tokens(self) -> int:
        """Tokens to decode when every choice is decoded with its prompt by itself."""
        return sum(len(sequence.decoded) for sequence in self.all_sequences)

    @property
    def trie_tokens(self) -> int:
        """Tokens to decode when everything shared is decoded once."""
        return count_trie_tokens(self.all_sequences)

    @property
    def peer_tokens(self) -> int:
        """Tokens to decode when what the choices of one item share is decoded once, as `llama-perplexity` does."""
        return sum(map(count_peer_tokens, self.sequences))

    @property
    def n_rows(self) -> int:
        """How many of those tokens need their logits: the ones before a token to score."""
        ends = {s.tokens[:end] for s in self.all_sequences for end in range(s.n_context, len(s.tokens))}
        return len(ends)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt with a choice."""
        return max(len(sequence.tokens) for sequence in self.all_sequences)


def find_data(name: str, folder: Path | None) -> Dataset:
    """The publishers' files of a data set in a folder; the starter items where there is no such folder."""
    if folder is None or not folder.is_dir():
        return find_dataset((name,), "starter")
    found = locate_editions(SOURCES[name], folder)[0]
    files = tuple(DataFile(name, found.edition.name, f.part.path, f.part.kind, f.path) for f in found.files)
    return Dataset((name,), found.edition.name, files, "", False, sum(f.n_rows for f in found.files))


def load_benchmark(name: str, dataset: Dataset, encoder: Encoder, *, n_items: int, is_sample: bool) -> Benchmark:
    """Reads questions: the first ones, as a full run meets them, or a sample, as `run --limit` takes it.

    Args:
        name: The data set, of `SUITE_NAMES`.
        dataset: Its files.
        encoder: The model's tokeniser.
        n_items: How many.
        is_sample: Whether to sample.
    """
    suite = SUITES[SUITE_NAMES[name]]
    items = _choose(suite, dataset, n_items, is_sample=is_sample)
    if name == "truthfulqa":
        items = [_keep_mc1(item) for item in items if item.facts["mc1"]]
    how = "sampled" if is_sample else "consecutive"
    return Benchmark(
        name=name,
        data=f"{len(items)} {how} items of {name}, edition {dataset.edition}",
        suite=suite,
        items=items,
        sequences=[_encode(encoder, item) for item in items],
    )


def _choose(suite: Suite, dataset: Dataset, n_items: int, *, is_sample: bool) -> list[Item]:
    items = suite.items(dataset, use_chat=False)
    if not is_sample:
        return list(itertools.islice(items, n_items))
    every = list(items)
    rng = np.random.default_rng([0, *suite.NAME.encode()])
    return [every[index] for index in selection.choose_items([item.group for item in every], n_items, rng)]


def count_shared(sequences: list[TokenSequence]) -> int:
    """Counts the leading tokens that all choices of an item share."""
    return min(shared_length(sequences[0].tokens, sequence.tokens) for sequence in sequences)


def count_peer_tokens(sequences: list[TokenSequence]) -> int:
    """Tokens that `llama-perplexity` decodes for an item: what all choices share, and the rest of each."""
    n_shared = count_shared(sequences)
    return n_shared + sum(len(sequence.tokens) - n_shared for sequence in sequences)


def request_of(item: Item) -> ScoreRequest:
    """The one request that an item of these suites has."""
    (request,) = item.requests
    assert isinstance(request, ScoreRequest)
    return request


def prompt_of(item: Item) -> str:
    """What stands before the choices."""
    prompt = request_of(item).prompt
    assert isinstance(prompt, TextPrompt)
    return prompt.text


def _encode(encoder: Encoder, item: Item) -> list[TokenSequence]:
    request = request_of(item)
    return [encoder.encode_pair(request.prompt, text).sequence for text in request.continuations]


def _keep_mc1(item: Item) -> Item:
    """An item of TruthfulQA with its MC1 choices alone."""
    request, labels = request_of(item), _labels(item, "mc1")
    kept = [number for number, label in enumerate(labels) if label is not None]
    facts = {**item.facts, "mc0": None, "mc1": [labels[number] for number in kept], "mc2": None}
    request = replace(request, continuations=tuple(request.continuations[number] for number in kept))
    return replace(item, requests=(request,), facts=facts)


def _labels(item: Item, name: str) -> Any:
    return item.facts[name]


def as_choices(item: Item) -> Choices:
    """An item as llama.cpp's tools take it."""
    answers = tuple(text.removeprefix(" ") for text in request_of(item).continuations)
    if "mc1" in item.facts:
        is_right = tuple(map(bool, _labels(item, "mc1")))
    else:
        is_right = tuple(number == item.facts["label"] for number in range(len(answers)))
    return Choices(prompt_of(item), answers, is_right)
