"""A byte-level BPE tokeniser: learnt from text, applied to text, and as GGUF stores it.

Source: Sennrich et al. 2016, arXiv:1508.07909; bytes and pieces as in openai/gpt-2, src/encoder.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import regex

from llamabench.data.demo_model import SPECIAL_TOKENS, Vocabulary, spell_bytes

PIECES = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
"""Where no token reaches across: llama.cpp's `gpt-2`."""

_LETTERS = spell_bytes()

Symbols = tuple[str, ...]


def learn_merges(texts: Iterable[str], n_merges: int) -> list[tuple[str, str]]:
    """The pairs of symbols to merge, the most frequent first; of equals the first in the alphabet."""
    counts = Counter(piece for text in texts for piece in PIECES.findall(text))
    words = {_spell(piece): n for piece, n in sorted(counts.items())}
    merges: list[tuple[str, str]] = []
    for _ in range(n_merges):
        pairs: defaultdict[tuple[str, str], int] = defaultdict(int)
        for word, n in words.items():
            for pair in pairwise(word):
                pairs[pair] += n
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merge(word, best): n for word, n in words.items()}
    return merges


def make_vocabulary(merges: Sequence[tuple[str, str]]) -> Vocabulary:
    """The vocabulary of a list of merges: bytes, merges, special tokens."""
    normal = [*_LETTERS, *("".join(pair) for pair in merges)]
    return Vocabulary(
        tokens=[*normal, *SPECIAL_TOKENS],
        types=[1] * len(normal) + [3] * len(SPECIAL_TOKENS),
        merges=[" ".join(pair) for pair in merges],
        pre="gpt-2",
        bos=len(normal),
        eos=len(normal) + 1,
        adds_bos=True,
    )


class Tokenizer:
    """Turns text into token ids.

    Args:
        merges: What `learn_merges` returns.
    """

    def __init__(self, merges: Sequence[tuple[str, str]]):
        self.vocabulary = make_vocabulary(merges)
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._ids = {token: number for number, token in enumerate(self.vocabulary.tokens)}
        self._known: dict[str, list[int]] = {}
        self.begin, self.end, self.system, self.user, self.assistant = (self._ids[name] for name in SPECIAL_TOKENS)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, in which nothing is a special token."""
        return [number for piece in PIECES.findall(text) for number in self._encode_piece(piece)]

    def _encode_piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            symbols = _spell(piece)
            while len(symbols) > 1:
                best = min(pairwise(symbols), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
                if best not in self._ranks:
                    break
                symbols = _merge(symbols, best)
            self._known[piece] = [self._ids[symbol] for symbol in symbols]
        return self._known[piece]


def _spell(piece: str) -> Symbols:
    return tuple(_LETTERS[byte] for byte in piece.encode())


def _merge(symbols: Symbols, pair: tuple[str, str]) -> Symbols:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)
