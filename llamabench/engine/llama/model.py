"""A loaded model and its tokeniser."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Sequence
from typing import Any

from llama_cpp import llama_cpp as api

from llamabench.engine.llama.library import ggml, initialise, last_words, offload_handles
from llamabench.engine.llama.remote import planned_devices
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import Plan

Tokens = list[int]

READ_WHOLE = 0
"""`LLAMA_LOAD_MODE_NONE`: weights are read, not mapped."""


class _Override(ctypes.Structure):
    """`llama_model_tensor_buft_override`: tensors whose names match a pattern go into a buffer type."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class PlacementParams:
    """Sets where a model goes, in llama.cpp's parameters; it must live until the model is loaded.

    Args:
        params: Parameters of a model.
        plan: Layers, devices' shares, experts on the host, servers.
        devices: Handles of the devices to use, None for the plan's servers and what llama.cpp finds on this machine.

    Raises:
        ServerError: A server of the plan does not answer, or not as it should.
    """

    def __init__(self, params: Any, plan: Plan, *, devices: Sequence[int] | None = None):
        params.n_gpu_layers = plan.n_gpu_layers
        if plan.n_gpu_layers == 0:
            # an empty list: llama.cpp would else lend large products to a device that nobody planned for
            devices = ()
        elif devices is None and plan.rpc_servers:
            devices = [*planned_devices(plan.rpc_servers), *offload_handles()]
        if devices is not None:
            self._devices = (ctypes.c_void_p * (len(devices) + 1))(*devices, None)
            params.devices = ctypes.cast(self._devices, ctypes.c_void_p)
        if plan.tensor_split:
            shares = plan.tensor_split + (0.0,) * (api.llama_max_devices() - len(plan.tensor_split))
            self._split = (ctypes.c_float * len(shares))(*shares)
            params.tensor_split = self._split
        if plan.n_cpu_moe:
            processor = ggml("ggml_backend_cpu_buffer_type", ctypes.c_void_p)()
            patterns = [_expert_pattern(layer).encode() for layer in range(plan.n_cpu_moe)]
            rows = [_Override(pattern, processor) for pattern in patterns]
            self._overrides = (_Override * (len(rows) + 1))(*rows)
            params.tensor_buft_overrides = ctypes.cast(self._overrides, ctypes.c_void_p)


def _expert_pattern(layer: int) -> str:
    """The experts of a layer, as `--n-cpu-moe` names them (`LLM_FFN_EXPS_REGEX` in llama.cpp's `common/common.h`)."""
    return rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps"


class Model:
    """A loaded model and its tokeniser; `close` frees it.

    Args:
        path: The GGUF file.
        plan: Layers and devices; None loads the tokeniser alone.

    Raises:
        ModelFileError: llama.cpp cannot load the file.
        ServerError: A server of the plan does not answer, or not as it should.
    """

    def __init__(self, path: str, plan: Plan | None):
        initialise()
        params = api.llama_model_default_params()
        params.vocab_only = plan is None
        if plan is not None:
            params.use_extra_bufts = plan.is_repacked
        if plan is not None and not plan.is_mapped:
            params.load_mode = READ_WHOLE
        self._placement = None if plan is None else PlacementParams(params, plan)
        last_words.lines.clear()
        self.handle: Any = api.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise ModelFileError(f"llama.cpp cannot load {path}: {last_words.tail()}.")
        self.path = path
        self.vocab: Any = api.llama_model_get_vocab(self.handle)
        self.n_vocab: int = api.llama_vocab_n_tokens(self.vocab)
        self.has_tokenizer: bool = api.llama_vocab_type(self.vocab) != api.LLAMA_VOCAB_TYPE_NONE
        self._buffer = (ctypes.c_int32 * 8192)()

    def close(self) -> None:
        """Frees the weights."""
        if self.handle:
            api.llama_model_free(self.handle)
            self.handle = None

    @property
    def has_cache_per_token(self) -> bool:
        """Whether memory is a plain cache of tokens, which sequences may share and roll back."""
        return not (api.llama_model_is_recurrent(self.handle) or api.llama_model_is_hybrid(self.handle))

    @property
    def why_not_causal(self) -> str | None:
        """Why this model has no left-to-right log-probabilities; None when it has."""
        if api.llama_model_is_diffusion(self.handle):
            return "it is a diffusion model: it fills text in any order"
        if api.llama_model_has_encoder(self.handle):
            return "it has an encoder: its decoder does not read the prompt from left to right"
        if not api.llama_model_has_decoder(self.handle):
            return "it has no decoder: it makes embeddings"
        if self.metadata("general.architecture") == "cogvlm":
            # src/models/cogvlm.cpp leaves out `inp_out_ids`
            return "llama.cpp returns other rows of its logits than those asked for"
        return None

    def metadata(self, key: str) -> str | None:
        """One entry of the file's metadata as text, None where it is missing."""
        buffer = ctypes.create_string_buffer(1024)
        length = api.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        if length >= len(buffer):
            buffer = ctypes.create_string_buffer(length + 1)
            length = api.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return None if length < 0 else buffer.raw[:length].decode(errors="replace")

    def _token(self, name: str) -> int | None:
        token: int = getattr(api, f"llama_vocab_{name}")(self.vocab)
        return None if token < 0 else token

    @property
    def bos(self) -> int | None:
        """Beginning-of-text token."""
        return self._token("bos")

    @property
    def eos(self) -> int | None:
        """End-of-text token."""
        return self._token("eos")

    @property
    def eot(self) -> int | None:
        """End-of-turn token."""
        return self._token("eot")

    @property
    def adds_bos(self) -> bool:
        """Whether the file asks for a beginning-of-text token before any text."""
        return bool(api.llama_vocab_get_add_bos(self.vocab))

    def is_end(self, token: int) -> bool:
        """Whether generation ends with this token."""
        return bool(api.llama_vocab_is_eog(self.vocab, token))

    def token_text(self, token: int) -> str:
        """The token as the vocabulary spells it."""
        text = api.llama_vocab_get_text(self.vocab, token)
        return text.decode(errors="replace") if text else ""

    def vocabulary_sha256(self) -> str:
        """Digest of how all tokens are spelled, in their order."""
        spelled = (self.token_text(token).encode(errors="surrogatepass") for token in range(self.n_vocab))
        return hashlib.sha256(b"\0".join(spelled)).hexdigest()

    def hidden_texts(self) -> list[str]:
        """Spellings that are special tokens in a template and must stay plain text anywhere else."""
        if not self.has_tokenizer:
            return []
        hidden = api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNKNOWN
        tokens = (t for t in range(self.n_vocab) if api.llama_vocab_get_attr(self.vocab, t) & hidden)
        return [text for text in map(self.token_text, tokens) if text]

    def tokenize(self, text: str, *, parse_special: bool) -> Tokens:
        """Turns text into tokens, adding none.

        Args:
            text: Any text.
            parse_special: Whether special tokens spelled in it become tokens (templates) or stay text (all else).
        """
        if not self.has_tokenizer:
            raise ModelFileError(f"{self.path} holds no tokeniser, so text cannot be scored with it.")
        raw = text.encode(errors="surrogatepass")
        for _ in range(2):
            count = api.llama_tokenize(self.vocab, raw, len(raw), self._buffer, len(self._buffer), False, parse_special)
            if count >= 0:
                return self._buffer[:count]
            self._buffer = (ctypes.c_int32 * -count)()
        raise EngineError(f"The tokeniser of {self.path} refused a text of {len(raw)} bytes.")

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to a text; control tokens add none."""
        buffer = ctypes.create_string_buffer(64)
        length = api.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = api.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(length, 0)]
