"""The GGUF container: the bytes of one file to its metadata and its table of tensors, and nothing of the weights.

Every length and count that the file claims is held against what is left of the file before it is believed, so a
damaged or hostile header ends in a `ModelFileError`, not in a gigabyte of allocations.
The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the checks are those of llama.cpp's
`ggml/src/gguf.cpp` (commit 0c1e57098), so that what passes here is not refused there.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from llamabench.errors import ModelFileError
from llamabench.hardware.foreign import describe_foreign
from llamabench.units import format_bytes

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_NAME_BYTES = 63  # GGML_MAX_NAME less the terminating zero
_MAX_KEY_BYTES = 65_535  # the specification's limit
_MAX_STRING_BYTES = 1 << 24  # the longest chat templates are some 100 KiB
_MAX_STRINGS = 1 << 22  # in all arrays; the largest vocabularies have some 10^5 tokens and 10^6 merges
_MAX_PAIRS = 1 << 16  # models have some dozens
_MAX_TENSORS = 1 << 17  # the largest have some 10^4, with a tensor for each expert
_MAX_KEPT_BYTES = 1 << 26  # of metadata that is kept: a chat template, lists by layer, a vocabulary where it is wanted
_MAX_SIGNED = 1 << 63  # llama.cpp counts with signed 64-bit numbers
_MAX_SHORT_ARRAY = 1024  # llama.cpp takes 512 layers at most, and per-layer arrays are what is asked for
_MIN_PAIR_BYTES = 8 + 1 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_STRING, _ARRAY = 8, 9
_UNSIGNED, _BOOL = 4, 7
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    _UNSIGNED: _U32,
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    _BOOL: struct.Struct("<?"),
    10: _U64,
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_TYPE_NAMES = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64")


@dataclass(frozen=True, slots=True)
class LongArray:
    """Stands for an array that was skipped: the name of its element type, and how many elements it has."""

    type: str
    n: int


Value = bool | int | float | str | tuple[bool | int | float | str, ...] | LongArray
"""What a metadata key can hold."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: `shape` innermost dimension first, `offset` from the start of its file's data section."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Container:
    """What the header of one file says.

    Attributes:
        size_bytes: Length of the file, or what it says that it has where only its beginning is there.
        version: GGUF version.
        metadata: Its key-value pairs.
        pairs: The same as the file spells them, key and type included; without those that were skipped.
        tensors: Its tensors, in order.
        alignment: What offsets are a multiple of.
        data_offset: Where tensor data starts.
    """

    size_bytes: int
    version: int
    metadata: Mapping[str, Value]
    pairs: Mapping[str, bytes]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int


def quote(value: object) -> str:
    """A value from a file as messages show it: escaped, and cut where it is long.

    >>> quote("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."

    Args:
        value: Anything that was read.

    Returns:
        At most 43 characters without control characters.
    """
    text = repr(value)
    return text if len(text) <= 43 else f"{text[:40]}..."


class _TensorType(NamedTuple):
    name: str
    block_elements: int
    block_bytes: int


def parse_container(
    data: bytes | mmap.mmap, name: str, *, keep: Collection[str] = (), is_header_enough: bool = False
) -> Container:
    """Reads the header of one GGUF file.

    Args:
        data: The whole file, mapped.
        name: How messages call the file.
        keep: Keys whose arrays are wanted whole however long they are; others become a `LongArray` when they are.
        is_header_enough: Whether the file may end anywhere behind its header.

    Returns:
        Metadata and tensor table.

    Raises:
        ModelFileError: The file is no GGUF, of another version, cut short, or damaged.
    """
    reader = _Reader(data, name)
    version = _read_version(reader)
    n_tensors, n_pairs = reader.number(_U64), reader.number(_U64)
    reader.expect(n_pairs, _MIN_PAIR_BYTES)
    reader.bound(n_pairs, _MAX_PAIRS, "metadata keys")
    metadata, pairs = _read_metadata(reader, n_pairs, frozenset(keep))
    reader.expect(n_tensors, _MIN_TENSOR_BYTES)
    reader.bound(n_tensors, _MAX_TENSORS, "tensors")
    alignment = _alignment(reader, metadata, pairs)
    tensors = _read_tensors(reader, n_tensors, alignment)
    data_offset = _pad(reader.position, alignment) if tensors else reader.position
    end = data_offset + tensors[-1].offset + tensors[-1].size_bytes if tensors else data_offset
    if not is_header_enough:
        _check_length(reader, end)
    return Container(max(reader.size, end), version, metadata, pairs, tensors, alignment, data_offset)


