"""Drawing tokens from logits: pure arithmetic, no model.

Filters look at the distribution as the model gives it and temperature comes last, in the order of llama.cpp's default
chain: top-k, top-p of what top-k kept, min-p, temperature. Equal weights at a border: the lower token id stays.

Four uniform numbers are taken for each token, used or not, and tokens stand in the order of their ids along the
interval, so the same seed gives the same text wherever the model gives the same numbers. With the first three, a wide
top-p is drawn from by guessing: a token from the whole distribution, again where it is not among the kept ones, which
one sum shows. Where that fails, the kept ones are found, hardly ever by sorting a vocabulary in full: a bound that
provably holds them all comes first, then a border guessed from a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llamabench.records import Sampling

Logits = npt.NDArray[np.float32]
_Ids = npt.NDArray[np.intp]

_BLOCK = 128
"""Tokens whose weights are added up before a draw looks at single ones."""

_SPARSE_SHARE = 1 / 8
"""From which share of the vocabulary on a mask is faster than a list of ids."""

_SAMPLE, _MARGINS = 2048, (50, 250, 2 * 2048)
"""Weights that a border is guessed from, and how many of them it may be off: mostly, nearly always, always."""


_N_GUESSES, _LEAST_GUESSED = 3, 0.5
"""Guesses for a token, and the least top-p that is worth them."""


class _Kept(NamedTuple):
    """Tokens that may be drawn: `weights` belongs to `ids`, or to all tokens (padded) when there are none."""

    ids: _Ids | None
    weights: Logits


class Sampler:
    """Draws tokens from logits, one row after the other: threads would only wait for each other here.

    Args:
        n_vocab: Tokens in the vocabulary.
    """

    def __init__(self, n_vocab: int):
        size = -(-n_vocab // _BLOCK) * _BLOCK
        self._n_vocab = n_vocab
        self._weights = np.zeros(size, np.float32)
        self._masked = np.zeros(size, np.float32)
        self._warmed = np.zeros(size, np.float32)
        self._mask = np.zeros(n_vocab, np.bool_)

    def draw(self, logits: Logits, sampling: Sampling, rng: np.random.Generator) -> int | None:
        """Draws a token.

        Args:
            logits: A row of logits, (n_vocab,); it is left as it is.
            sampling: How to draw.
            rng: Gives four numbers; none where `temperature` is 0.

        Returns:
            The token; None where the row holds a NaN, or its largest logit is infinite.
        """
        likeliest = int(logits.argmax())  # the place of a NaN, where there is one
        peak = logits[likeliest]
        if not math.isfinite(peak):
            return None
        if sampling.temperature <= 0:
            return likeliest
        *guesses, last = rng.random(_N_GUESSES + 1).tolist()
        token = self._guess(logits, sampling, peak, guesses)
        if token is not None:
            return token
        kept = self._keep(logits, sampling, peak)
        if kept.ids is None:
            return _pick_dense(kept.weights, _sum_blocks(kept.weights), last)
        return int(kept.ids[_pick(kept.weights.cumsum(dtype=np.float64), last)])

    def _guess(self, logits: Logits, sampling: Sampling, peak: np.float32, uniforms: Sequence[float]) -> int | None:
        """A token from the whole distribution that top-p keeps; None where none of the numbers gives one."""
        if sampling.top_k > 0 or sampling.min_p > 0 or sampling.top_p < _LEAST_GUESSED:
            return None
        warmed = self._warm(logits, sampling.temperature, peak, out=self._warmed)
        ends = _sum_blocks(warmed)
        if sampling.top_p >= 1:
            return _pick_dense(warmed, ends, uniforms[0])
        weights, total = warmed, float(ends[-1])
        if sampling.temperature != 1:
            weights = self._warm(logits, 1.0, peak, out=self._weights)
            total = float(weights.sum(dtype=np.float64))
        guesses = (_pick_dense(warmed, ends, uniform) for uniform in uniforms)
        return next((guess for guess in guesses if self._is_kept(guess, weights, sampling.top_p * total)), None)

    def _is_kept(self, token: int, weights: Logits, mass: float) -> bool:
        """Whether those that come before a token by weight, then by id, weigh less than `mass`."""
        weight = weights[token]
        np.multiply(weights, weights > weight, out=self._masked)
        ties = np.count_nonzero(weights[:token] == weight)
        before = float(self._masked.sum(dtype=np.float64)) + ties * float(weight)
        return bool(before < mass or before == 0)

    def probabilities(self, logits: Logits, sampling: Sampling) -> npt.NDArray[np.float64]:
        """What `draw` draws from, (n_vocab,), in sum 1; for a `temperature` above 0 and logits that are numbers."""
        kept = self._keep(logits, sampling, logits.max())
        shares = np.zeros(self._n_vocab, np.float64)
        shares[slice(None) if kept.ids is None else kept.ids] = kept.weights[: self._n_vocab]
        shares /= shares.sum()
        return shares

    def _keep(self, logits: Logits, sampling: Sampling, peak: np.float32) -> _Kept:
        """The tokens that the filters leave, with their weights; `peak` is the largest logit."""
        if 0 < sampling.top_k < self._n_vocab:
            ids = _top_k(logits, sampling.top_k)
            weights = np.exp(logits[ids] - peak)
            return self._cut(ids, weights, logits, sampling, total=float(weights.sum(dtype=np.float64)))
        if sampling.top_p >= 1 and sampling.min_p <= 0:
            return _Kept(None, self._warm(logits, sampling.temperature, peak, out=self._warmed))
        weights = self._warm(logits, 1.0, peak, out=self._weights)[: self._n_vocab]
        total = float(self._weights.sum(dtype=np.float64))
        # tokens below the first bound weigh less than 1 - top_p together: the kept ones weigh more without them
        bound = max((1 - sampling.top_p) * total / self._n_vocab * (1 - 1e-6), min(sampling.min_p, 1.0))
        mask = np.greater_equal(weights, np.float32(bound), out=self._mask)
        if np.count_nonzero(mask) <= self._n_vocab * _SPARSE_SHARE:
            ids = np.flatnonzero(mask)
            return self._cut(ids, weights[ids], logits, sampling, total=total)
        if sampling.top_p < 1:
            kept = self._nucleus(weights, sampling.top_p, total)
            if sampling.min_p > 0:
                kept *= self._weights >= np.float32(sampling.min_p)
        else:
            kept = self._masked
            np.multiply(weights, mask, out=kept[: self._n_vocab])
        if sampling.temperature != 1:
            np.multiply(self._warm(logits, sampling.temperature, peak, out=self._warmed), kept > 0, out=kept)
        return _Kept(None, kept)

    def _warm(self, logits: Logits, temperature: float, peak: np.float32, *, out: Logits) -> Logits:
        """Weights of all tokens, padded by zeros; the largest is 1."""
        weights = out[: self._n_vocab]
        np.subtract(logits, peak, out=weights)
        if temperature != 1:
            with np.errstate(over="ignore"):
                np.multiply(weights, np.float32(min(1 / temperature, _LARGEST)), out=weights)
        np.exp(weights, out=weights)
        return out

    def _cut(self, ids: _Ids, weights: Logits, logits: Logits, sampling: Sampling, *, total: float) -> _Kept:
        """Top-p, min-p and temperature on a few candidates."""
        if sampling.top_p < 1:
            stays = _heaviest(weights, sampling.top_p * total)
            ids, weights = ids[stays], weights[stays]
        if sampling.min_p > 0:
            stays = weights >= min(np.float32(sampling.min_p), weights.max())
            ids, weights = ids[stays], weights[stays]
        if sampling.temperature != 1:
            shifted = logits[ids] - logits[ids].max()
            with np.errstate(over="ignore"):
                weights = np.exp(shifted * np.float32(min(1 / sampling.temperature, _LARGEST)))
        return _Kept(ids, weights)

    def _nucleus(self, weights: Logits, share: float, total: float) -> Logits:
        """The heaviest tokens that hold a share of the total weight, all others zeroed, padded.

        The border is guessed from a sample. Only tokens near it are sorted, and what those above it weigh shows whether
        the guess held.
        """
        sample = np.sort(weights[:: self._n_vocab // _SAMPLE + 1])[::-1]
        ends = sample.cumsum(dtype=np.float64)
        guess = int(ends.searchsorted(share * ends[-1]))
        kept, mass = self._masked, share * total
        for margin in _MARGINS:
            low = sample[guess + margin] if guess + margin < len(sample) else np.float32(0)
            high = sample[guess - margin] if guess >= margin else np.float32(np.inf)
            mask = np.greater(weights, high, out=self._mask)
            np.multiply(weights, mask, out=kept[: self._n_vocab])
            above = float(kept.sum(dtype=np.float64))
            near = np.flatnonzero(np.greater_equal(weights, low, out=self._mask) & (weights <= high))
            if above < mass <= above + float(weights[near].sum(dtype=np.float64)):
                break
        near = near[_heaviest(weights[near], mass - above)]
        kept[near] = weights[near]
        return kept


_LARGEST = float(np.finfo(np.float32).max)


def _pick(ends: npt.NDArray[np.float64], uniform: float) -> int:
    """The first whose running sum `ends` passes a share of the whole, 0 to 1; never one of no weight."""
    place = int(ends.searchsorted(uniform * ends[-1], side="right"))
    return place if place < len(ends) else int(ends.searchsorted(ends[-1]))


def _sum_blocks(weights: Logits) -> npt.NDArray[np.float64]:
    """Running sums over the blocks of padded weights."""
    ends: npt.NDArray[np.float64] = weights.reshape(-1, _BLOCK).sum(axis=1, dtype=np.float64).cumsum()
    return ends


def _pick_dense(weights: Logits, ends: npt.NDArray[np.float64], uniform: float) -> int:
    """As `_pick`, for padded weights: the block first, then the token in it."""
    block = _pick(ends, uniform)
    before = float(ends[block - 1]) if block else 0.0
    within = weights[block * _BLOCK : (block + 1) * _BLOCK].cumsum(dtype=np.float64)
    rest = (uniform * float(ends[-1]) - before) / float(within[-1])
    return block * _BLOCK + _pick(within, max(rest, 0.0))  # rounding can put it just outside


def _top_k(logits: Logits, k: int) -> _Ids:
    """The `k` largest, ids ascending."""
    n_blocks = len(logits) // 64
    candidates = None
    if k < n_blocks:
        # k blocks hold one at least as large as the k-th largest maximum, so no smaller one is among the k largest
        maxima = logits[: n_blocks * 64].reshape(n_blocks, 64).max(axis=1)
        candidates = np.flatnonzero(logits >= np.partition(maxima, n_blocks - k)[n_blocks - k])
    values = logits if candidates is None else logits[candidates]
    places = _largest(values, k, np.partition(values, len(values) - k)[len(values) - k])
    return places if candidates is None else candidates[places]


def _heaviest(weights: Logits, mass: float) -> _Ids:
    """The fewest, heaviest first, that weigh `mass` together, at least one; places ascending."""
    descending = np.sort(weights)[::-1]
    n = min(int(descending.cumsum(dtype=np.float64).searchsorted(mass)), len(weights) - 1) + 1
    return _largest(weights, n, descending[n - 1])


def _largest(values: Logits, n: int, smallest: np.float32) -> _Ids:
    """Places of the `n` largest, ascending; of those equal to the `smallest` of them the first."""
    stays = values > smallest
    ties = np.flatnonzero(values == smallest)
    stays[ties[: n - np.count_nonzero(stays)]] = True
    return np.flatnonzero(stays)


def log_probability(logits: Logits, token: int) -> float:
    """Natural-log probability of a token in the distribution as the model gives it, (n_vocab,) logits."""
    peak = logits.max()
    return float(np.float64(logits[token] - peak) - np.log(np.exp(logits - peak).sum(dtype=np.float64)))
