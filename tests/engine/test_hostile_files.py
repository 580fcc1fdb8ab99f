"""Files that pass every check and that llama.cpp dies of: in the child, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from llamabench.engine.process import Engine
from llamabench.errors import EngineDiedError
from llamabench.hardware.gguf import read_model

pytestmark = pytest.mark.model


@pytest.fixture
def killer(demo_model: Path, tmp_path: Path) -> Path:
    """The demo model with one token twice, which fails an assertion of llama.cpp's (`llama-vocab.cpp`)."""
    data = bytearray(demo_model.read_bytes())
    tokens = GGUFReader(demo_model).fields["tokenizer.ggml.tokens"]
    first, second = (tokens.parts[tokens.data[number]] for number in (ord("A"), ord("B")))
    assert (bytes(first), bytes(second)) == (b"A", b"B")
    at = data.index(b"\1" + bytes(7) + b"A" + b"\1" + bytes(7) + b"B")
    data[at + 17] = ord("A")
    path = tmp_path / "killer.gguf"
    path.write_bytes(data)
    return path


def test_what_llama_cpp_dies_of_is_told_and_the_next_model_runs(killer: Path, demo_model: Path) -> None:
    assert read_model(killer).name == read_model(demo_model).name
    with Engine(killer) as engine:
        told = r"llama.cpp gave up on .*killer.gguf: .*failed.* It had decoded nothing yet: the file is damaged"
        with pytest.raises(EngineDiedError, match=f"(?s){told}"):
            engine.template_sha256()
    with Engine(demo_model) as engine:
        assert engine.template_sha256()


def test_a_run_of_it_ends_with_one_error(killer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llamabench.runner import RunOptions, run

    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineDiedError, match="killer.gguf"):
        run(RunOptions(model=killer, suites=("preference",), out=tmp_path / "runs", limit=2), Silent())
    assert not (tmp_path / "runs").exists()


class Silent:
    """Progress that nobody sees."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: None
