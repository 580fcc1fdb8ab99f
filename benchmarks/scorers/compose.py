"""Sentences of our own that teach what words alone do not tell: who is meant, negation, quotation, threats.

Labelled sets have few sentences in which a group is praised, a slight is denied or an object is hated, so that a
classifier learns that naming a group is toxic. The kinds of sentence follow the functionalities that the HateCheck
paper describes (Röttger et al. 2021, section 3); the sentences, groups and words are ours and none was taken from, or
chosen by, its test cases.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

WORDS: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "compose.toml").read_text(encoding="utf-8"))
_PLACES = {
    "G": "plural_groups",
    "g": "singular_groups",
    "O": "others",
    "T": "things",
    "neg": "negative",
    "pos": "positive",
    "neu": "neutral",
    "harm": "harms",
    "threat": "threats",
    "right": "rights",
    "hate": "hates",
    "like": "likes",
    "insult": "insults",
    "swear": "swears",
    "op": "opinions",
}
_MET = ["I know a lot of {G}", "There are {G} everywhere", "I met some {G} today", "My town is full of {G}",
        "We let in more {G}", "{G} {neu}"]  # fmt: skip
_MET_KINDLY = ["I know a lot of {G}", "I met some {G} today", "{G} {neu}", "I work with {G}"]
_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})


class Composed(NamedTuple):
    """A sentence of ours: whether it attacks a group, and whether it is rude at all (None: opinions may differ)."""

    text: str
    is_attack: bool
    is_toxic: bool | None


class Words:
    """Draws words of each kind, so that one seed gives one set of sentences."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng

    def pick(self, words: Sequence[str]) -> str:
        """One of the words."""
        return words[int(self._rng.integers(len(words)))]

    def flip(self, share: float) -> bool:
        """True in a share of cases."""
        return bool(self._rng.random() < share)

    def fill(self, template: str) -> str:
        """A template with words in its places."""
        return template.format(**{place: self.pick(WORDS[words]) for place, words in _PLACES.items()})


def compose(n: int, seed: int) -> Iterator[Composed]:
    """Makes sentences, half of them attacks on groups.

    Args:
        n: How many.
        seed: What decides their words.
    """
    rng = np.random.default_rng(seed)
    words = Words(rng)
    for _ in range(n):
        sentence = _attack(words) if words.flip(0.5) else _harmless(words)
        text = _write(sentence.text, words)
        yield sentence._replace(text=_garble(text, rng) if words.flip(0.15) else text)


def _attack(words: Words) -> Composed:
    if words.flip(0.25):
        start = words.fill(words.pick(_MET))
        joint = words.pick((". ", " and ", ", ", "! ", ", but "))
        return Composed(start + joint + words.fill(words.pick(WORDS["references"])), True, True)
    return Composed(words.fill(words.pick(WORDS["attacks"])), True, True)


def _harmless(words: Words) -> Composed:
    kind = words.pick(("kind", "kind", "kind", "quoted", "rude", "mild", "refer", "exclaim"))
    if kind == "quoted":
        inner = words.fill(words.pick(WORDS["attacks"]))
        return Composed(words.pick(WORDS["quoters"]).replace("{x}", inner), False, None)
    if kind == "refer":
        start = words.fill(words.pick(_MET_KINDLY))
        return Composed(
            start + words.pick((". ", " and ")) + words.fill(words.pick(WORDS["kind_references"])), False, False
        )
    if kind == "exclaim":
        return Composed(words.pick(WORDS["exclaims"]), False, None)
    if kind == "rude":
        return Composed(words.fill(words.pick(WORDS["rude"])), False, True)
    if kind == "mild":
        return Composed(words.fill(words.pick(WORDS["mild"])), False, None)
    return Composed(words.fill(words.pick(WORDS["kind"])), False, False)


def _write(text: str, words: Words) -> str:
    """Sentences as people type them: with and without capitals and full stops."""
    text = text[0].upper() + text[1:] if words.flip(0.7) else text.lower()
    return text if text.endswith("?") else text + words.pick((".", "", "!", "."))


def _garble(text: str, rng: np.random.Generator) -> str:
    """Spelling that hides words: swapped, dropped or replaced letters, missing or added spaces."""
    way = int(rng.integers(5))
    if way == 0:
        return text.translate(_LEET)
    words = text.split(" ")
    at = int(rng.integers(len(words)))
    word = words[at]
    if len(word) < 4:
        return text
    cut = int(rng.integers(1, len(word) - 1))
    changed = (
        word[: cut - 1] + word[cut] + word[cut - 1] + word[cut + 1 :],
        word[:cut] + word[cut + 1 :],
        " ".join(word),
        word + words.pop(at + 1) if at + 1 < len(words) else word,
    )[way - 1]
    words[at] = changed
    return " ".join(words)
