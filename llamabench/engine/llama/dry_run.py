"""How llama.cpp would lay a model out, asked of llama.cpp itself, without memory for weights, cache or buffers."""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Iterator, Sequence
from typing import Any

from llama_cpp import llama_cpp as api

from llamabench.engine.llama.context import context_params
from llamabench.engine.llama.layout_log import LogFacts, read_log
from llamabench.engine.llama.library import ggml, initialise, last_words
from llamabench.engine.llama.model import PlacementParams
from llamabench.engine.llama.virtual import VirtualDevice, why_unusable
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import BufferBytes, ContextPlan, Device, DryLayout, Plan

_NO_MAPPING = 0  # LLAMA_LOAD_MODE_NONE; with any mapping llama.cpp ends the process that allocates nothing
_BREAKDOWN = "_Z26llama_get_memory_breakdownPK13llama_context"
_ROUNDING_BYTES = 5243
"""Half of the last digit that the log shows, 0.01 MiB, and a byte for the rounding of the rounding."""


class DryModel:
    """A model laid out without its weights; `close` frees it.

    Args:
        path: A GGUF file as long as it says; its weights are not read.
        plan: Layers and devices.
        virtual: Devices that are not there, to be used in place of the machine's own; None to use those.

    Raises:
        ModelFileError: llama.cpp cannot load the file.
        EngineError: Devices that are not there cannot be used with this build.
    """

    def __init__(self, path: str, plan: Plan, *, virtual: Sequence[Device] | None = None):
        initialise()
        if virtual and (reason := why_unusable()) is not None:
            raise EngineError(f"Layouts on hardware that is not there are not possible: {reason}.")
        params = api.llama_model_default_params()
        params.no_alloc, params.load_mode = True, _NO_MAPPING
        self._devices = [VirtualDevice(device) for device in virtual or ()]
        addresses = None if virtual is None else [device.address for device in self._devices]
        self._placement = PlacementParams(params, plan, devices=addresses)
        self._plan = plan
        last_words.lines.clear()
        self._load_lines: list[str] = []
        last_words.record = self._load_lines
        try:
            self.handle: Any = api.llama_model_load_from_file(os.fsencode(path), params)
        finally:
            last_words.record = None
        if not self.handle:
            raise ModelFileError(f"llama.cpp cannot load {path}: {last_words.tail()}.")

    def close(self) -> None:
        """Frees the model."""
        if self.handle:
            api.llama_model_free(self.handle)
            self.handle = None

    def lay_out(self, context: ContextPlan) -> DryLayout:
        """What each buffer would hold with a context open.

        Raises:
            EngineError: llama.cpp refuses such a context.
        """
        lines: list[str] = []
        last_words.lines.clear()
        last_words.record = lines
        try:
            handle = api.llama_init_from_model(self.handle, context_params(context, self._plan))
        finally:
            last_words.record = None
        if not handle:
            raise EngineError(f"llama.cpp refuses a context of {context.n_ctx} tokens: {last_words.tail()}.")
        try:
            log = read_log([*self._load_lines, *lines])
            buffers = _exact_buffers(handle, log)
        finally:
            api.llama_free(handle)
        return DryLayout(
            buffers=buffers,
            compute_bytes=log.compute_bytes,
            cache_bytes=log.cache_bytes,
            layer_devices=log.layer_devices,
            flash_attention=log.flash_attention,
        )


class _StdMap(ct.Structure):
    """`std::map` of libstdc++, returned by value."""

    _fields_ = tuple((name, ct.c_size_t) for name in ("compare", "colour", "root", "leftmost", "rightmost", "count"))


def _exact_buffers(handle: Any, log: LogFacts) -> tuple[BufferBytes, ...]:
    """Every buffer to the byte, from a function that llama.cpp exports for itself.

    Its result has the layout of one C++ library; where another was used, or what it says does not agree with the
    log, there is nothing.
    """
    try:
        ask = ggml(_BREAKDOWN, _StdMap, ct.c_void_p)
    except AttributeError:
        return ()
    found = tuple(_walk(ask(handle).root, 0))
    for buffer in found:
        told = log.compute_bytes.get(buffer.buffer, 0)
        if abs(told - buffer.compute_bytes) > 2 * _ROUNDING_BYTES:
            return ()
    told = sum(log.cache_bytes)
    if abs(told - sum(buffer.context_bytes for buffer in found)) > _ROUNDING_BYTES * 2 * (len(log.cache_bytes) + 1):
        return ()
    return found


def _walk(node: int, depth: int) -> Iterator[BufferBytes]:
    """The nodes of the map in order: a red-black tree of some buffers is never deep."""
    if not node or depth > 16:
        return
    _, _, left, right, kind, weights, context, compute = (ct.c_size_t * 8).from_address(node)
    yield from _walk(left, depth + 1)
    name = ggml("ggml_backend_buft_name", ct.c_char_p, ct.c_void_p)(kind).decode(errors="replace")
    is_host = bool(ggml("ggml_backend_buft_is_host", ct.c_bool, ct.c_void_p)(kind))
    owner = ggml("ggml_backend_buft_get_device", ct.c_void_p, ct.c_void_p)(kind)
    device = ggml("ggml_backend_dev_name", ct.c_char_p, ct.c_void_p)(owner).decode(errors="replace") if owner else "CPU"
    yield BufferBytes(name, device, is_host, weights, context, compute)
    yield from _walk(right, depth + 1)
