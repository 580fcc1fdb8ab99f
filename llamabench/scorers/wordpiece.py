"""Cuts text into word pieces of a fixed vocabulary."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORDS = re.compile(r"[^\W_]+|[^\w\s]|_")
_LONGEST_WORD = 60
_MOST_KNOWN = 200_000
_BROKEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffd]")
_MOST_BROKEN = 20
_DRAWN_OUT = re.compile(r"(.)\1{2,}")
_LEAST_LETTERS = 3
_ENOUGH_LETTERS = 24
_LEAST_LETTERS_A_PIECE = 1.8
"""Letters at random have 1.5 on average; of 11,486 texts that people wrote none with so many letters has below 2.2."""


class WordPiece:
    """Greedy longest-match cutting, lower case, accents dropped; what has no pieces is `[UNK]`.

    Args:
        pieces: The vocabulary in the order of its numbers; `##` marks pieces that go on a word. It contains `[UNK]`.

    Source:
        Wu et al. 2016, arXiv:1609.08144; the cutting of words as in BERT, Devlin et al. 2019.
    """

    def __init__(self, pieces: Sequence[str]):
        self._number = {piece: number for number, piece in enumerate(pieces)}
        self.unknown = self._number["[UNK]"]
        self._known: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str, limit: int) -> list[int]:
        """Numbers of the first `limit` pieces of a text."""
        numbers: list[int] = []
        for match in _WORDS.finditer(plain(text)):
            numbers.extend(self._pieces_of(match.group()))
            if len(numbers) >= limit:
                return numbers[:limit]
        return numbers

    def has_words(self, text: str, limit: int) -> bool:
        """Whether a text looks like words, however misspelt: its pieces are longer than those of random letters.

        Judged by words of three letters or more, drawn-out letters counted once, where they have 24 letters together;
        a word without pieces counts as if it were spelt out. The first `limit` pieces are looked at. Nor is it words
        where one character in twenty is a control character or stands for broken ones.
        """
        if len(_BROKEN.findall(text)) * _MOST_BROKEN > len(text):
            return False
        n_letters = n_pieces = 0
        for match in _WORDS.finditer(_DRAWN_OUT.sub(r"\1", plain(text))):
            word = match.group()
            if len(word) >= _LEAST_LETTERS and word.isalpha():
                pieces = self._pieces_of(word)
                n_letters += len(word)
                n_pieces += len(word) if pieces == (self.unknown,) else len(pieces)
                if n_pieces >= limit:
                    break
        return n_letters < _ENOUGH_LETTERS or n_letters >= _LEAST_LETTERS_A_PIECE * n_pieces

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        known = self._known.get(word)
        if known is None:
            known = self._cut(word)
            if len(self._known) < _MOST_KNOWN:
                self._known[word] = known
        return known

    def _cut(self, word: str) -> tuple[int, ...]:
        if len(word) > _LONGEST_WORD:
            return (self.unknown,)
        numbers: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            stops = range(len(word), start, -1)
            stop = next((stop for stop in stops if mark + word[start:stop] in self._number), None)
            if stop is None:
                return (self.unknown,)
            numbers.append(self._number[mark + word[start:stop]])
            start = stop
        return tuple(numbers)


def plain(text: str) -> str:
    """Text in lower case, with compatible characters made one and accents dropped."""
    if text.isascii():
        return text.lower()
    spelt = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in spelt if unicodedata.category(letter) not in ("Mn", "Cf")).lower()
