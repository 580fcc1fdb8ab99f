"""A tiny transformer in NumPy: word pieces to a few logits, one text at a time, so that company changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_EPSILON = np.float32(1e-6)


@dataclass(frozen=True, slots=True)
class _Layer:
    mix: FloatArray
    mix_bias: FloatArray
    out: FloatArray
    out_bias: FloatArray
    up: FloatArray
    up_bias: FloatArray
    down: FloatArray
    down_bias: FloatArray
    first: FloatArray
    first_bias: FloatArray
    second: FloatArray
    second_bias: FloatArray


class TinyReader:
    """Reads word pieces: attention and feed-forward, each normalised afterwards, then mean and maximum over places.

    Args:
        weights: Arrays by name as `quantize` made them; a matrix has one scale per row under its name and `.scale`.
        n_heads: Attention heads of each layer.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[np.generic]], n_heads: int):
        self._pieces = np.asarray(weights["pieces.weight"], dtype=np.int8)
        self._piece_scales = np.asarray(weights["pieces.weight.scale"], dtype=np.float32)
        whole = {name: _whole(weights, name) for name in weights if not name.startswith("pieces.")}
        self._places, self._n_heads = whole["places.weight"], n_heads
        self._norm, self._norm_bias = whole["norm.weight"], whole["norm.bias"]
        self._head, self._head_bias = whole["head.weight"].T, whole["head.bias"]
        self._layers = list(_layers(whole))
        self.limit = len(self._places)

    def read(self, numbers: Sequence[int]) -> FloatArray:
        """Logits of one text.

        Args:
            numbers: Its word pieces, 1 to `limit` of them.

        Returns:
            Shape `(n_out,)`.
        """
        at = np.asarray(numbers)
        x = self._pieces[at] * self._piece_scales[at, None] + self._places[: len(at)]
        x = _normalise(x, self._norm, self._norm_bias)
        for layer in self._layers:
            x = _normalise(x + self._attend(x, layer), layer.first, layer.first_bias)
            inner = np.maximum(x @ layer.up + layer.up_bias, 0)
            x = _normalise(x + inner @ layer.down + layer.down_bias, layer.second, layer.second_bias)
        return np.asarray(np.concatenate([x.mean(axis=0), x.max(axis=0)]) @ self._head + self._head_bias)

    def _attend(self, x: FloatArray, layer: _Layer) -> FloatArray:
        n, width = x.shape
        mixed = (x @ layer.mix + layer.mix_bias).reshape(n, 3, self._n_heads, width // self._n_heads)
        query, key, value = mixed.transpose(1, 2, 0, 3)
        score = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(width // self._n_heads))
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        return np.asarray((weight @ value).transpose(1, 0, 2).reshape(n, width) @ layer.out + layer.out_bias)


def quantize(weights: Mapping[str, FloatArray]) -> dict[str, npt.NDArray[np.generic]]:
    """Rounds matrices to 8 bits with one scale per row, and vectors to 16-bit floats."""
    rounded: dict[str, npt.NDArray[np.generic]] = {}
    for name, array in weights.items():
        if array.ndim == 1:
            rounded[name] = array.astype(np.float16)
            continue
        scale = np.maximum(np.abs(array).max(axis=1) / 127, 1e-8).astype(np.float32)
        rounded[name] = np.rint(array / scale[:, None]).astype(np.int8)
        rounded[f"{name}.scale"] = scale
    return rounded


def _whole(weights: Mapping[str, npt.NDArray[np.generic]], name: str) -> FloatArray:
    array = np.asarray(weights[name], dtype=np.float32)
    scale = weights.get(f"{name}.scale")
    return array if scale is None else array * np.asarray(scale, dtype=np.float32)[:, None]


def _layers(whole: Mapping[str, FloatArray]) -> Iterator[_Layer]:
    number = 0
    while f"layers.{number}.mix.weight" in whole:
        root = f"layers.{number}"
        arrays = []
        for part in ("mix", "out", "up", "down"):
            arrays += [np.ascontiguousarray(whole[f"{root}.{part}.weight"].T), whole[f"{root}.{part}.bias"]]
        for part in ("first", "second"):
            arrays += [whole[f"{root}.{part}.weight"], whole[f"{root}.{part}.bias"]]
        yield _Layer(*arrays)
        number += 1


def _normalise(x: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON)
    return np.asarray(centred / spread * weight + bias)