def _check_length(reader: _Reader, needed: int) -> None:
    """Refuses a file that ends before its last tensor does."""
    if needed > reader.size:
        raise ModelFileError(
            f"{reader.name} needs {format_bytes(needed)}, the file holds {format_bytes(reader.size)}: "
            "the download is incomplete. Download it again."
        )


class _Reader:
    """A position in the bytes of a file; every step is checked against its end."""

    def __init__(self, data: bytes | mmap.mmap, name: str):
        self.data = data
        self.name = name
        self.size = len(data)
        self.position = 0
        self.n_kept_bytes = 0
        self.n_strings = 0

    def cut_short(self) -> ModelFileError:
        """The error for a header that the file ends within."""
        return ModelFileError(
            f"{self.name} ends within its own header, after {format_bytes(self.size)}: the download is incomplete or "
            "the file is damaged. Download it again."
        )

    def damaged(self, what: str) -> ModelFileError:
        """The error for a header that contradicts itself."""
        return ModelFileError(f"{self.name} is damaged: {what}. Download it again.")

    def expect(self, count: int, least_bytes: int) -> None:
        """Refuses a count of things that cannot fit into the rest of the file."""
        if count * least_bytes > self.size - self.position:
            raise self.cut_short()

    def bound(self, count: int, most: int, things: str) -> None:
        """Refuses a count of things that no model has, however large the file is."""
        if count > most:
            raise self.damaged(f"it claims {count} {things}, {most} are the most")

    def keep(self, n_bytes: int) -> None:
        """Counts metadata that will stay in memory."""
        self.n_kept_bytes += n_bytes
        if self.n_kept_bytes > _MAX_KEPT_BYTES:
            raise self.damaged(f"its metadata take more than {format_bytes(_MAX_KEPT_BYTES)}")

    def count_strings(self, count: int) -> None:
        """Counts texts of arrays, kept or not."""
        self.expect(count, 8)
        self.n_strings += count
        self.bound(self.n_strings, _MAX_STRINGS, "texts")

    def number(self, layout: struct.Struct) -> int:
        """The next integer."""
        value = self.scalar(layout)
        assert isinstance(value, int)
        return value

    def scalar(self, layout: struct.Struct) -> bool | int | float:
        """The next number or truth value."""
        self.expect(1, layout.size)
        value: bool | int | float = layout.unpack_from(self.data, self.position)[0]
        self.position += layout.size
        return value

    def string(self, limit: int) -> str:
        """The next string, of `limit` bytes at most."""
        length = self.number(_U64)
        self.expect(length, 1)
        if length > limit:
            raise self.damaged(f"it holds a text of {format_bytes(length)} where {format_bytes(limit)} are the most")
        self.keep(length)
        self.position += length
        return self.data[self.position - length : self.position].decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        """Steps over strings without making them; the one loop here that runs 10^5 times."""
        length_at, data, end, position = _U64.unpack_from, self.data, self.size - 8, self.position
        for _ in range(count):
            if position > end:
                raise self.cut_short()
            position += 8 + length_at(data, position)[0]
        if position > self.size:
            raise self.cut_short()
        self.position = position


def _read_version(reader: _Reader) -> int:
    magic = reader.data[:4]
    if magic != MAGIC:
        raise ModelFileError(
            f"{reader.name} is not a GGUF file: {describe_foreign(reader.data[:512])}. "
            "llama.cpp reads GGUF files only; look for a GGUF edition of the model."
        )
    reader.position = 4
    version = reader.number(_U32)
    if version & 0xFFFF == 0 and version:
        raise ModelFileError(
            f"{reader.name} is a big-endian GGUF file, made for another kind of processor. Use the little-endian one."
        )
    if version not in _VERSIONS:
        raise ModelFileError(
            f"{reader.name} is GGUF version {version}; versions 2 and 3 can be read. "
            "Convert the model again, or download a current file."
        )
    return version


