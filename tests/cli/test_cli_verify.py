"""`--verify`: the model is opened only if it is the one that is meant."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamabench.errors import LlamabenchError
from llamabench.evaluating import evaluate

Command = Callable[..., Any]
COMMANDS = (["run"], ["redteam"], ["plan"], ["bench"], ["score", "nowhere", "--judge"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_another_file_is_not_opened(llamabench: Command, command: list[str]) -> None:
    Path("x.gguf").write_bytes(b"no model")  # which reading it would say
    done = llamabench(*command, "x.gguf", "--verify", "sha256:" + "0" * 64)
    assert (done.code, done.out) == (1, "")
    assert "x.gguf is not the file that is meant" in done.err
    assert hashlib.sha256(b"no model").hexdigest() in done.err
    assert "0" * 64 in done.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_right_file_is_opened(llamabench: Command, command: list[str]) -> None:
    Path("x.gguf").write_bytes(b"no model")
    done = llamabench(*command, "x.gguf", "--verify", "SHA256:" + hashlib.sha256(b"no model").hexdigest().upper())
    assert (done.code, done.out) == (1, "")
    assert "x.gguf is not the file" not in done.err
    assert "is not a GGUF file" in done.err or "nowhere" in done.err


def test_a_run_of_a_verified_model(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    digest = hashlib.sha256(demo_model.read_bytes()).hexdigest()
    done = llamabench("run", str(demo_model), "--suite", "preference", "--limit", "4", "--verify", f"sha256:{digest}")
    assert done.code == 0


def test_a_large_file_shows_how_far_it_is(
    llamabench: Command, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamabench.cli.verifying._WORTH_A_BAR_BYTES", 1000)
    command = ("plan", str(demo_model), "--verify", "sha256:" + "0" * 64)
    assert "verify: " in llamabench(*command).err
    assert "verify: " not in llamabench(*command, "--json").err


@pytest.mark.parametrize(
    ("command", "others"),
    [
        (["run", "--reference", "other.gguf"], ["other.gguf"]),
        (["run", "--judge", "judge.gguf", "--toxicity-judge", "toxic.gguf"], ["judge.gguf", "toxic.gguf"]),
        (["redteam", "--judge", "judge.gguf", "--attacker", "other.gguf"], ["judge.gguf", "other.gguf"]),
        (["score", "nowhere", "--toxicity-judge", "toxic.gguf", "--judge"], ["toxic.gguf"]),
    ],
    ids=lambda value: value[0],
)
def test_other_models_of_a_command_are_named(llamabench: Command, command: list[str], others: list[str]) -> None:
    for name in ("x.gguf", "judge.gguf", "other.gguf", "toxic.gguf"):
        Path(name).write_bytes(b"no model")
    right, wrong = "sha256:" + hashlib.sha256(b"no model").hexdigest(), "sha256:" + "0" * 64
    for name in others:
        done = llamabench(*command, "x.gguf", "--verify", right, "--verify", f"{name}={wrong}")
        assert (done.code, done.out) == (1, "")
        assert f"{name} is not the file that is meant" in done.err
    rest = [part for name in others for part in ("--verify", f"{name}={right}")]
    assert "is not the file that is meant" not in llamabench(*command, "x.gguf", *rest).err


def test_a_digest_of_a_model_that_is_not_opened_is_refused(llamabench: Command) -> None:
    Path("x.gguf").write_bytes(b"no model")
    done = llamabench("run", "x.gguf", "--verify", "y.gguf=sha256:" + "0" * 64)
    assert (done.code, done.out) == (1, "")
    assert 'No model that is opened here is called "y.gguf". Did you mean x.gguf?' in done.err


def test_python_verifies_too(demo_model: Path, engine_script: Any, tmp_path: Path) -> None:
    digest = hashlib.sha256(demo_model.read_bytes()).hexdigest()
    for wrong in ("sha256:" + "0" * 64, [f"sha256:{digest}", f"{demo_model}=sha256:{digest}"], "sha256:1"):
        with pytest.raises(LlamabenchError, match=r"is not the file|1 file, 2 digests|is no digest to verify"):
            evaluate(demo_model, ["preference"], limit=4, out=tmp_path, verify=wrong)
    with evaluate(demo_model, ["preference"], limit=4, out=tmp_path, verify=f"sha256:{digest}") as found:
        assert found.is_finished


@pytest.mark.parametrize("text", ["", "0" * 64, "sha256:123", "md5:" + "0" * 32])
def test_what_is_no_digest_is_wrong_usage(llamabench: Command, text: str) -> None:
    done = llamabench("run", "x.gguf", "--verify", text)
    assert (done.code, done.out) == (2, "")
    assert "a digest is written as sha256: and 64 hexadecimal digits" in done.err
