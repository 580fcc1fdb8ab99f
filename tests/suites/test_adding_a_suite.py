"""The suite in the document on adding one is whole: it keeps the contract, its types are right, and it runs."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import llamabench.evaluating as evaluating
from llamabench.data.cache import find_dataset
from llamabench.suites import SUITES

ROOT = Path(__file__).parents[2]
NAME = "truthfulqa_two"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "adding-a-suite.md").read_text("utf-8"), re.M | re.S)
MODULE, ENTRIES = BLOCKS


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTRACT = load("contract_of_suites", ROOT / "tests" / "suites" / "test_contract.py")
TESTS = {
    name: test
    for name, test in vars(CONTRACT).items()
    if name.startswith("test_")
    and set(inspect.signature(test).parameters) <= {"suite", "starter", "items"}
    and not any("by_text" in mark.args for mark in getattr(test, "pytestmark", ()))
}
"""The tests that every suite of log-probabilities is put to, those with a table of their own aside."""


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The document's suite, registered."""
    path = tmp_path / f"{NAME}.py"
    path.write_text(MODULE, encoding="utf-8")
    found = load(f"llamabench.suites.{NAME}", path)
    monkeypatch.setenv("LLAMABENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(SUITES, NAME, found)
    return found


def test_it_is_small() -> None:
    assert MODULE.count("\n") <= 75


@pytest.mark.parametrize("test", TESTS.values(), ids=TESTS)
def test_it_keeps_the_contract(test: Callable[..., None], suite: ModuleType) -> None:
    tables = {"RIGHT": dict(CONTRACT.RIGHT), "MAIN_VALUE": dict(CONTRACT.MAIN_VALUE)}
    exec(ENTRIES, tables)
    starter = find_dataset(suite.DATA_SOURCES)
    given = {"suite": suite, "starter": starter, "items": list(suite.items(starter, use_chat=False))}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RIGHT", "MAIN_VALUE"):
            patch.setattr(CONTRACT, name, tables[name])
        test(**{name: given[name] for name in inspect.signature(test).parameters})


def test_the_contract_is_most_of_it() -> None:
    assert len(TESTS) >= 12


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1", '"1"'])
def test_its_types_are_right(version: str, tmp_path: Path) -> None:
    module = MODULE.replace("VERSION: int = 1", f"VERSION = {version}")
    (tmp_path / f"{NAME}.py").write_text(module, encoding="utf-8")
    check = f"import {NAME}\nfrom llamabench.suites.base import Suite\n\nSUITE: Suite = {NAME}\n"
    (tmp_path / "check.py").write_text(check, encoding="utf-8")
    options = ["--strict", "--config-file", "", "--follow-imports", "silent", "--ignore-missing-imports"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path / "cache"), "check.py", f"{NAME}.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == (version != "1"), done.stdout


@pytest.mark.model
def test_it_runs(suite: ModuleType, tmp_path: Path) -> None:
    done = evaluating.evaluate("demo-aligned", [NAME], limit=10, out=tmp_path / "runs")
    (whole,) = [score.metric for score in done.scores() if score.metric.group is None]
    assert (whole.name, whole.n, whole.errored) == ("accuracy", 10, 0)
