"""Phrases with slots, and how they are filled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

FOLDER = Path(__file__).parent

_SLOT = re.compile(r"\{(\^?)([a-z_]+)(#\d)?\}")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeioAEIO]|ug|un)")
_PLAIN_SLOT = re.compile(r"\{(\^?[a-z_]+)\}")

T = TypeVar("T")
Lists = Mapping[str, Sequence[str]]


def read_lists(*names: str) -> dict[str, list[str]]:
    """The lists of phrase files: `[name]` begins one, each line after it is a phrase, which may be empty."""
    lists: dict[str, list[str]] = {}
    for name in names:
        phrases: list[str] = []
        for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("[") and line.endswith("]"):
                phrases = lists.setdefault(line[1:-1], [])
            elif not line.startswith("#"):
                phrases.append(line)
    return lists


def read_rows(name: str) -> list[tuple[str, ...]]:
    """The rows of a file whose fields `|` divides."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [tuple(field.strip() for field in line.split("|")) for line in lines if line and line[0] != "#"]


class Grammar:
    """Fills slots from lists, by chance.

    Args:
        lists: What may stand for each `{name}`.
        rng: Source of chance.
    """

    def __init__(self, lists: Lists, rng: np.random.Generator):
        self._lists, self._rng = lists, rng

    def say(self, name: str, **bound: str) -> str:
        """A phrase of a list, its slots filled; `bound` names what some of them stand for."""
        return self.fill(self.pick(self._lists[name]), **bound)

    def fill(self, text: str, **bound: str) -> str:
        """A text with its slots filled; `{name#1}` stands for the same wherever it stands."""
        kept = dict(bound)
        return _ARTICLE.sub(r"\1n ", _SLOT.sub(lambda slot: self._choose(slot, kept), text))

    def fill_row(self, row: Sequence[str]) -> list[str]:
        """The fields of a row with their slots filled; `{name}` stands for the same in all of them."""
        marked = _PLAIN_SLOT.sub(r"{\1#0}", "\n".join(row))
        return self.fill(marked).split("\n")

    def pick(self, choices: Sequence[T]) -> T:
        """One of several."""
        return choices[int(self._rng.integers(len(choices)))]

    def happens(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self._rng.random() < probability)

    def _choose(self, slot: re.Match[str], kept: dict[str, str]) -> str:
        capital, name, mark = slot.groups()
        key = name + (mark or "")
        if key in kept:
            found = kept[key]
        else:
            found = self.fill(self.pick(self._lists[name]), **kept)
            if mark:
                kept[key] = found
        return found[:1].upper() + found[1:] if capital else found
