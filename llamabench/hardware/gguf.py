"""What a GGUF model file says about itself: read from its header, without touching the weights."""

from __future__ import annotations

import difflib
import math
import mmap
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llamabench.errors import ModelFileError
from llamabench.hardware.attention import kv_bytes_per_token
from llamabench.hardware.container import Container, LongArray, TensorInfo, Value, parse_container, quote
from llamabench.hardware.fingerprint import fingerprint_files
from llamabench.records import ModelFacts

_SPLIT_NAME = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf")
_MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_SIZE = 1 << 31
_GUESSED_FILE_TYPE = 1024

_NOT_MODELS = {
    "adapter": "a LoRA adapter, which changes a model but is none",
    "clip": "an image or audio projector, which belongs to a model but is none",
    "controlvector": "a control vector, which steers a model but is none",
    "imatrix": "an importance matrix, which helps to quantize a model but is none",
    "mmproj": "an image or audio projector, which belongs to a model but is none",
}
"""By `general.type` or `general.architecture`."""

_INPUT_STEMS = frozenset({"token_embd", "position_embd", "token_types", "per_layer_token_embd", "masked_embd"})
_OUTPUT_STEMS = frozenset(
    {
        "altup_proj",
        "altup_unembd_proj",
        "cls",
        "dec.output_norm",
        "dense_2",
        "dense_3",
        "enc.output_norm",
        "output",
        "output_norm",
        "output_res_score",
    }
)
_ARCHITECTURE = re.compile(r"[\w.-]{1,60}", re.ASCII)
_MAX_NAME = 100
_EXPERTS = re.compile(r"blk\.(\d+)\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps")
"""`LLM_FFN_EXPS_REGEX` in llama.cpp's `common/common.h`."""
_LAYER = re.compile(r"(?:enc\.|dec\.)?blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model; `data_offset` is where its tensor data starts."""

    path: Path
    size_bytes: int
    data_offset: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The headers of all parts of a model.

    Attributes:
        metadata: The first part's key-value pairs; long arrays appear as a `LongArray`.
        pairs: The same as the file spells them, long arrays left out.
        tensors: The tensors of all parts, in order; offsets count from the data section of their own part.
        alignment: What offsets are a multiple of.
        data_offset: Where tensor data starts in the first part.
        version: GGUF version.
        parts: The files, one unless the model is split.
    """

    metadata: Mapping[str, Value]
    pairs: Mapping[str, bytes]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int
    version: int
    parts: tuple[Part, ...]


def read_header(path: Path, *, keep: Collection[str] = (), is_header_enough: bool = False) -> GgufHeader:
    """Reads the header of a GGUF file, or of all files of a split model.

    Args:
        path: The file, or the first part of a split model.
        keep: Keys whose arrays are wanted whole however long they are, such as `tokenizer.ggml.tokens`.
        is_header_enough: Whether the files may lack their weights, or some of them.

    Returns:
        Metadata and tensor table.

    Raises:
        ModelFileError: A file is missing, unreadable, no GGUF, of another version, cut short or damaged, or is not
            the first part of a split model.
    """
    first = _read_container(path, keep, is_header_enough=is_header_enough)
    containers = [(path, first)]
    for other in _other_parts(path, first.metadata):
        containers.append((other, _read_container(other, (), is_header_enough=is_header_enough)))
    _check_split(containers)
    return GgufHeader(
        metadata=first.metadata,
        pairs=first.pairs,
        tensors=tuple(tensor for _, container in containers for tensor in container.tensors),
        alignment=first.alignment,
        data_offset=first.data_offset,
        version=first.version,
        parts=tuple(Part(file, container.size_bytes, container.data_offset) for file, container in containers),
    )


def read_model(path: Path, *, is_header_enough: bool = False) -> ModelFacts:
    """Reads what people and the planner need to know of a model.

    Args:
        path: The file, or the first part of a split model.
        is_header_enough: Whether the files may lack their weights, for a model that is planned and not run.

    Returns:
        The facts. In `layer_bytes`, weights outside the numbered layers that are neither input nor output count to
        the first layer, where llama.cpp puts them.

    Raises:
        ModelFileError: As `read_header`; or the file holds no language model, or lacks what describes one.
    """
    header = read_header(path, is_header_enough=is_header_enough)
    _check_is_model(header, path)
    integer = _Integers(header, path)
    n_layers, n_embd = integer.required("block_count", _MAX_LAYERS), integer.required("embedding_length", _MAX_SIZE)
    layer_bytes, input_bytes, output_bytes = _weights_by_place(header.tensors, n_layers)
    return ModelFacts(
        path=str(path),
        name=_name(header, path),
        architecture=str(header.metadata["general.architecture"]),
        quant=_quantization(header),
        size_bytes=sum(part.size_bytes for part in header.parts),
        n_params=sum(math.prod(tensor.shape) for tensor in header.tensors),
        n_layers=n_layers,
        n_ctx_train=integer.required("context_length", _MAX_SIZE),
        n_vocab=_n_vocab(header, path),
        n_embd=n_embd,
        layer_bytes=layer_bytes,
        output_bytes=output_bytes,
        input_bytes=input_bytes,
        kv_bytes_per_token=kv_bytes_per_token(header.metadata, n_layers=n_layers, n_embd=n_embd),
        has_chat_template=chat_template(header) is not None,
        fingerprint=_fingerprint(header),
        n_experts=integer.optional("expert_count"),
        n_experts_used=integer.optional("expert_used_count"),
        expert_bytes=_expert_bytes(header.tensors, n_layers),
        n_swa=integer.optional("attention.sliding_window"),
    )


def chat_template(header: GgufHeader) -> str | None:
    """The model's own chat template in Jinja2, None where it brings none."""
    template = header.metadata.get("tokenizer.chat_template")
    return template if isinstance(template, str) and template.strip() else None


# --- files and parts ----------------------------------------------------------------------------


def _read_container(path: Path, keep: Collection[str], *, is_header_enough: bool) -> Container:
    if not path.is_file():
        raise _not_a_file(path)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ModelFileError(f"{path.name} is empty: the download did not begin. Download it again.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse_container(data, path.name, keep=keep, is_header_enough=is_header_enough)
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror or exc}.") from exc


def _not_a_file(path: Path) -> ModelFileError:
    if path.is_dir():
        inside = sorted(entry.name for entry in path.glob("*.gguf"))
        hint = f"Name one of its files: {', '.join(inside[:5])}." if inside else "It holds no .gguf file."
        return ModelFileError(f"{path} is a folder, not a model file. {hint}")
    if path.exists():
        return ModelFileError(f"{path} is a device or a pipe, not a model file.")
    beside = [entry.name for entry in path.parent.glob("*.gguf")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, sorted(beside), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else " Check the path."
    return ModelFileError(f"There is no model file at {path}.{hint}")


def _other_parts(path: Path, metadata: Mapping[str, Value]) -> Iterator[Path]:
    """The files after the first of a split model.

    llama.cpp finds them by name, from `split.count` in the metadata (`llama_get_list_splits`).
    """
    count = metadata.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return
    name = _SPLIT_NAME.fullmatch(path.name)
    if name is None or int(name["count"]) != count:
        raise ModelFileError(
            f"{path.name} is one of {count} parts, but its name does not say which. "
            f"Rename the parts as they were published: NAME-00001-of-{count:05}.gguf and so on."
        )
    if metadata.get("split.no", 0) != 0 or int(name["part"]) != 1:
        raise ModelFileError(
            f"{path.name} is not the first part of its model. Name the first: {_part_name(name['stem'], 1, count)}"
        )
    for number in range(2, count + 1):
        part = path.with_name(_part_name(name["stem"], number, count))
        if not part.is_file():
            raise ModelFileError(f"{path.name} needs {part.name} beside it, which is missing. Download all its parts.")
        yield part


def name_parts(path: Path) -> tuple[Path, ...]:
    """The files of a model by the name of the first alone; whether they are there is not looked at.

    Args:
        path: The file, or the first part of a split model.
    """
    name = _SPLIT_NAME.fullmatch(path.name)
    if name is None or int(name["part"]) != 1:
        return (path,)
    count = int(name["count"])
    return tuple(path.with_name(_part_name(name["stem"], number, count)) for number in range(1, count + 1))


def _part_name(stem: str, number: int, count: int) -> str:
    return f"{stem}-{number:05}-of-{count:05}.gguf"


def _check_split(containers: list[tuple[Path, Container]]) -> None:
    """Refuses parts that are not of one model, or not in order."""
    first_path, first = containers[0]
    if len(containers) == 1:
        return
    for number, (path, container) in enumerate(containers):
        if container.metadata.get("split.no") != number:
            raise ModelFileError(f"{path.name} does not hold part {number + 1} of its model. Download it again.")
    expected, found = first.metadata.get("split.tensors.count"), sum(len(c.tensors) for _, c in containers)
    if expected is not None and expected != found:
        raise ModelFileError(
            f"{first_path.name} and its parts hold {found} tensors, {expected} are announced: "
            "the parts are not of one model. Download them again."
        )


# --- facts --------------------------------------------------------------------------------------


def _check_is_model(header: GgufHeader, path: Path) -> None:
    architecture = header.metadata.get("general.architecture")
    for kind in (header.metadata.get("general.type"), architecture):
        if isinstance(kind, str) and kind in _NOT_MODELS:
            raise ModelFileError(f"{path.name} is {_NOT_MODELS[kind]}. Name the model's own file.")
    if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
        raise ModelFileError(
            f"{path.name} does not name its architecture (general.architecture), so it holds no model that "
            "llama.cpp could run. Look for another GGUF edition of the model."
        )
    if not header.tensors:
        raise ModelFileError(f"{path.name} holds a vocabulary but no weights. Name the model's own file.")


def _fingerprint(header: GgufHeader) -> str:
    try:
        return fingerprint_files((part.path, part.data_offset) for part in header.parts)
    except OSError as exc:
        raise ModelFileError(f"{exc.filename} cannot be read: {exc.strerror}.") from exc


class _Integers:
    """Reads the numbers that the architecture's own keys hold."""

    def __init__(self, header: GgufHeader, path: Path):
        self.metadata = header.metadata
        self.name = path.name

    def required(self, key: str, limit: int) -> int:
        key = f"{self.metadata['general.architecture']}.{key}"
        value = self.metadata.get(key)
        if value is None:
            raise ModelFileError(f"{self.name} does not say {key}. Look for another GGUF edition of the model.")
        if not isinstance(value, int) or not 0 < value <= limit:
            raise ModelFileError(f"{self.name} says that {key} is {quote(value)}, which cannot be. Download it again.")
        return value

    def optional(self, key: str) -> int:
        """The number, 0 where there is none that makes sense."""
        value = self.metadata.get(f"{self.metadata['general.architecture']}.{key}")
        return value if isinstance(value, int) and 0 < value <= _MAX_SIZE else 0


def _name(header: GgufHeader, path: Path) -> str:
    """The name in the file, without what would upset a terminal; else the file's own."""
    name = header.metadata.get("general.name")
    printable = "".join(c if c.isprintable() else " " for c in name).strip() if isinstance(name, str) else ""
    if printable not in ("", "n/a"):
        return printable[:_MAX_NAME]
    split = _SPLIT_NAME.fullmatch(path.name)
    return split["stem"] if split else path.stem


def _quantization(header: GgufHeader) -> str:
    """The file type's usual name; of a file that does not give one, the type of most of its bytes."""
    from gguf import LlamaFileType  # brings numpy along: 0.15 s that `--help` should not pay

    file_type = header.metadata.get("general.file_type")
    names = {int(kind): kind.name for kind in LlamaFileType}
    if isinstance(file_type, int) and file_type & ~_GUESSED_FILE_TYPE in names:
        return names[file_type & ~_GUESSED_FILE_TYPE].removeprefix("MOSTLY_").removeprefix("ALL_")
    sizes: Counter[str] = Counter()
    for tensor in header.tensors:
        sizes[tensor.type] += tensor.size_bytes
    return sizes.most_common(1)[0][0]


def _n_vocab(header: GgufHeader, path: Path) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.n
    if isinstance(tokens, tuple) and tokens:
        return len(tokens)
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
            return tensor.shape[1]
    raise ModelFileError(f"{path.name} holds neither a vocabulary nor token embeddings. Name a language model's file.")


def _weights_by_place(tensors: tuple[TensorInfo, ...], n_layers: int) -> tuple[tuple[int, ...], int, int]:
    """Bytes of each repeating layer, of the input and of the output.

    The token embedding counts to both where there is no `output.weight`: llama.cpp makes the output layer a copy of
    it. Source: `LLM_TENSOR_INFOS` in llama.cpp's `src/llama-arch.cpp`, commit 0c1e57098.
    """
    layers, in_bytes, out_bytes = [0] * n_layers, 0, 0
    names = {tensor.name for tensor in tensors}
    for tensor in tensors:
        layer, stem = _LAYER.match(tensor.name), tensor.name.removesuffix(".weight").removesuffix(".bias")
        if layer:
            layers[min(int(layer[1]), n_layers - 1)] += tensor.size_bytes
        elif stem.split(".")[0] in _INPUT_STEMS:
            in_bytes += tensor.size_bytes
        elif stem in _OUTPUT_STEMS or stem.split(".")[0] in _OUTPUT_STEMS:
            out_bytes += tensor.size_bytes
        else:
            layers[0] += tensor.size_bytes
        if stem == "token_embd" and "output.weight" not in names:
            out_bytes += tensor.size_bytes
    return tuple(layers), in_bytes, out_bytes


def _expert_bytes(tensors: tuple[TensorInfo, ...], n_layers: int) -> tuple[int, ...]:
    """Bytes of each layer's experts; empty where there are none."""
    layers = [0] * n_layers
    for tensor in tensors:
        if match := _EXPERTS.match(tensor.name):
            layers[min(int(match[1]), n_layers - 1)] += tensor.size_bytes
    return tuple(layers) if any(layers) else ()
