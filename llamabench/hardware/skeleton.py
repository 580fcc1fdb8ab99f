"""A stand-in for a model file: its dimensions without its weights and vocabulary, for llama.cpp to lay out.

llama.cpp lays a model out from the header alone, and only wants the file to be as long as it says. Most of the time it
takes goes into the vocabulary, which changes no buffer; without it a layout takes milliseconds. All parts of a split
model become one.
"""

from __future__ import annotations

import struct
from pathlib import Path

from llamabench.hardware.container import MAGIC
from llamabench.hardware.gguf import GgufHeader

_VERSION = 3
_U32_TYPE, _STRING_TYPE = 4, 8
_LEFT_OUT = ("tokenizer.", "split.")


def write_skeleton(header: GgufHeader, *, n_vocab: int, path: Path) -> None:
    """Writes a GGUF file with a model's dimensions; its weights are a hole that takes no room on the disk.

    Args:
        header: The model's headers, of all its parts.
        n_vocab: Tokens in its vocabulary.
        path: The file to write.

    Raises:
        OSError: It cannot be written.
    """
    size_key = f"{header.metadata['general.architecture']}.vocab_size"
    pairs = [raw for key, raw in header.pairs.items() if key != size_key and not key.startswith(_LEFT_OUT)]
    pairs.append(_string("tokenizer.ggml.model") + struct.pack("<I", _STRING_TYPE) + _string("no_vocab"))
    pairs.append(_string(size_key) + struct.pack("<II", _U32_TYPE, n_vocab))
    infos, end = _tensor_table(header)
    counts = struct.pack("<IQQ", _VERSION, len(header.tensors), len(pairs))
    head = b"".join([MAGIC, counts, *pairs, *infos])
    with path.open("wb") as file:
        file.write(head)
        file.truncate(_pad(len(head), header.alignment) + end)


def _tensor_table(header: GgufHeader) -> tuple[list[bytes], int]:
    """The tensors one after the other, as the format wants them, and where the last one ends."""
    from gguf import GGMLQuantizationType  # brings numpy along

    numbers = {kind.name: int(kind) for kind in GGMLQuantizationType} | {"Q2_0": 42}
    infos, offset = [], 0
    for tensor in header.tensors:
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        infos.append(_string(tensor.name) + shape + struct.pack("<IQ", numbers[tensor.type], offset))
        offset = _pad(offset + tensor.size_bytes, header.alignment)
    return infos, offset


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pad(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment
