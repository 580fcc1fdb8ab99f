"""The roofline: how long one decode takes when each place reads its weights or computes, whichever takes longer. Pure.

For n tokens in one decode, with W bytes of weights in a place, P of their number, KV bytes of cache read for each
token, B the place's bandwidth and F its arithmetic, c its overhead per 32 layers: max(W / B, n 2 P / F) + n KV / B + c
n_layers / 32, summed over the places. Of experts, those are read that at least one of the n tokens goes through.

Not covered: the arithmetic of attention, which grows with the context and is a tenth of all at some 8,000 tokens;
recurrent states; the copies between two cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llamabench.hardware.rates import Link, Rates

_LAYERS = 32
_LEAST_STREAMED = 32
"""Tokens from which on weights on the host are sent to a card to be computed there (`GGML_OP_OFFLOAD_MIN_BATCH`)."""

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Part:
    """What of a model lies in one place.

    Attributes:
        dense_bytes: Weights that every token goes through.
        expert_bytes: Weights of experts.
        kv_bytes_per_token: Cache of one token.
        n_layers: Layers that compute there.
    """

    dense_bytes: int
    expert_bytes: int
    kv_bytes_per_token: int
    n_layers: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a model is the same everywhere.

    Attributes:
        flops_per_byte: Operations per token and byte of weights.
        expert_share: Experts that a token goes through, as a share of all; 1 without experts.
        n_embd: Width of what passes from layer to layer.
    """

    flops_per_byte: float
    expert_share: float
    n_embd: int


@dataclass(frozen=True, slots=True)
class Helper:
    """A card that computes what lies on the host: how fast it is, and how weights get there."""

    rates: Rates
    link: Link


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part is computed.

    Attributes:
        key: What measurements of it are remembered under.
        part: What lies there.
        rates: How fast it is.
        link: The network to it, None where there is none.
        helper: The card that large batches are sent to, None where the place computes all by itself.
    """

    key: str
    part: Part
    rates: Rates
    link: Link | None = None
    helper: Helper | None = None

    def is_helped(self, n_tokens: int) -> bool:
        """Whether a decode of so many tokens is sent to the helper."""
        return self.helper is not None and n_tokens >= _LEAST_STREAMED


class StepTime(NamedTuple):
    """Seconds of one decode: for weights, read and computed, for the cache, and for all else."""

    weights_s: float
    cache_s: float
    fixed_s: float

    @property
    def total_s(self) -> float:
        """All of them."""
        return self.weights_s + self.cache_s + self.fixed_s


def decode_time(places: Sequence[Place], traits: Traits, *, n_tokens: int, n_ctx: int) -> StepTime:
    """How long one decode takes.

    Args:
        places: Where the model lies.
        traits: The model.
        n_tokens: Tokens in the decode, at least 1.
        n_ctx: Tokens of cache that each of them reads for itself; 0 where they share it, as those of a prompt do.
    """
    times = [_time_at(place, traits, n_tokens, n_ctx) for place in places]
    return StepTime(*(sum(column) for column in zip(*times, strict=True)))


def _time_at(place: Place, traits: Traits, n_tokens: int, n_ctx: int) -> StepTime:
    part, rates, helper = place.part, place.rates, place.helper
    fixed = rates.overhead_s * part.n_layers / _LAYERS
    if place.link is not None:
        fixed += 2 * (place.link.latency_s + n_tokens * traits.n_embd * _FLOAT_BYTES / place.link.bandwidth)
    cache = n_tokens * n_ctx * part.kv_bytes_per_token / rates.bandwidth
    if helper is not None and place.is_helped(n_tokens):
        sent = _read_bytes(part, traits, n_tokens) / helper.link.bandwidth
        return StepTime(sent + _weights_time(part, traits, helper.rates, n_tokens), cache, fixed)
    return StepTime(_weights_time(part, traits, rates, n_tokens), cache, fixed)


def _weights_time(part: Part, traits: Traits, rates: Rates, n_tokens: int) -> float:
    active_bytes = part.dense_bytes + part.expert_bytes * traits.expert_share
    reading = _read_bytes(part, traits, n_tokens) / rates.bandwidth
    return max(reading, n_tokens * active_bytes * traits.flops_per_byte / rates.flops)


def _read_bytes(part: Part, traits: Traits, n_tokens: int) -> float:
    """Weights that are read: of experts, the share that one or more of the tokens are expected to go through."""
    return part.dense_bytes + part.expert_bytes * (1 - (1 - traits.expert_share) ** n_tokens)
