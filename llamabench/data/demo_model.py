"""Small GGUF models: how they are written, and one made on the spot, with random weights, the same bytes every time.

The trained pair that `llamabench demo` compares is written here too, by `tools/train_demo.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DEMO_NAME = "llamabench demo, untrained"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

SPECIAL_TOKENS = ("<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
_NORMAL, _CONTROL = 1, 3

TRAINED_MODELS = ("demo-base", "demo-aligned", "demo-aligned-q4")
"""The demo pair, and the aligned one in a smaller quantization; the files say how they were made."""

TRAINED_FOLDER = Path(__file__).parent / "demo"

ROPE_BASE = 10_000.0
"""What llama.cpp turns positions by where a file does not say."""

Tensor = tuple[str, npt.NDArray[np.float32]]

# Frequent pairs of English, "Ġ" standing for a space; in the order in which they are to be merged.
_MERGE_LIST = (
    "Ġ t|h e|i n|r e|o n|Ġt he|e r|Ġ s|a t|e n|Ġ a|Ġ w|Ġ c|i s|Ġ o|i t|o u|n d|e s|o r|Ġ p|Ġ b|a n|in g|Ġ f|e d|"
    "Ġ m|Ġ d|a l|Ġ h|Ġa nd|Ġt o|Ġo f|Ġ in|Ġ is|a r|i c|l e|s t|v e|Ġ re|Ġ l|Ġ n|Ġ g|en t|i on|a s|l y|o m|u n"
)
_MERGES = tuple(_MERGE_LIST.split("|"))


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a model of the llama architecture; `n_head` divides `n_embd`, `n_head_kv` divides `n_head`."""

    n_layer: int
    n_embd: int
    n_head: int
    n_head_kv: int
    n_ff: int
    n_ctx: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A byte-level BPE tokeniser as GGUF stores it; token types follow `gguf.TokenType`."""

    tokens: Sequence[str]
    types: Sequence[int]
    merges: Sequence[str]
    pre: str
    bos: int
    eos: int
    adds_bos: bool


@dataclass(frozen=True, slots=True)
class About:
    """What a file says of itself.

    Attributes:
        name: `general.name`.
        quant: Type of the matrices as gguf names it, such as `F32`, `Q8_0` or `Q4_0`.
        chat_template: Jinja2 text, None for none.
        description: `general.description`, empty for none.
        licence: `general.license`, empty for none.
    """

    name: str
    quant: str
    chat_template: str | None = CHAT_TEMPLATE
    description: str = ""
    licence: str = ""


DEMO_SHAPE = Shape(n_layer=4, n_embd=128, n_head=4, n_head_kv=2, n_ff=256, n_ctx=4096)


def spell_bytes() -> list[str]:
    """The letter that stands for each byte in byte-level vocabularies.

    Source: `bytes_to_unicode` in openai/gpt-2, src/encoder.py.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def byte_vocabulary() -> Vocabulary:
    """A token for each byte, spelled as GPT-2 spells bytes, some pairs of English, and five special tokens."""
    letters = spell_bytes()
    normal = [*letters, *(merge.replace(" ", "") for merge in _MERGES)]
    return Vocabulary(
        tokens=[*normal, *SPECIAL_TOKENS],
        types=[_NORMAL] * len(normal) + [_CONTROL] * len(SPECIAL_TOKENS),
        merges=_MERGES,
        pre="gpt-2",
        bos=len(normal),
        eos=len(normal) + 1,
        adds_bos=True,
    )


def _tensors(shape: Shape, n_vocab: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_kv = shape.n_embd // shape.n_head * shape.n_head_kv
    yield "token_embd.weight", (n_vocab, shape.n_embd)
    for layer in range(shape.n_layer):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (shape.n_embd,)
        yield block + "attn_q.weight", (shape.n_embd, shape.n_embd)
        yield block + "attn_k.weight", (n_kv, shape.n_embd)
        yield block + "attn_v.weight", (n_kv, shape.n_embd)
        yield block + "attn_output.weight", (shape.n_embd, shape.n_embd)
        yield block + "ffn_norm.weight", (shape.n_embd,)
        yield block + "ffn_gate.weight", (shape.n_ff, shape.n_embd)
        yield block + "ffn_up.weight", (shape.n_ff, shape.n_embd)
        yield block + "ffn_down.weight", (shape.n_embd, shape.n_ff)
    yield "output_norm.weight", (shape.n_embd,)


def _weights(rng: np.random.Generator, dimensions: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if len(dimensions) == 1:
        return np.ones(dimensions, np.float32)
    return rng.standard_normal(dimensions, np.float32) * np.float32(dimensions[1] ** -0.5)


def _describe(writer: Any, shape: Shape, vocabulary: Vocabulary) -> None:
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.n_embd // shape.n_head)
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_add_bos_token(vocabulary.adds_bos)


def write_random_model(path: Path, shape: Shape, vocabulary: Vocabulary, *, name: str, quant: str = "F32") -> None:
    """Writes a model of the llama architecture with random weights, embeddings tied to the output.

    Args:
        path: Where to; written beside it first, then renamed.
        shape: Dimensions.
        vocabulary: Tokeniser.
        name: `general.name`.
        quant: Type of the matrices as gguf names it.
    """
    rng = np.random.default_rng(20260101)
    weights = ((tensor, _weights(rng, size)) for tensor, size in _tensors(shape, len(vocabulary.tokens)))
    write_model(path, shape, vocabulary, about=About(name, quant), weights=weights)


def write_model(path: Path, shape: Shape, vocabulary: Vocabulary, *, about: About, weights: Iterable[Tensor]) -> None:
    """Writes a model of the llama architecture, its matrices quantized.

    Args:
        path: Where to; written beside it first, then renamed.
        shape: Dimensions.
        vocabulary: Tokeniser.
        about: What the file says of itself.
        weights: Tensors by the names that llama.cpp gives them; vectors stay F32.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        _write(unfinished, shape, vocabulary, about=about, weights=weights)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(path: Path, shape: Shape, vocabulary: Vocabulary, *, about: About, weights: Iterable[Tensor]) -> None:
    import gguf

    kind = gguf.GGMLQuantizationType[about.quant]
    file_type = "ALL_F32" if about.quant == "F32" else f"MOSTLY_{about.quant}"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(about.name)
    if about.description:
        writer.add_description(about.description)
    if about.licence:
        writer.add_license(about.licence)
    writer.add_file_type(gguf.LlamaFileType[file_type])
    _describe(writer, shape, vocabulary)
    if about.chat_template is not None:
        writer.add_chat_template(about.chat_template)
    for tensor, values in weights:
        if values.ndim == 1 or about.quant == "F32":
            writer.add_tensor(tensor, values)
        else:
            writer.add_tensor(tensor, gguf.quants.quantize(values, kind), raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def find_trained_model(name: str) -> Path:
    """The file of a trained demo model; these ship with llamabench."""
    return TRAINED_FOLDER / f"{name}.gguf"


def ensure_demo_model(folder: Path) -> Path:
    """The demo model below `folder`, made there if it is not there yet; a few megabytes, a second."""
    path = folder / "llamabench-demo-1.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_random_model(path, DEMO_SHAPE, byte_vocabulary(), name=DEMO_NAME)
    return path
