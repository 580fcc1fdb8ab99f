"""How llama.cpp would lay a model out, asked of llama.cpp itself, without memory for weights, cache or buffers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from llama_cpp import llama_cpp as api

from llamabench.engine.llama.buffers import read_buffers
from llamabench.engine.llama.context import context_params
from llamabench.engine.llama.layout_log import LogFacts, read_log
from llamabench.engine.llama.library import initialise, last_words
from llamabench.engine.llama.model import READ_WHOLE, PlacementParams
from llamabench.engine.llama.virtual import VirtualDevice, why_unusable
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import BufferBytes, ContextPlan, Device, DryLayout, Plan

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
        EngineError: Devices that are not there cannot be used with this build, or a server does not answer.
    """

    def __init__(self, path: str, plan: Plan, *, virtual: Sequence[Device] | None = None):
        initialise()
        if virtual and (reason := why_unusable()) is not None:
            raise EngineError(f"Layouts on hardware that is not there are not possible: {reason}.")
        params = api.llama_model_default_params()
        # with a mapping, llama.cpp ends the process that allocates nothing
        params.no_alloc, params.load_mode = True, READ_WHOLE
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
            buffers = _checked(read_buffers(handle), log)
        finally:
            api.llama_free(handle)
        return DryLayout(
            buffers=buffers,
            compute_bytes=log.compute_bytes,
            cache_bytes=log.cache_bytes,
            layer_devices=log.layer_devices,
            flash_attention=log.flash_attention,
        )


def _checked(buffers: tuple[BufferBytes, ...], log: LogFacts) -> tuple[BufferBytes, ...]:
    """The buffers, or none where they do not agree with the log: then they were read wrongly."""
    for buffer in buffers:
        told = log.compute_bytes.get(buffer.buffer, 0)
        if abs(told - buffer.compute_bytes) > 2 * _ROUNDING_BYTES:
            return ()
    told = sum(log.cache_bytes)
    if abs(told - sum(buffer.context_bytes for buffer in buffers)) > _ROUNDING_BYTES * 2 * (len(log.cache_bytes) + 1):
        return ()
    return buffers
