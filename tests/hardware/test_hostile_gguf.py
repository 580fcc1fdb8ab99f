"""Files made to harm: refused before llama.cpp sees them, in few words, little time and little memory."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest

from llamabench.errors import ModelFileError
from llamabench.hardware.container import parse_container
from llamabench.hardware.gguf import read_model

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64, F64 = 0, 4, 5, 6, 7, 8, 9, 10, 12
CORPUS = json.loads((Path(__file__).parent / "hostile_headers.json").read_text(encoding="utf-8"))
"""Short inputs that a fuzzer found, each of which takes another way through the reader; compressed, in Base64."""


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...] = (8,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(*parts: bytes, n_tensors: int = 0, n_pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_pairs) + b"".join(parts)


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


MANY = 1 << 62
HOSTILE = {
    "pairs without end": gguf(n_pairs=MANY),
    "tensors without end": gguf(n_tensors=MANY),
    "counts that wrap around": gguf(n_tensors=(1 << 64) - 1, n_pairs=(1 << 64) - 1),
    "more pairs than any model": gguf(bytes(14 * 70_000), n_pairs=70_000),
    "more tensors than any model": gguf(bytes(24 * 140_000), n_tensors=140_000),
    "key longer than the file": gguf(struct.pack("<Q", MANY), bytes(20), n_pairs=1),
    "key that wraps around": gguf(struct.pack("<Q", (1 << 64) - 8), bytes(20), n_pairs=1),
    "key of 64 KiB": gguf(pair(b"k" * 65_536, U8, b"\0"), n_pairs=1),
    "array of arrays": gguf(pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1) + bytes(12)), n_pairs=1),
    "array of 2^62 bytes": gguf(pair("a", ARRAY, struct.pack("<IQ", U8, MANY)), bytes(99), n_pairs=1),
    "array whose size wraps around": gguf(pair("a", ARRAY, struct.pack("<IQ", F64, 1 << 61)), bytes(99), n_pairs=1),
    "array of empty texts": gguf(pair("a", ARRAY, struct.pack("<IQ", STRING, 5 << 20)), bytes(40 << 20), n_pairs=1),
    "many arrays of empty texts": gguf(
        *(pair(f"a{i}", ARRAY, struct.pack("<IQ", STRING, 1 << 20) + bytes(8 << 20)) for i in range(5)), n_pairs=5
    ),
    "texts that fill memory": gguf(*(pair(f"a{i}", STRING, text(bytes(16 << 20))) for i in range(5)), n_pairs=5),
    "value of unknown type": gguf(pair("a", 13, bytes(8)), n_pairs=1),
    "the same key twice": gguf(pair("a", U8, b"\0"), pair("a", U8, b"\1"), n_pairs=2),
    "alignment of nothing": gguf(pair("general.alignment", U32, u32(0)), n_pairs=1),
    "alignment of 48": gguf(pair("general.alignment", U32, u32(48)), n_pairs=1),
    "alignment that is signed": gguf(pair("general.alignment", I32, u32(32)), n_pairs=1),
    "alignment that is true": gguf(pair("general.alignment", BOOL, b"\1"), n_pairs=1),
    "alignment of 2^63": gguf(pair("general.alignment", U64, struct.pack("<Q", 1 << 63)), n_pairs=1),
    "alignment of 2 GiB": gguf(pair("general.alignment", U32, u32(1 << 31)), tensor("a"), n_pairs=1, n_tensors=1),
    "alignment that is a number with a point": gguf(pair("general.alignment", F32, bytes(4)), n_pairs=1),
    "tensor of unknown type": gguf(tensor("a", kind=1 << 31), n_tensors=1),
    "tensor of a type that was removed": gguf(tensor("a", kind=4), n_tensors=1),
    "five dimensions": gguf(tensor("a", (1,) * 5), n_tensors=1),
    "2^32 dimensions": gguf(text("a"), u32((1 << 32) - 1), bytes(64), n_tensors=1),
    "dimension that is negative": gguf(tensor("a", ((1 << 64) - 1,)), n_tensors=1),
    "negative dimension beside an empty one": gguf(tensor("a", ((1 << 64) - 1, 0)), n_tensors=1),
    "product that wraps to nothing": gguf(tensor("a", (1 << 32, 1 << 32)), n_tensors=1),
    "product that wraps to one": gguf(tensor("a", (3, 12297829382473034411)), n_tensors=1),
    "half a block": gguf(tensor("a", (16,), kind=2), n_tensors=1),
    "tensors that overlap": gguf(tensor("a"), tensor("b", offset=0), bytes(128), n_tensors=2),
    "tensor before its place": gguf(tensor("a"), tensor("b", offset=16), bytes(128), n_tensors=2),
    "tensor behind a gap": gguf(tensor("a"), tensor("b", offset=64), bytes(128), n_tensors=2),
    "tensor at the end of numbers": gguf(tensor("a"), tensor("b", offset=(1 << 64) - 32), bytes(128), n_tensors=2),
    "tensor beyond the file": gguf(tensor("a", (1 << 20,)), bytes(128), n_tensors=1),
    "tensor twice": gguf(tensor("a"), tensor("a", offset=32), bytes(128), n_tensors=2),
    "name of 64 bytes": gguf(tensor("a" * 64), bytes(128), n_tensors=1),
    "version 1": gguf(version=1),
    "other byte order": gguf(version=3 << 24),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(name: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ModelFileError) as caught:
        parse_container(HOSTILE[name], "model.gguf")
    assert time.perf_counter() - start < 1
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", sorted(HOSTILE.keys() - {"many arrays of empty texts"})
)  # whose steps tracemalloc slows down
@pytest.mark.parametrize("tokens", [(), ("a", "tokenizer.ggml.tokens")], ids=["skipped", "kept"])
def test_a_hostile_header_takes_little_memory(name: str, tokens: tuple[str, ...]) -> None:
    data = HOSTILE[name]
    tracemalloc.start()
    try:
        with contextlib.suppress(ModelFileError):
            parse_container(data, "model.gguf", keep=tokens, is_header_enough=True)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CORPUS)
def test_what_a_fuzzer_found_is_read_or_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(zlib.decompress(base64.b64decode(CORPUS[name])))
    for is_header_enough in (True, False):
        message = ""
        try:
            read_model(path, is_header_enough=is_header_enough)
        except ModelFileError as exc:
            message = str(exc)
        assert len(message) < 400
        assert message.isprintable()
