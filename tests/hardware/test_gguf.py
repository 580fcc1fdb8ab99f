"""The GGUF reader: facts of whole files, clear errors for all others, and nothing else for damaged ones."""

import dataclasses
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from llamabench.errors import ModelFileError
from llamabench.hardware.container import LongArray, parse_container
from llamabench.hardware.gguf import chat_template, read_header, read_model

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not beside this checkout")
SHARED_MODELS = sorted([*SHARED.glob("models/*.gguf"), *SHARED.glob("archs/*.gguf")])

Change = Callable[[gguf.GGUFWriter], None]


def write_model(path: Path, *changes: Change, tied: bool = False, **options: object) -> Path:
    """Writes a llama of two layers, 64 wide, with 300 tokens and 4 heads over 2 key-value heads."""
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_name("Tiny Llama")
    writer.add_block_count(2)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_token_list([f"<{i}>" for i in range(300)])
    writer.add_chat_template("{{ messages }}")
    for change in changes:
        change(writer)
    rng = np.random.default_rng(7)
    shapes = {"token_embd.weight": (300, 64), "output_norm.weight": (64,), "rope_freqs.weight": (8,)}
    shapes |= {f"blk.{i}.attn_q.weight": (64, 64) for i in range(2)} | {"blk.1.ffn_up.weight": (128, 64)}
    if not tied:
        shapes["output.weight"] = (300, 64)
    for name, shape in shapes.items():
        writer.add_tensor(name, rng.random(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


def fails_with(path: Path, words: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert words in str(caught.value)


# --- whole files --------------------------------------------------------------------------------


def test_facts(model: Path) -> None:
    facts = read_model(model)
    assert (facts.name, facts.architecture, facts.quant) == ("Tiny Llama", "llama", "Q4_K_M")
    assert (facts.n_layers, facts.n_ctx_train, facts.n_vocab, facts.n_embd) == (2, 2048, 300, 64)
    assert facts.size_bytes == model.stat().st_size
    assert facts.n_params == 2 * 300 * 64 + 64 + 8 + 2 * 64 * 64 + 128 * 64
    assert facts.input_bytes == 300 * 64 * 4
    assert facts.output_bytes == 300 * 64 * 4 + 64 * 4
    assert facts.layer_bytes == (64 * 64 * 4 + 8 * 4, 64 * 64 * 4 + 128 * 64 * 4)
    assert facts.kv_bytes_per_token == (2 * (2 * 16 + 2 * 16),) * 2
    assert facts.has_chat_template
    assert len(facts.fingerprint) == 64


def test_a_header_alone_says_the_same(model: Path, tmp_path: Path) -> None:
    whole, header = read_model(model), tmp_path / "header.gguf"
    header.write_bytes(model.read_bytes()[: read_header(model).data_offset])
    with pytest.raises(ModelFileError, match="the download is incomplete"):
        read_model(header)
    facts = read_model(header, is_header_enough=True)
    assert facts.size_bytes == whole.size_bytes
    assert dataclasses.replace(facts, path=whole.path, fingerprint=whole.fingerprint) == whole
    header.write_bytes(model.read_bytes()[:100])
    with pytest.raises(ModelFileError, match="incomplete"):
        read_model(header, is_header_enough=True)


def test_tied_embeddings_count_to_input_and_output(tmp_path: Path) -> None:
    facts = read_model(write_model(tmp_path / "tied.gguf", tied=True))
    assert facts.input_bytes == 300 * 64 * 4
    assert facts.output_bytes == 300 * 64 * 4 + 64 * 4


def test_name_falls_back_to_the_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "qwen-3b.gguf", lambda writer: writer.kv_data[0].pop("general.name"))
    assert read_model(path).name == "qwen-3b"


def test_name_cannot_upset_a_terminal(tmp_path: Path) -> None:
    path = write_model(
        tmp_path / "a.gguf", lambda writer: replace(writer, "general.name", "\x1b[2Jevil\nname" + "x" * 200)
    )
    name = read_model(path).name
    assert name.startswith("[2Jevil name")
    assert len(name) == 100


def test_quantization_falls_back_to_the_type_of_most_bytes(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", lambda writer: writer.kv_data[0].pop("general.file_type"))
    assert read_model(path).quant == "F32"


def test_long_arrays_are_skipped_unless_wanted(tmp_path: Path) -> None:
    tokens = [f"token {i}" for i in range(2000)]
    path = write_model(
        tmp_path / "a.gguf",
        lambda writer: writer.add_token_merges(tokens),
        lambda writer: writer.add_token_scores([0.5] * 2000),
        lambda writer: writer.add_array("general.tags", ["a", "b"]),
    )
    metadata = read_header(path).metadata
    assert metadata["tokenizer.ggml.merges"] == LongArray("string", 2000)
    assert metadata["tokenizer.ggml.scores"] == LongArray("f32", 2000)
    assert metadata["general.tags"] == ("a", "b")
    kept = read_header(path, keep=["tokenizer.ggml.merges"]).metadata
    assert kept["tokenizer.ggml.merges"] == tuple(tokens)


def test_large_vocabularies_are_quick(tmp_path: Path) -> None:
    strings = b"".join(struct.pack("<Q", 6) + b"abcdef" for _ in range(150_000))
    pair = pack_string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 150_000) + strings
    start = time.perf_counter()
    container = parse_container(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + pair, "large.gguf")
    assert time.perf_counter() - start < 0.15
    assert container.metadata["tokenizer.ggml.tokens"] == LongArray("string", 150_000)


def test_version_2_reads_like_version_3(model: Path) -> None:
    third = read_header(model)
    data = bytearray(model.read_bytes())
    data[4:8] = struct.pack("<I", 2)
    model.write_bytes(data)
    second = read_header(model)
    assert second.version == 2
    assert (second.metadata, second.tensors) == (third.metadata, third.tensors)


def test_alignment_is_followed(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.gguf", lambda writer: writer.add_custom_alignment(256))
    header = read_header(path)
    assert header.alignment == 256
    assert header.data_offset % 256 == 0
    check_against_peer(path)


@pytest.mark.parametrize(("template", "expected"), [("x", "x"), ("", None), (" ", None)])
def test_chat_template(tmp_path: Path, template: str, expected: str | None) -> None:
    path = write_model(tmp_path / "a.gguf", lambda writer: replace(writer, "tokenizer.chat_template", template))
    assert chat_template(read_header(path)) == expected
    assert read_model(path).has_chat_template == (expected is not None)


def replace(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    pair = writer.kv_data[0][key]
    writer.kv_data[0][key] = dataclasses.replace(pair, value=value)


# --- memory of the context ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "keys", "expected"),
    [
        ("llama", {"attention.key_length": 32, "attention.value_length": 8}, (160, 160)),
        ("llama", {"attention.head_count_kv": [2, 0]}, (128, 0)),
        ("llama", {"attention.head_count_kv": 0}, (0, 0)),
        (
            "deepseek2",
            {
                "attention.key_length_mla": 192,
                "attention.head_count_kv": 1,
                "attention.kv_lora_rank": 512,
                "rope.dimension_count": 64,
            },
            (1152, 1152),
        ),
        ("mamba2", {}, (0, 0)),
        ("qwen35", {"attention.recurrent_layers": [True, False]}, (0, 128)),
        ("qwen35", {"full_attention_interval": 2}, (0, 128)),
        ("qwen3next", {}, (0, 0)),
        ("lfm2", {"attention.head_count_kv": [0, 2]}, (0, 128)),
        ("gemma4", {"attention.shared_kv_layers": 1}, (128, 0)),
        ("gemma4", {"attention.key_length_swa": 64, "attention.value_length_swa": 32}, (384, 384)),
        ("glm4moe", {"nextn_predict_layers": 1}, (128, 0)),
    ],
)
def test_kv_cache_by_layer(tmp_path: Path, architecture: str, keys: dict[str, object], expected: tuple[int]) -> None:
    def rename(writer: gguf.GGUFWriter) -> None:
        pairs = writer.kv_data[0]
        for key in [key for key in pairs if key.startswith("llama.")]:
            pairs[key.replace("llama", architecture)] = pairs.pop(key)
        replace(writer, "general.architecture", architecture)
        for key, value in keys.items():
            pairs.pop(f"{architecture}.{key}", None)
            add = writer.add_array if isinstance(value, list) else writer.add_uint32
            add(f"{architecture}.{key}", value)

    assert read_model(write_model(tmp_path / "a.gguf", rename)).kv_bytes_per_token == expected


# --- split models -------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    write_model(tmp_path / "big.gguf", split_max_tensors=3)
    return sorted(tmp_path.glob("big-*.gguf"))


def test_split_model_is_read_as_one(parts: list[Path], tmp_path: Path) -> None:
    whole = read_model(write_model(tmp_path / "whole.gguf"))
    split = read_model(parts[0])
    assert [part.path for part in read_header(parts[0]).parts] == parts
    assert len(parts) == 3
    assert split.size_bytes == sum(part.stat().st_size for part in parts)
    same = ("n_params", "layer_bytes", "input_bytes", "output_bytes", "n_vocab")
    assert [getattr(split, name) for name in same] == [getattr(whole, name) for name in same]


def test_missing_part_is_named(parts: list[Path]) -> None:
    parts[1].unlink()
    fails_with(parts[0], "big-00001-of-00003.gguf needs big-00002-of-00003.gguf beside it, which is missing")


def test_other_part_names_the_first(parts: list[Path]) -> None:
    fails_with(parts[1], "is not the first part of its model. Name the first: big-00001-of-00003.gguf")


def test_renamed_part_says_how_to_name_it(parts: list[Path]) -> None:
    fails_with(parts[0].rename(parts[0].with_name("mine.gguf")), "NAME-00001-of-00003.gguf")


def test_parts_in_the_wrong_order_are_refused(parts: list[Path]) -> None:
    second, third = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(third)
    parts[2].write_bytes(second)
    fails_with(parts[0], "does not hold part 2 of its model")


def test_truncated_part_is_named(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[2].read_bytes()[:-3000])
    fails_with(parts[0], "big-00003-of-00003.gguf needs")


# --- errors -------------------------------------------------------------------------------------


def test_missing_file_offers_near_names(model: Path) -> None:
    fails_with(model.with_name("tinny.gguf"), "Did you mean tiny.gguf?")
    fails_with(model.parent / "no" / "such.gguf", "There is no model file at")


def test_folder_names_its_models(model: Path, tmp_path: Path) -> None:
    fails_with(tmp_path, "is a folder, not a model file. Name one of its files: tiny.gguf.")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "is empty"),
        (struct.pack("<Q", 90) + b'{"__metadata__":{', "it is a safetensors file"),
        (b"PK\x03\x04rest", "it is a zip archive, as PyTorch writes"),
        (b"\x80\x02}q\x00", "it is a Python pickle"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"\n <html><body>Log in", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "it is a git-lfs pointer"),
        (b'{"error": "not found"}', "it is JSON text"),
        (b"\0" * 4096, "it begins with zeros"),
        (b"tjgg\x03\0\0\0", "the format before GGUF"),
        (b"hello", 'it begins with the text "hello"'),
        (b"once upon a time", 'it begins with the text "once upon a "'),
        (b"\x01\x02hello", "it begins with the bytes 01 02 68 65"),
        (b"GG", "is not a GGUF file"),
        (b"GGUF", "ends within its own header"),
        (b"GGUF" + struct.pack("<I", 1), "is GGUF version 1; versions 2 and 3 can be read"),
        (b"GGUF" + struct.pack("<I", 9), "is GGUF version 9"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "ends within its own header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "ends within its own header"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "does not name its architecture"),
    ],
)
def test_what_is_no_model_is_told_apart(tmp_path: Path, head: bytes, words: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(head)
    fails_with(path, words)


def test_big_endian_of_the_writer(tmp_path: Path) -> None:
    fails_with(write_model(tmp_path / "a.gguf", endianess=gguf.GGUFEndian.BIG), "big-endian")


def test_incomplete_download(model: Path) -> None:
    data = model.read_bytes()
    model.write_bytes(data[:60_000])
    fails_with(model, "tiny.gguf needs 218.8 KiB, the file holds 58.6 KiB: the download is incomplete.")
    model.write_bytes(data[:400])
    fails_with(model, "tiny.gguf ends within its own header, after 400 B")


def test_vocabulary_without_weights(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "vocab.gguf", "llama")
    writer.add_token_list(["a", "b"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read_header(tmp_path / "vocab.gguf").tensors == ()
    fails_with(tmp_path / "vocab.gguf", "vocab.gguf holds a vocabulary but no weights")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda writer: writer.add_type("adapter"), "is a LoRA adapter"),
        (lambda writer: replace(writer, "general.architecture", "clip"), "is an image or audio projector"),
        (lambda writer: replace(writer, "general.architecture", "qwen3"), "does not say qwen3.block_count"),
        (lambda writer: replace(writer, "llama.block_count", 4_000_000_000), "llama.block_count is 4000000000"),
        (lambda writer: replace(writer, "llama.block_count", 0), "llama.block_count is 0, which cannot be"),
    ],
)
def test_what_cannot_be_scored_says_what_it_is(tmp_path: Path, change: Change, words: str) -> None:
    fails_with(write_model(tmp_path / "a.gguf", change), words)


def pack_string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def pack_tensor(name: str, shape: tuple[int, ...], kind: int, offset: int = 0) -> bytes:
    numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return pack_string(name) + numbers


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([pack_tensor("a", (32,), 999)], "stores the tensor 'a' with ggml type 999"),
        ([pack_tensor("a", (33,), 2)], "the tensor 'a' cannot have the shape (33,) as Q4_0"),
        ([pack_tensor("a", (1 << 40, 1 << 40), 0)], "cannot have the shape"),
        ([pack_tensor("a", (1,) * 5, 0)], "has 5 dimensions"),
        ([pack_tensor("a", (8,), 0), pack_tensor("a", (8,), 0, 32)], "the tensor 'a' comes twice"),
        ([pack_tensor("a", (8,), 0), pack_tensor("b", (8,), 0, 64)], "'b' does not begin where the one before it ends"),
        ([pack_tensor("a" * 64, (8,), 0)], "it holds a text of 64 B where 63 B are the most"),
        ([pack_tensor("a", (1 << 33,), 0)], "needs 32.0 GiB, the file holds"),
    ],
)
def test_tensor_table_is_checked(tensors: list[bytes], words: str) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + b"".join(tensors) + bytes(200)
    with pytest.raises(ModelFileError) as caught:
        parse_container(data, "model.gguf")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([pack_string("") + struct.pack("<IB", 0, 1)], "a metadata key is empty"),
        ([pack_string("a") + struct.pack("<IB", 0, 1)] * 2, "the metadata key 'a' comes twice"),
        ([pack_string("a") + struct.pack("<IB", 13, 1)], "'a' has a value of unknown type 13"),
        ([pack_string("a") + struct.pack("<IIQ", 9, 9, 1)], "'a' is an array of unknown type 9"),
        ([pack_string("a") + struct.pack("<IIQ", 9, 8, 1 << 50)], "ends within its own header"),
        ([pack_string("a") + struct.pack("<IIQ", 9, 10, 1 << 61)], "ends within its own header"),
        ([pack_string("a") + struct.pack("<IQ", 8, 1 << 62)], "ends within its own header"),
        ([pack_string("general.alignment") + struct.pack("<II", 4, 48)], "its alignment is 48, not a power of two"),
    ],
)
def test_metadata_is_checked(pairs: list[bytes], words: str) -> None:
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs) + bytes(200)
    with pytest.raises(ModelFileError) as caught:
        parse_container(data, "model.gguf")
    assert words in str(caught.value)


