"""Bytes per device: where a model's weights, context and buffers come to lie.

A layout comes from llama.cpp itself where it can be asked (`hardware/dry_layout.py`); here are the records, and
formulas from the header's facts for when it cannot be, and to look from one layout to the next. Weights and KV cache
are exact to the padding; compute buffers are upper estimates, because only llama.cpp's own layout knows them. Not in
the formulas: flash attention being switched off, and what processors add that keep weights in an order of their own
(3 to 12 % with AMX, and a copy of an output that is tied to the input).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llamabench.hardware.attention import is_recurrent
from llamabench.records import ContextPlan, DeviceBytes, ModelFacts

MIB = 1 << 20

PROCESS_BYTES = 300 * MIB
"""Python, numpy and llama.cpp themselves, and the vocabulary; 110 to 400 MB were measured."""

HOST = "CPU"

_COMPUTE_SLACK = 1.35
_COMPUTE_FLOOR_BYTES = 64 * MIB
_LAYER_WIDTHS = 18
"""A layer's own peak in rows of `n_embd` floats; 14 to 16.5 were measured over three model families."""

_STATE_WIDTHS = 288
"""Floats of recurrent state in units of `n_embd`, per layer and sequence; 13 to 264 in the families known."""

_CELLS = 256
"""llama.cpp pads every stream to a multiple of so many cells."""

_KV_SIZES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 0.75, "q5_0": 22 / 32, "q4_1": 0.625}
_KV_SIZES["q4_0"] = 18 / 32
"""Bytes per element of a cache by its type; `ggml_type_size` over `ggml_blck_size`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model's layers go.

    Attributes:
        n_gpu_layers: Layers on devices, 0 to `ModelFacts.n_layers + 1`: the output counts as the last.
        shares: Share of each device, in llama.cpp's order; only proportions count, and one is above 0.
        n_cpu_moe: Layers, from the first on, whose experts stay on the host.
    """

    n_gpu_layers: int
    shares: tuple[float, ...] = ()
    n_cpu_moe: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What a placement takes with one context open.

    Attributes:
        devices: What each device holds, in llama.cpp's order.
        host: What the host holds, the process itself and the rows of logits under `other_bytes`.
        is_exact: Whether llama.cpp said so, or formulas.
        flash_attention: Whether flash attention is used, None where nobody said.
        is_repacked: Whether the host keeps weights in another order than the file, so a mapping would come on top.
    """

    devices: tuple[DeviceBytes, ...]
    host: DeviceBytes
    is_exact: bool = False
    flash_attention: bool | None = None
    is_repacked: bool = False


class Layouts(Protocol):
    """Somebody who knows what a placement takes."""

    def lay_out(self, placement: Placement, context: ContextPlan) -> Layout:
        """The layout of a placement with a context open."""


class FormulaLayouts:
    """Layouts from the header's facts alone.

    Args:
        model: The model.
        device_names: The devices, in llama.cpp's order.
        kv_type: Type of the KV cache.
    """

    def __init__(self, model: ModelFacts, device_names: Sequence[str], *, kv_type: str = "f16"):
        self._model = model
        self._names = tuple(device_names)
        self._kv_type = kv_type

    def lay_out(self, placement: Placement, context: ContextPlan) -> Layout:
        """Estimates what a placement takes; one share for each device."""
        model = self._model
        weights, host_weights = weights_by_place(model, placement)
        caches, host_cache = cache_by_place(model, placement, context, kv_type=self._kv_type)
        compute = compute_bytes(model, context)
        on_host = _host_compute_bytes(model, context, n_gpu_layers=placement.n_gpu_layers)
        devices = tuple(
            DeviceBytes(name, weight, cache, compute if weight or cache else 0)
            for name, weight, cache in zip(self._names, weights, caches, strict=True)
        )
        return Layout(devices, DeviceBytes(HOST, host_weights, host_cache, on_host, host_other_bytes(model, context)))


def weights_by_place(model: ModelFacts, placement: Placement) -> tuple[tuple[int, ...], int]:
    """Bytes of weights on each device, and on the host.

    llama.cpp puts the output layer and the last `n_gpu_layers - 1` repeating layers on devices, each device getting
    its share of them in order; the input stays on the host.
    """
    sizes, experts = _layer_weights(model, placement)
    host_input = model.input_bytes if placement.n_gpu_layers else _input_and_output_bytes(model)
    on_host = sum(sizes[: min(first_on_devices(model, placement), model.n_layers)])
    return spread_layers(sizes, placement), on_host + experts + host_input


def cache_by_place(
    model: ModelFacts, placement: Placement, context: ContextPlan, *, kv_type: str
) -> tuple[tuple[int, ...], int]:
    """Bytes of cache and recurrent states on each device, and on the host."""
    sizes = _layer_caches(model, context, kv_type)
    devices = spread_layers([*sizes, 0], placement)
    return devices, sum(sizes[: first_on_devices(model, placement)])


def sizes_on_devices(model: ModelFacts, placement: Placement, context: ContextPlan, *, kv_type: str) -> list[int]:
    """Bytes of weights and cache of each layer that goes to a device, in order, the output last."""
    sizes, _ = _layer_weights(model, placement)
    caches = [*_layer_caches(model, context, kv_type), 0]
    first = first_on_devices(model, placement)
    return [weights + cache for weights, cache in zip(sizes[first:], caches[first:], strict=True)]


def context_bytes(model: ModelFacts, context: ContextPlan, *, kv_type: str = "f16") -> int:
    """Memory that a context takes beside the weights, wherever it lies."""
    cache = sum(_layer_caches(model, context, kv_type))
    return cache + compute_bytes(model, context) + _logit_bytes(model, context)


def compute_bytes(model: ModelFacts, context: ContextPlan) -> int:
    """Upper estimate of the compute buffer of a device that holds whole layers and the output.

    The logits with the last layer's output are llama.cpp's own figure for dense models; where few outputs are asked
    for or the context is long, a layer's own peak rules.
    """
    logits = min(context.n_ubatch, context.n_outputs_max) * model.n_vocab * 4
    peak = max(logits + context.n_ubatch * model.n_embd * 4, _layer_peak_bytes(model, context))
    return int(peak * _COMPUTE_SLACK) + _COMPUTE_FLOOR_BYTES


def state_bytes(model: ModelFacts, context: ContextPlan) -> int:
    """Upper estimate of the recurrent states of a context."""
    per_layer = _STATE_WIDTHS * model.n_embd * 4 * context.n_seq_max
    return sum(per_layer for stateful in _stateful_layers(model) if stateful)


def host_other_bytes(model: ModelFacts, context: ContextPlan) -> int:
    """What the process takes of the host beside llama.cpp's buffers: itself, and the rows of logits."""
    return PROCESS_BYTES + _logit_bytes(model, context)


