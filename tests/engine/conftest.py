"""What the engine's tests share: an independent way to decode, and small models made for one purpose."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from llama_cpp import llama_cpp as api
from scipy.special import log_softmax

from llamabench.engine.llama import initialise
from llamabench.engine.process import PLAIN_PLAN
from llamabench.records import ContextPlan, Plan

SCRIPT: tuple[bytes, ...] = (b"A", b"b", b"c", b"\xc3", b"\xa9", b"ing", b"\xe2", b"\x9c", b"\x93", b"d", b" the", b"e")
"""What the scripted model says, token by token; `Abcé` + `ing✓d thee`, then its end token."""

SMALL_SCORING = ContextPlan(512, n_seq_max=8, n_batch=64, n_ubatch=64, n_outputs_max=64, kv_unified=True)
SMALL_GENERATION = ContextPlan(1024, n_seq_max=4, n_batch=64, n_ubatch=64, n_outputs_max=64, kv_unified=False)
_FLASH_ATTENTION = {"auto": -1, "off": 0}


class Reference:
    """Decodes one sequence per context with llama_cpp's own functions and nothing of llamabench's."""

    def __init__(self, path: Path, *, flash: str, n_ubatch: int):
        initialise()
        params = api.llama_model_default_params()
        params.n_gpu_layers = 0
        self._model = api.llama_model_load_from_file(str(path).encode(), params)
        assert self._model
        vocab = api.llama_model_get_vocab(self._model)
        self._n_vocab = api.llama_vocab_n_tokens(vocab)
        self._is_end: Callable[[int], bool] = lambda token: api.llama_vocab_is_eog(vocab, token)
        self._context = api.llama_context_default_params()
        self._context.n_ctx = self._context.n_batch = self._context.n_outputs_max = 512
        self._context.n_ubatch = n_ubatch
        self._context.n_threads = self._context.n_threads_batch = 1
        self._context.flash_attn_type = _FLASH_ATTENTION[flash]
        self._context.swa_full = True

    def close(self) -> None:
        api.llama_model_free(self._model)

    def logits(self, tokens: Sequence[int]) -> npt.NDArray[np.float64]:
        """Logits after each token, (n_tokens, n_vocab)."""
        context = api.llama_init_from_model(self._model, self._context)
        batch = api.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        assert api.llama_decode(context, batch) == 0
        size = len(tokens) * self._n_vocab
        flat = ctypes.cast(api.llama_get_logits(context), ctypes.POINTER(ctypes.c_float * size)).contents
        logits = np.array(flat, np.float64).reshape(len(tokens), self._n_vocab)
        api.llama_batch_free(batch)
        api.llama_free(context)
        return logits

    def logprobs(self, tokens: Sequence[int], n_context: int) -> npt.NDArray[np.float64]:
        """Log-probability of each of `tokens[n_context:]`."""
        rows = log_softmax(self.logits(tokens[:-1])[n_context - 1 :], axis=1)
        return rows[np.arange(len(rows)), list(tokens[n_context:])]

    def greedy(self, tokens: Sequence[int], n_tokens: int) -> list[int]:
        """The likeliest tokens after `tokens`, up to an end token, which is left out."""
        found: list[int] = []
        while len(found) < n_tokens:
            token = int(self.logits([*tokens, *found])[-1].argmax())
            if self._is_end(token):
                break
            found.append(token)
        return found


@pytest.fixture
def open_reference() -> Iterator[Callable[..., Reference]]:
    """Opens models for `Reference` and frees them after the test."""
    opened: list[Reference] = []

    def open_one(path: Path, *, flash: str = "off", n_ubatch: int = 512) -> Reference:
        opened.append(Reference(path, flash=flash, n_ubatch=n_ubatch))
        return opened[-1]

    yield open_one
    for reference in opened:
        reference.close()


@pytest.fixture(scope="session")
def small_plan() -> Plan:
    """A plan with small packs, so that a few sequences already need several, and no flash attention."""
    return dataclasses.replace(
        PLAIN_PLAN,
        n_threads=1,
        scoring=SMALL_SCORING,
        generation=SMALL_GENERATION,
        pack_tokens=48,
        strategy="packed",
        flash_attention="off",
    )


@pytest.fixture(scope="session")
def scripted_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that follows each token of `SCRIPT` by the next: one-hot embeddings and a layer that permutes them."""
    from gguf import GGUFReader

    from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model

    vocabulary = byte_vocabulary()
    n_vocab = len(vocabulary.tokens)
    width = -(-n_vocab // 32) * 32
    path = tmp_path_factory.mktemp("models") / "scripted.gguf"
    write_random_model(path, Shape(1, width, 2, 2, width, 1024), vocabulary, name="scripted")
    following = np.arange(width)
    script = [_spell(piece, vocabulary.tokens) for piece in SCRIPT] + [vocabulary.eos]
    following[script[:-1]] = script[1:]
    identity = np.eye(width, dtype=np.float32)
    matrices = {
        "token_embd.weight": identity[:n_vocab],
        "blk.0.attn_output.weight": np.zeros_like(identity),
        "blk.0.ffn_gate.weight": identity,
        "blk.0.ffn_up.weight": identity,
        "blk.0.ffn_down.weight": identity[following].T,
    }
    for tensor in GGUFReader(path, "r+").tensors:
        if tensor.name in matrices:
            tensor.data[:] = matrices[tensor.name]
    return path


def _spell(piece: bytes, tokens: Sequence[str]) -> int:
    """Id of the token for some bytes in a byte-level vocabulary, whose first 256 tokens are the bytes in order."""
    return piece[0] if len(piece) == 1 else list(tokens).index(piece.decode().replace(" ", "Ġ"))