def outcome(path: Path) -> str:
    """What reading a file says, the model's name if it can be read."""
    try:
        return read_model(path).name
    except ModelFileError as exc:
        return str(exc)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_headers_end_in_a_header_or_a_clear_error(model: Path, seed: int) -> None:
    rng = random.Random(seed)
    whole = model.read_bytes()
    n_header = read_header(model).data_offset
    start = time.perf_counter()
    for _ in range(20):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            width = rng.choice((1, 4, 8))
            at = rng.randrange(4, n_header - width)
            data[at : at + width] = rng.choice((rng.randbytes(width), b"\xff" * width, b"\0" * width))
        model.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
        message = outcome(model)
        assert len(message) < 400
        assert message.isprintable()
    assert time.perf_counter() - start < 0.2


def test_every_truncation_of_the_header_is_an_error(model: Path) -> None:
    whole = model.read_bytes()[: read_header(model).data_offset]
    for length in range(0, len(whole), 7):
        with pytest.raises(ModelFileError):
            parse_container(whole[:length], "model.gguf")


# --- fingerprint --------------------------------------------------------------------------------


def test_fingerprint_follows_contents_not_place(model: Path) -> None:
    before = read_model(model).fingerprint
    assert read_model(model.rename(model.with_name("moved.gguf"))).fingerprint == before


