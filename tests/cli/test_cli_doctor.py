"""`doctor`: what it prints, what it hands over, and how it ends."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorded import INSTALLATION, load_machine

from llamabench.hardware import installation, machine, trial
from llamabench.records import Machine

Command = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "doctor.txt"


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Puts the command on a recorded machine on which everything is installed."""

    def put(recorded: Machine) -> None:
        monkeypatch.setattr(machine, "read_machine", lambda: recorded)
        monkeypatch.setattr(installation, "read_installation", lambda _: INSTALLATION)
        monkeypatch.setattr(trial, "find_fault", lambda: None)

    return put


def test_output_is_as_it_was(
    llamabench: Command, on: Callable[[Machine], None], request: pytest.FixtureRequest
) -> None:
    on(replace(load_machine("nvidia_unused"), is_on_battery=True, environment={"GGML_CUDA_FORCE_MMQ": "[red]1"}))
    done = llamabench("doctor")
    assert (done.code, done.err) == (1, "")
    text = "\n".join(line.rstrip() for line in done.out.splitlines()) + "\n"
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.is_file(), "doctor.txt is missing; write it with --update-golden"
    assert text == GOLDEN.read_text(encoding="utf-8")
    # a command is for copying: it stands on one line, whatever the terminal's width
    (command,) = [line for line in text.splitlines() if line.strip().startswith("CUDACXX=")]
    assert command.endswith('"llama-cpp-python>=0.3.36,<0.3.37"')
    assert max(len(line) for line in text.splitlines() if line != command) <= 80


@pytest.mark.parametrize(("name", "code"), [("no_gpu", 0), ("laptop_on_battery", 0), ("broken_driver", 1)])
def test_a_problem_decides_the_exit_code(
    llamabench: Command, on: Callable[[Machine], None], name: str, code: int
) -> None:
    on(load_machine(name))
    assert llamabench("doctor").code == code
    done = llamabench("doctor", "--json")
    assert (done.code, done.err) == (code, "")
    document = json.loads(done.out)
    assert list(document) == ["machine", "installation", "findings"]
    assert document["machine"]["cpu"] == load_machine(name).cpu
    assert document["installation"]["binding"] == "0.3.36"
    assert any(finding["level"] == "problem" for finding in document["findings"]) == (code == 1)
    assert set(document["findings"][0]) == {"level", "subject", "found", "advice", "command"}


def test_this_machine_has_no_fault_in_its_build(llamabench: Command) -> None:
    """Asks llama.cpp itself, in a process of its own."""
    document = json.loads(llamabench("doctor", "--json").out)
    levels = {finding["subject"]: finding["level"] for finding in document["findings"]}
    assert levels["llama.cpp"] == "ok"
    assert document["installation"]["requirement"].startswith("llama-cpp-python")
    assert "nvml" in document["installation"]["extras"]
    assert "dev" not in document["installation"]["extras"]


def test_llama_cpp_that_ends_its_process(llamabench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_read_backend", functools.partial(os._exit, 134))
    done = llamabench("doctor")
    assert done.code == 1
    assert "llama.cpp ended its process" in " ".join(done.out.split())
    assert "-m pip install --force-reinstall" in done.out


def test_llama_cpp_that_cannot_be_imported(
    llamabench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    broken = tmp_path_factory.mktemp("broken")
    (broken / "llama_cpp").mkdir()
    (broken / "llama_cpp" / "__init__.py").write_text('raise ImportError("libcudart.so.12: cannot open")\n')
    monkeypatch.syspath_prepend(broken)
    done = llamabench("doctor")
    assert done.code == 1
    assert "does not load: libcudart.so.12: cannot open" in " ".join(done.out.split())


def test_llama_cpp_that_is_not_installed(llamabench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_version", lambda _: None)
    done = llamabench("doctor")
    assert done.code == 1
    assert "llama-cpp-python is not installed" in done.out


def test_a_damaged_manifest_is_a_finding(llamabench: Command, own_data_folder: Path) -> None:
    manifest = own_data_folder / "truthfulqa" / "790" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{")
    done = llamabench("doctor", "--json")
    assert done.code == 1
    (problem,) = [finding for finding in json.loads(done.out)["findings"] if finding["level"] == "problem"]
    assert "manifest.json cannot be read" in problem["found"]
