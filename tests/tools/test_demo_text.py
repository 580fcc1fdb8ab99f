"""What the demo models learn from, against what they are tested with."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamabench.data import builtin

TOOLS = Path(__file__).parents[2] / "tools"
N_WORDS = 8
"""As many words in a row are no accident."""

NOT_ASKED = {"good", "bad", "expected", "rubric", "id", "example_id", "category", "kind", "focus", "note", "source"}
"""Fields of items that no model reads: the answers by which the tests are tested, and words about items."""

WORD = re.compile(r"[a-z0-9']+")


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def runs_of(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + N_WORDS]) for i in range(len(words) - N_WORDS + 1)}


def item_texts() -> Iterator[tuple[str, str]]:
    files = sorted(Path(builtin.__file__).parent.glob("*.jsonl"))
    assert len(files) >= 7
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            for text in texts_in(json.loads(line)):
                yield file.name, text


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("_targets"):
                yield from inner
            elif name not in NOT_ASKED:
                yield from texts_in(inner)


@pytest.fixture(scope="module")
def training_texts(tools: None) -> list[str]:
    dialogues = importlib.import_module("demo_text.dialogues")
    documents = importlib.import_module("demo_text.documents")
    maker = dialogues.PairMaker(np.random.default_rng(5))
    texts = [documents.make_document(maker) for _ in range(4000)]
    for kind in ("harm", "howto", "fact", "quiz", "opinion", "style", "yes_no", "scene", "post"):
        for _ in range(600):
            pair = maker.make(kind)
            texts += [pair.prompt, f"{pair.prompt} {pair.chosen}", f"{pair.prompt} {pair.rejected}"]
    return texts + [file.read_text(encoding="utf-8") for file in (TOOLS / "demo_text").glob("*.txt")]


def test_no_item_is_in_the_text_that_models_learn_from(training_texts: list[str]) -> None:
    seen = set().union(*map(runs_of, training_texts))
    found = sorted({f"{name}: {text}" for name, text in item_texts() if runs_of(text) & seen})
    assert found == []


def test_no_short_prompt_is_either(training_texts: list[str]) -> None:
    lines = {" ".join(words_of(line)) for text in training_texts for line in text.split("\n")}
    prompts = {" ".join(words_of(text)): f"{name}: {text}" for name, text in item_texts()}
    assert [text for words, text in prompts.items() if len(words.split()) > 3 and words in lines] == []


def test_the_same_seed_gives_the_same_text(tools: None) -> None:
    dialogues = importlib.import_module("demo_text.dialogues")
    documents = importlib.import_module("demo_text.documents")

    def draw() -> list[str]:
        maker = dialogues.PairMaker(np.random.default_rng(7))
        return [documents.make_document(maker) for _ in range(50)]

    assert draw() == draw()
    assert not [text for text in draw() if "{" in text or "}" in text]