@pytest.mark.parametrize("at", [0, 777, -1])
def test_fingerprint_sees_every_byte_of_a_small_file(model: Path, at: int) -> None:
    before = read_header(model), read_model(model).fingerprint
    data = bytearray(model.read_bytes())
    offset = before[0].data_offset if at >= 0 else 0
    data[offset + at] ^= 1
    model.write_bytes(data)
    assert read_model(model).fingerprint != before[1]


def test_fingerprint_sees_size_header_and_samples_of_a_large_file(model: Path) -> None:
    with model.open("r+b") as file:
        file.truncate(40 << 20)
    seen = {read_model(model).fingerprint}
    n_header = read_header(model).data_offset
    last = (40 << 20) - (64 << 10)
    samples = [n_header + (last - n_header) * i // 63 for i in (0, 1, 31, 63)]
    for at in [*samples, samples[-1] + (64 << 10) - 1]:
        with model.open("r+b") as file:
            file.seek(at)
            file.write(b"\x55")
        seen.add(read_model(model).fingerprint)
    with model.open("r+b") as file:
        file.truncate((40 << 20) + 1)
    seen.add(read_model(model).fingerprint)
    assert len(seen) == 7


def test_fingerprint_of_a_split_model_covers_every_part(parts: list[Path]) -> None:
    before = read_model(parts[0]).fingerprint
    data = bytearray(parts[2].read_bytes())
    data[-1] ^= 1
    parts[2].write_bytes(data)
    assert read_model(parts[0]).fingerprint != before


# --- against the gguf package's own reader ------------------------------------------------------


def check_against_peer(path: Path) -> None:
    """Compares everything with `gguf.GGUFReader`."""
    peer = gguf.GGUFReader(path)
    header = read_header(path, keep=peer.fields.keys())
    assert header.data_offset == peer.data_offset
    assert header.alignment == peer.alignment
    assert [(t.name, t.shape, t.type, t.size_bytes) for t in header.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, t.n_bytes) for t in peer.tensors
    ]
    assert [header.data_offset + t.offset for t in header.tensors] == [int(t.data_offset) for t in peer.tensors]
    keys = [key for key in peer.fields if not key.startswith("GGUF.")]
    assert list(header.metadata) == keys
    for key in keys:
        theirs = peer.fields[key].contents()
        assert header.metadata[key] == (tuple(theirs) if isinstance(theirs, list) else theirs), key


