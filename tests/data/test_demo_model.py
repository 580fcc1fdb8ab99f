from __future__ import annotations

import os
from pathlib import Path

import gguf
import numpy as np
import pytest

from llamabench.data import demo_model as made
from llamabench.data.demo_model import (
    DEMO_NAME,
    DEMO_SHAPE,
    Shape,
    byte_vocabulary,
    ensure_demo_model,
    write_random_model,
)
from llamabench.hardware.gguf import read_model

TINY = Shape(n_layer=1, n_embd=64, n_head=4, n_head_kv=2, n_ff=96, n_ctx=128)


def test_it_is_the_model_it_says_it_is(demo_model: Path) -> None:
    facts = read_model(demo_model)
    assert facts.name == DEMO_NAME
    assert (facts.architecture, facts.quant) == ("llama", "F32")
    assert (facts.n_layers, facts.n_embd, facts.n_ctx_train) == (DEMO_SHAPE.n_layer, 128, 4096)
    assert facts.n_vocab == len(byte_vocabulary().tokens)
    assert facts.has_chat_template
    assert facts.size_bytes < 8 << 20


def test_it_is_the_same_every_time(demo_model: Path, tmp_path: Path) -> None:
    assert ensure_demo_model(tmp_path).read_bytes() == demo_model.read_bytes()


def test_it_is_made_once(tmp_path: Path) -> None:
    path = ensure_demo_model(tmp_path / "new" / "folder")
    path.write_bytes(b"changed")
    assert ensure_demo_model(tmp_path / "new" / "folder").read_bytes() == b"changed"
    assert os.listdir(path.parent) == [path.name]


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", fail)
    with pytest.raises(OSError, match="No space left"):
        ensure_demo_model(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_into_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for number in (1, 2):
        monkeypatch.setattr(made.os, "getpid", lambda number=number: number)
        monkeypatch.setattr(made, "_write", lambda path, *_, **__: (names.append(path), path.write_bytes(b"x")))
        write_random_model(tmp_path / "m.gguf", TINY, byte_vocabulary(), name="x")
    assert len(set(names)) == 2


def test_every_byte_has_a_token() -> None:
    vocabulary = byte_vocabulary()
    assert len(set(vocabulary.tokens)) == len(vocabulary.tokens) == len(vocabulary.types)
    assert all(len(token) == 1 for token in vocabulary.tokens[:256])
    assert vocabulary.tokens[vocabulary.bos] == "<|begin|>"
    assert vocabulary.tokens[vocabulary.eos] == "<|end|>"


def test_every_merge_joins_two_tokens_that_are_there() -> None:
    vocabulary = byte_vocabulary()
    known = set(vocabulary.tokens[:256])
    for merge in vocabulary.merges:
        left, right = merge.split(" ")
        assert {left, right} <= known
        assert left + right in vocabulary.tokens
        known.add(left + right)


@pytest.mark.parametrize("quant", ["F32", "Q8_0", "Q4_0"])
def test_matrices_are_quantized_and_norms_are_not(tmp_path: Path, quant: str) -> None:
    path = tmp_path / "m.gguf"
    write_random_model(path, TINY, byte_vocabulary(), name="tiny", quant=quant)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert tensors["blk.0.attn_q.weight"].tensor_type.name == quant
    assert tensors["output_norm.weight"].tensor_type.name == "F32"
    assert read_model(path).quant == quant
    if quant == "F32":
        weights = np.asarray(tensors["blk.0.ffn_up.weight"].data)
        assert weights.shape == (96, 64)
        assert abs(float(weights.std()) * 8 - 1) < 0.05