def _layer_peak_bytes(model: ModelFacts, context: ContextPlan) -> int:
    return context.n_ubatch * model.n_embd * 4 * _LAYER_WIDTHS + _mask_bytes(context)


def _mask_bytes(context: ContextPlan) -> int:
    """Attention masks in f16: a token by every cell of its stream, twice where some layers have a sliding window."""
    n_cells = context.n_ctx if context.kv_unified else context.n_ctx // context.n_seq_max
    return 2 * context.n_ubatch * n_cells * 2


def _host_compute_bytes(model: ModelFacts, context: ContextPlan, *, n_gpu_layers: int) -> int:
    if n_gpu_layers == 0:
        return compute_bytes(model, context)
    if n_gpu_layers <= model.n_layers:
        return int(_layer_peak_bytes(model, context) * _COMPUTE_SLACK) + _COMPUTE_FLOOR_BYTES
    inputs = 2 * context.n_ubatch * model.n_embd * 4
    return int((inputs + _mask_bytes(context)) * _COMPUTE_SLACK) + _COMPUTE_FLOOR_BYTES


def _layer_weights(model: ModelFacts, placement: Placement) -> tuple[list[int], int]:
    """Weights of each layer and of the output, without those experts that stay on the host; and these."""
    sizes, moved = [*model.layer_bytes, model.output_bytes], 0
    for layer in range(min(placement.n_cpu_moe, len(model.expert_bytes))):
        sizes[layer] -= model.expert_bytes[layer]
        moved += model.expert_bytes[layer]
    return sizes, moved


def _layer_caches(model: ModelFacts, context: ContextPlan, kv_type: str) -> list[int]:
    """Cache and state of each repeating layer."""
    state = _STATE_WIDTHS * model.n_embd * 4 * context.n_seq_max
    ratio = _KV_SIZES[kv_type] / _KV_SIZES["f16"]
    n_streams = 1 if context.kv_unified else context.n_seq_max
    n_cells = -(-context.n_ctx // n_streams // _CELLS) * _CELLS * n_streams
    return [
        int(kv * ratio) * n_cells + (state if stateful else 0)
        for kv, stateful in zip(model.kv_bytes_per_token, _stateful_layers(model), strict=True)
    ]


def _stateful_layers(model: ModelFacts) -> list[bool]:
    """Which layers carry a recurrent state; those of Falcon-H1 do so beside their attention."""
    if not is_recurrent(model.architecture):
        return [False] * model.n_layers
    return [kv == 0 or model.architecture == "falcon-h1" for kv in model.kv_bytes_per_token]


def _logit_bytes(model: ModelFacts, context: ContextPlan) -> int:
    """The rows of logits that llama.cpp copies to the host."""
    return context.n_outputs_max * model.n_vocab * 4


def _input_and_output_bytes(model: ModelFacts) -> int:
    """Both on the host: one and the same where they are tied, which shows in there being more than the file holds."""
    layers = sum(model.layer_bytes)
    return min(model.input_bytes + model.output_bytes, max(model.size_bytes - layers, model.input_bytes))


def first_on_devices(model: ModelFacts, placement: Placement) -> int:
    """The first layer that goes to a device; the number of layers where only the output does."""
    return max(model.n_layers + 1 - placement.n_gpu_layers, 0)


def spread_layers(sizes: Sequence[int], placement: Placement) -> tuple[int, ...]:
    """Sums of the last `n_gpu_layers` sizes by device (`get_layer_buft_list` in llama.cpp's `src/llama-model.cpp`)."""
    devices = [0] * len(placement.shares)
    n_split = min(placement.n_gpu_layers, len(sizes))
    if n_split == 0:
        return tuple(devices)
    ends = [end / sum(placement.shares) for end in itertools.accumulate(placement.shares)]
    for index, size in enumerate(sizes[len(sizes) - n_split :]):
        devices[bisect.bisect_right(ends, index / n_split)] += size
    return tuple(devices)