def test_reads_what_the_peer_reads(model: Path) -> None:
    check_against_peer(model)


@needs_shared
@pytest.mark.parametrize("path", SHARED_MODELS, ids=lambda path: path.stem)
def test_shared_models_read_like_the_peer(path: Path) -> None:
    check_against_peer(path)
    facts = read_model(path)
    header = read_header(path)
    assert facts.n_params == sum(int(np.prod(t.shape)) for t in header.tensors)
    assert sum(facts.layer_bytes) + facts.input_bytes + facts.output_bytes == sum(t.size_bytes for t in header.tensors)
    assert facts.quant == "F32"
    assert facts.n_vocab == {"stories260K": 512}.get(path.stem, 128)


@needs_shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama-dense", (1024, 1024)),
        ("deepseek2-moe", (1152, 1152)),
        ("lfm2-dense", (1024, 0)),
        ("mamba2-dense", (0, 0)),
        ("qwen35-dense", (0, 1024)),
        ("minimax-01-moe", (0, 1024)),
    ],
)
def test_kv_cache_as_llama_cpp_allocates_it(name: str, expected: tuple[int, int]) -> None:
    """Sizes that llama.cpp 0c1e57098 logged for 65,536 cells, by the cell."""
    assert read_model(SHARED / "archs" / f"{name}.gguf").kv_bytes_per_token == expected
