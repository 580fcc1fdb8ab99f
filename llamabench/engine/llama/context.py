"""A context of a model: batches in, logits out."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as api

from llamabench.engine.llama.buffers import read_buffers
from llamabench.engine.llama.library import last_words, note_decode
from llamabench.engine.llama.model import Model
from llamabench.errors import EngineError
from llamabench.records import BufferBytes, ContextPlan, Plan

MAX_SEQUENCES = 256
"""`LLAMA_MAX_SEQ` in llama.cpp; a context with more is refused."""

_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_GGML_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}


class Batch:
    """The input of one decode, in arrays that llama.cpp reads in place.

    Args:
        n_tokens: Most tokens it can hold.
        n_sequences: Most sequences that one token can belong to.
    """

    def __init__(self, n_tokens: int, n_sequences: int):
        self.tokens: npt.NDArray[np.int32] = np.zeros(n_tokens, np.int32)
        self.positions: npt.NDArray[np.int32] = np.zeros(n_tokens, np.int32)
        self.sequence_counts: npt.NDArray[np.int32] = np.zeros(n_tokens, np.int32)
        self.sequences: npt.NDArray[np.int32] = np.zeros((n_tokens, n_sequences), np.int32)
        self.wants_logits: npt.NDArray[np.int8] = np.zeros(n_tokens, np.int8)
        row = ctypes.POINTER(ctypes.c_int32)
        starts = (self.sequences.ctypes.data + i * self.sequences.strides[0] for i in range(n_tokens))
        self._rows = (row * n_tokens)(*(ctypes.cast(start, row) for start in starts))
        batch_type: Any = api.llama_batch
        self.struct = batch_type()
        self.struct.token = self.tokens.ctypes.data_as(row)
        self.struct.pos = self.positions.ctypes.data_as(row)
        self.struct.n_seq_id = self.sequence_counts.ctypes.data_as(row)
        self.struct.seq_id = self._rows
        self.struct.logits = self.wants_logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(
        self, tokens: list[int], positions: list[int], *, sequences: Sequence[Sequence[int]], outputs: list[int]
    ) -> None:
        """Sets the tokens to decode.

        Args:
            tokens: Token ids, (n,).
            positions: Position of each in its sequences, (n,).
            sequences: Sequences that each belongs to, (n,) of at least one.
            outputs: Indices of the tokens whose logits are wanted, ascending.
        """
        n = len(tokens)
        self.struct.n_tokens = n
        self.tokens[:n] = tokens
        self.positions[:n] = positions
        counts = np.fromiter(map(len, sequences), np.int32, n)
        self.sequence_counts[:n] = counts
        flat = np.fromiter(itertools.chain.from_iterable(sequences), np.int32)
        if len(flat) == n:
            self.sequences[:n, 0] = flat
        else:
            rows = np.repeat(np.arange(n), counts)
            columns = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
            self.sequences[rows, columns] = flat
        self.wants_logits[:n] = 0
        self.wants_logits[outputs] = 1


def context_params(plan: ContextPlan, run: Plan) -> Any:
    """llama.cpp's parameters of a context.

    Args:
        plan: Sizes of the context.
        run: The plan it is part of (threads, flash attention, type of the cache).
    """
    params = api.llama_context_default_params()
    for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_outputs_max", "kv_unified", "swa_full"):
        setattr(params, name, getattr(plan, name))
    params.n_threads = params.n_threads_batch = run.n_threads
    params.flash_attn_type = _FLASH_ATTENTION[run.flash_attention]
    params.type_k = params.type_v = _GGML_TYPES[run.kv_type]
    params.no_perf = True
    return params


class Context:
    """A context of a model: its memory, and the logits of the last decode; `close` frees it.

    Args:
        model: The model; it must outlive the context.
        plan: Sizes of the context.
        run: The plan it is part of (threads, flash attention).

    Raises:
        EngineError: llama.cpp cannot open it, mostly for want of memory.
    """

    def __init__(self, model: Model, plan: ContextPlan, run: Plan):
        last_words.lines.clear()
        self.handle: Any = api.llama_init_from_model(model.handle, context_params(plan, run))
        if not self.handle:
            raise EngineError(f"llama.cpp cannot open a context of {plan.n_ctx} tokens: {last_words.tail()}.")
        self.model = model
        self.plan = plan
        self.memory: Any = api.llama_get_memory(self.handle)
        self.n_ctx_per_sequence: int = api.llama_n_ctx_seq(self.handle)

    def close(self) -> None:
        """Frees the context."""
        if self.handle:
            api.llama_free(self.handle)
            self.handle = None

    def read_buffers(self) -> tuple[BufferBytes, ...]:
        """What each buffer of model and context holds; empty where this build does not tell."""
        return read_buffers(self.handle)

    @property
    def is_causal(self) -> bool:
        """Whether a token attends to what comes before it alone."""
        return bool(api.llama_get_causal_attn(self.handle))

    def decode(self, batch: Batch) -> None:
        """Runs the model over a batch.

        Raises:
            EngineError: llama.cpp reports that it could not.
        """
        status = api.llama_decode(self.handle, batch.struct)
        note_decode()
        if status != 0:
            reason = "its memory has no room left" if status == 1 else last_words.tail()
            raise EngineError(f"llama.cpp could not decode {batch.struct.n_tokens} tokens (status {status}): {reason}.")

    def synchronize(self) -> None:
        """Waits until devices have done what `decode` gave them to do."""
        api.llama_synchronize(self.handle)

    def logits(self, n_rows: int) -> npt.NDArray[np.float32]:
        """The logits of the last decode, (n_rows, n_vocab), in place until the next one.

        Raises:
            EngineError: llama.cpp gives none.
        """
        pointer = api.llama_get_logits(self.handle)
        if not pointer:
            raise EngineError("llama.cpp gave no logits: the model has no output layer.")
        return np.ctypeslib.as_array(pointer, shape=(n_rows, self.model.n_vocab))

    def clear(self, *, data: bool = False) -> None:
        """Forgets every sequence; with `data`, overwrites what they left: a NaN there would reach later ones."""
        api.llama_memory_clear(self.memory, data)

    def forget(self, sequence: int, start: int = 0) -> bool:
        """Drops the positions of a sequence from `start` on; False where this memory cannot."""
        return bool(api.llama_memory_seq_rm(self.memory, sequence, start, -1))

    def keep_only(self, sequence: int) -> None:
        """Drops every other sequence."""
        api.llama_memory_seq_keep(self.memory, sequence)

    def copy(self, source: int, target: int, end: int) -> None:
        """Lets `target` share the first `end` positions of `source`; -1 for all of them."""
        api.llama_memory_seq_cp(self.memory, source, target, 0 if end >= 0 else -1, end)
