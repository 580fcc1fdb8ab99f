"""A build that computes, one that ends its process, and one that answers wrongly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorded import INSTALLATION, load_machine

from llamabench.engine.deaths import explain_signal
from llamabench.errors import EngineDiedError
from llamabench.hardware import trial
from llamabench.hardware.diagnosis import diagnose
from llamabench.records import Backend, Plan, Scored


def scripted(score: Callable[[str], list[float]]) -> Any:
    """An engine that scores by the name of the model's type."""

    class Scripted:
        def __init__(self, path: Path, plan: Plan):
            assert plan.strategy == "single"
            self.quant = path.name.removeprefix("trial-")

        def __enter__(self) -> Scripted:
            return self

        def __exit__(self, *_: object) -> None: ...

        def score_tokens(self, requests: object) -> list[list[Scored]]:
            values = score(self.quant)
            return [[Scored(sum(values), len(values), 0, is_greedy=False, token_logprobs=tuple(values))]]

    return Scripted


@pytest.mark.model
def test_this_build_computes() -> None:
    assert trial.find_fault() is None


def test_a_build_that_ends_its_process_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(quant: str) -> list[float]:
        if quant == "Q8_0":
            raise EngineDiedError("The process that ran it was ended by SIGILL." + explain_signal("SIGILL"))
        return [-1.0]

    monkeypatch.setattr(trial, "Engine", scripted(score))
    fault = trial.find_fault()
    assert fault == "The process that ran it was ended by SIGILL."


@pytest.mark.parametrize(("off", "is_fault"), [(0.01, False), (3.0, True), (math.nan, True)])
def test_wrong_numbers_are_found(monkeypatch: pytest.MonkeyPatch, off: float, is_fault: bool) -> None:
    monkeypatch.setattr(trial, "Engine", scripted(lambda quant: [-2.0 + (off if quant == "Q4_0" else 0.0), -3.0]))
    fault = trial.find_fault()
    assert (fault is not None) == is_fault
    if fault is not None:
        assert fault.startswith("Q4_0 weights give other numbers than plain ones: ")


@pytest.mark.parametrize("has_amx", [True, False])
def test_the_finding_names_what_helps(has_amx: bool) -> None:
    features = {"AVX2": "1", **({"AMX_INT8": "1"} if has_amx else {})}
    machine = replace(load_machine("no_gpu"), backends=(Backend("CPU", 1, features),))
    findings = diagnose(machine, replace(INSTALLATION, fault="It was ended by SIGSEGV."))
    (finding,) = [one for one in findings if "quantized weights" in one.found]
    assert finding.level == "problem"
    assert finding.found.endswith("It was ended by SIGSEGV.")
    assert finding.command is not None
    assert ("-mno-amx-tile" in finding.command) == has_amx
    assert not [one for one in diagnose(machine, INSTALLATION) if "quantized weights" in one.found]
