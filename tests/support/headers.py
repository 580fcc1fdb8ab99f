"""GGUF files with the dimensions of real models: a header, and a hole where the weights would be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGUFWriter
from gguf import GGMLQuantizationType as Q
from gguf.gguf_writer import TensorInfo

Tensor = tuple[str, tuple[int, ...], Q]


@dataclass(frozen=True)
class Dimensions:
    """A model in the terms of its publishers' configuration; `wide` and `narrow` are its tensor types."""

    architecture: str
    n_vocab: int
    n_layers: int
    n_embd: int
    n_heads: int
    n_kv_heads: int
    head_size: int
    n_ff: int
    n_ctx_train: int = 131072
    is_tied: bool = False
    narrow: Q = Q.Q4_K
    wide: Q = Q.Q6_K
    norms: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    n_experts: int = 0


LLAMA_8B = Dimensions("llama", 128256, 32, 4096, 32, 8, 128, 14336)
LLAMA_70B = Dimensions("llama", 128256, 80, 8192, 64, 8, 128, 28672)
QWEN25_3B = Dimensions("qwen2", 151936, 36, 2048, 16, 2, 128, 11008, is_tied=True)
GEMMA3_12B = Dimensions(
    "gemma3",
    262144,
    48,
    3840,
    16,
    8,
    256,
    15360,
    is_tied=True,
    norms=("attn_q_norm", "attn_k_norm", "post_attention_norm", "post_ffw_norm"),
    extra={"attention.sliding_window": 1024},
)
QWEN3_30B_A3B = Dimensions(
    "qwen3moe",
    151936,
    48,
    2048,
    32,
    4,
    128,
    768,
    n_ctx_train=40960,
    norms=("attn_q_norm", "attn_k_norm"),
    extra={"expert_used_count": 8, "expert_feed_forward_length": 768},
    n_experts=128,
)


def write_header(model: Dimensions, path: Path, *, has_tokens: bool = True) -> Path:
    """Writes a model's header, with a vocabulary of the right size, and a file as long as the model's."""
    writer = GGUFWriter(path, model.architecture)
    _add_facts(writer, model, has_tokens=has_tokens)
    _finish(writer, path, list(_tensors(model)))
    return path


def split_header(model: Dimensions, stem: Path, *, n_parts: int) -> None:
    """Writes the same as so many files, `STEM-00001-of-0000N.gguf` and so on."""
    tensors = list(_tensors(model))
    size = -(-len(tensors) // n_parts)
    for number in range(n_parts):
        path = stem.with_name(f"{stem.name}-{number + 1:05}-of-{n_parts:05}.gguf")
        writer = GGUFWriter(path, model.architecture)
        if number == 0:
            _add_facts(writer, model, has_tokens=False)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", n_parts)
        writer.add_int32("split.tensors.count", len(tensors))
        _finish(writer, path, tensors[number * size : (number + 1) * size])


def _add_facts(writer: GGUFWriter, model: Dimensions, *, has_tokens: bool) -> None:
    for key, value in _numbers(model).items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(f"{model.architecture}.{key}", value)
    if has_tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list([f"token {number}" for number in range(model.n_vocab)])
        writer.add_token_merges([f"mer ge{number}" for number in range(2 * model.n_vocab)])
    else:
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(model.n_vocab)


def _finish(writer: GGUFWriter, path: Path, tensors: list[Tensor]) -> None:
    end = 0
    infos = OrderedDict()
    for name, shape, kind in tensors:
        size = tensor_bytes(shape, kind)
        infos[name] = TensorInfo(shape=tuple(reversed(shape)), dtype=kind, nbytes=size)
        end += (size + 31) // 32 * 32
    writer.tensors = [infos]
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        head = (path.stat().st_size + 31) // 32 * 32
        file.truncate(head + end)


def tensor_bytes(shape: Iterable[int], kind: Q) -> int:
    block, size = GGML_QUANT_SIZES[kind]
    return prod(shape) // block * size


def _numbers(model: Dimensions) -> dict[str, Any]:
    return {
        "block_count": model.n_layers,
        "context_length": model.n_ctx_train,
        "embedding_length": model.n_embd,
        "feed_forward_length": model.n_ff,
        "attention.head_count": model.n_heads,
        "attention.head_count_kv": model.n_kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.key_length": model.head_size,
        "attention.value_length": model.head_size,
        "rope.dimension_count": model.head_size,
        "rope.freq_base": 500000.0,
        **({"expert_count": model.n_experts} if model.n_experts else {}),
        **model.extra,
    }


def _tensors(model: Dimensions) -> Iterable[Tensor]:
    wide, narrow = model.wide, model.narrow
    n_embd, n_q, n_kv = model.n_embd, model.n_heads * model.head_size, model.n_kv_heads * model.head_size
    yield "token_embd.weight", (n_embd, model.n_vocab), wide if model.is_tied else narrow
    yield "output_norm.weight", (n_embd,), Q.F32
    if not model.is_tied:
        yield "output.weight", (n_embd, model.n_vocab), wide
    if model.architecture == "llama":
        yield "rope_freqs.weight", (model.head_size // 2,), Q.F32
    for layer in range(model.n_layers):
        better = wide if _gets_more_bits(layer, model.n_layers) else narrow
        place = f"blk.{layer}."
        yield f"{place}attn_norm.weight", (n_embd,), Q.F32
        yield f"{place}attn_q.weight", (n_embd, n_q), narrow
        yield f"{place}attn_k.weight", (n_embd, n_kv), narrow
        yield f"{place}attn_v.weight", (n_embd, n_kv), better
        yield f"{place}attn_output.weight", (n_q, n_embd), narrow
        yield f"{place}ffn_norm.weight", (n_embd,), Q.F32
        if model.architecture == "qwen2":
            for name, size in (("q", n_q), ("k", n_kv), ("v", n_kv)):
                yield f"{place}attn_{name}.bias", (size,), Q.F32
        for name in model.norms:
            yield f"{place}{name}.weight", (model.head_size if "attn_" in name[:5] else n_embd,), Q.F32
        yield from _feed_forward(model, place, better)


def _feed_forward(model: Dimensions, place: str, better: Q) -> Iterable[Tensor]:
    n_embd, n_ff = model.n_embd, model.n_ff
    if not model.n_experts:
        yield f"{place}ffn_gate.weight", (n_embd, n_ff), model.narrow
        yield f"{place}ffn_up.weight", (n_embd, n_ff), model.narrow
        yield f"{place}ffn_down.weight", (n_ff, n_embd), better
        return
    yield f"{place}ffn_gate_inp.weight", (n_embd, model.n_experts), Q.F32
    yield f"{place}ffn_gate_exps.weight", (n_embd, n_ff, model.n_experts), model.narrow
    yield f"{place}ffn_up_exps.weight", (n_embd, n_ff, model.n_experts), model.narrow
    yield f"{place}ffn_down_exps.weight", (n_ff, n_embd, model.n_experts), better


def _gets_more_bits(layer: int, n_layers: int) -> bool:
    """Which layers a Q4_K_M file stores with more bits (`use_more_bits` in llama.cpp's `src/llama-quant.cpp`)."""
    return layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2