def _read_metadata(reader: _Reader, n_pairs: int, keep: frozenset[str]) -> tuple[dict[str, Value], dict[str, bytes]]:
    metadata: dict[str, Value] = {}
    pairs: dict[str, bytes] = {}
    for _ in range(n_pairs):
        start = reader.position
        key = reader.string(_MAX_KEY_BYTES)
        if not key or key in metadata:
            raise reader.damaged(f"the metadata key {quote(key)} comes twice" if key else "a metadata key is empty")
        metadata[key] = _read_value(reader, key, keep)
        if not isinstance(metadata[key], LongArray):
            pairs[key] = reader.data[start : reader.position]
    return metadata, pairs


def _read_value(reader: _Reader, key: str, keep: frozenset[str]) -> Value:
    kind = reader.number(_U32)
    if kind == _STRING:
        return reader.string(_MAX_STRING_BYTES)
    if kind == _ARRAY:
        return _read_array(reader, key, keep)
    if kind not in _SCALARS:
        raise reader.damaged(f"{quote(key)} has a value of unknown type {kind}")
    return reader.scalar(_SCALARS[kind])


def _read_array(reader: _Reader, key: str, keep: frozenset[str]) -> Value:
    kind, n = reader.number(_U32), reader.number(_U64)
    is_wanted = n <= _MAX_SHORT_ARRAY or key in keep
    if kind == _STRING:
        reader.count_strings(n)
        if is_wanted:
            return tuple(reader.string(_MAX_STRING_BYTES) for _ in range(n))
        reader.skip_strings(n)
        return LongArray("string", n)
    if kind not in _SCALARS:
        raise reader.damaged(f"{quote(key)} is an array of unknown type {kind}")
    layout = _SCALARS[kind]
    reader.expect(n, layout.size)
    start = reader.position
    reader.position += n * layout.size
    if not is_wanted:
        return LongArray(_TYPE_NAMES[kind], n)
    reader.keep(n * layout.size)
    return tuple(item[0] for item in layout.iter_unpack(reader.data[start : reader.position]))


def _alignment(reader: _Reader, metadata: Mapping[str, Value], pairs: Mapping[str, bytes]) -> int:
    key = "general.alignment"
    alignment = metadata.get(key, _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise reader.damaged(f"its alignment is {quote(alignment)}, not a power of two")
    if key in pairs and _U32.unpack_from(pairs[key], 8 + len(key))[0] != _UNSIGNED:
        raise reader.damaged("its alignment is not of the type u32")
    return alignment


def _read_tensors(reader: _Reader, n_tensors: int, alignment: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    end = 0
    for _ in range(n_tensors):
        tensor = _read_tensor(reader)
        if tensor.name in tensors:
            raise reader.damaged(f"the tensor {quote(tensor.name)} comes twice")
        if tensor.offset != end:
            raise reader.damaged(f"the tensor {quote(tensor.name)} does not begin where the one before it ends")
        end = _pad(end + tensor.size_bytes, alignment)
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def _read_tensor(reader: _Reader) -> TensorInfo:
    name = reader.string(_MAX_NAME_BYTES)
    n_dimensions = reader.number(_U32)
    if n_dimensions > _MAX_DIMENSIONS:
        raise reader.damaged(f"the tensor {quote(name)} has {n_dimensions} dimensions")
    shape = tuple(reader.number(_U64) for _ in range(n_dimensions))
    type_id, offset = reader.number(_U32), reader.number(_U64)
    tensor_type = _tensor_types().get(type_id)
    if tensor_type is None:
        raise ModelFileError(
            f"{reader.name} stores the tensor {quote(name)} with ggml type {type_id}, which this version does not "
            "know. Use another quantization of the model, or update llamabench."
        )
    n_elements, row = math.prod(shape), shape[0] if shape else 1
    if max(n_elements, *shape, 0) >= _MAX_SIGNED or row % tensor_type.block_elements:
        raise reader.damaged(f"the tensor {quote(name)} cannot have the shape {shape} as {tensor_type.name}")
    size_bytes = n_elements // tensor_type.block_elements * tensor_type.block_bytes
    return TensorInfo(name, shape, tensor_type.name, offset, size_bytes)


@cache
def _tensor_types() -> dict[int, _TensorType]:
    """Tensor types by the number that ggml gives them."""
    from gguf import GGML_QUANT_SIZES  # brings numpy along: 0.15 s that `--help` should not pay

    types = {int(kind): _TensorType(kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    types.setdefault(42, _TensorType("Q2_0", 64, 18))  # in llama.cpp 0c1e57098, not yet in every gguf release
    return types


def _pad(position: int, alignment: int) -> int:
    return (position + alignment - 1) // alignment * alignment
