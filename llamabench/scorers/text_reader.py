"""A vocabulary and a network in one file: texts to logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llamabench.scorers.tiny_reader import FloatArray, TinyReader
from llamabench.scorers.wordpiece import WordPiece

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class TextReader:
    """Reads texts with the weights of one file.

    Args:
        path: What `benchmarks/scorers/distilling.py` wrote.
        n_heads: Attention heads of each layer.

    Attributes:
        constants: Single numbers that lie beside the weights, by name.
    """

    def __init__(self, path: Path, n_heads: int):
        with np.load(path) as weights:
            arrays = {name: weights[name] for name in weights.files}
        self._cutter = WordPiece(bytes(arrays.pop("vocabulary")).decode().split("\n"))
        self.constants = {name: float(arrays.pop(name)) for name in list(arrays) if arrays[name].ndim == 0}
        self._reader = TinyReader(arrays, n_heads)

    def read_first(self, text: str) -> FloatArray:
        """Logits of the beginning of a text, as much as the network reads at once; shape `(n_out,)`."""
        with _one_thread():
            return self._reader.read(self._cutter.encode(text, self._reader.limit) or [self._cutter.unknown])

    def has_words(self, text: str, most_pieces: int) -> bool:
        """Whether the beginning of a text looks like words; see `WordPiece.has_words`."""
        return self._cutter.has_words(text, most_pieces)

    def read_windows(self, text: str, most_pieces: int) -> FloatArray:
        """Logits of parts that overlap by half, each as long as the network reads, up to `most_pieces`.

        Returns:
            Shape `(n_windows, n_out)`.
        """
        numbers = self._cutter.encode(text, most_pieces) or [self._cutter.unknown]
        with _one_thread():
            return np.array([self._reader.read(part) for part in windows_of(numbers, self._reader.limit)])


def _one_thread() -> AbstractContextManager[object]:
    """Keeps NumPy's matrix products to one thread.

    These are so small that threads waiting for each other take ten times as long, from the model that is running.
    """
    limit: AbstractContextManager[object] = _pools().limit(limits=1, user_api="blas")
    return limit


@cache
def _pools() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def windows_of(numbers: list[int], size: int) -> Iterator[list[int]]:
    """Parts of `size`, each beginning in the middle of the one before; the last is a whole one too."""
    last = max(0, len(numbers) - size)
    for start in [*range(0, last, size // 2), last]:
        yield numbers[start : start + size]
