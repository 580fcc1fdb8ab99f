"""Exports of runs in which every text is an attack: what is read back is that text and nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from hostile import find_obeyed, hostile_text
from hypothesis import HealthCheck, given, settings

from llamabench.records import Exchange, ItemRow, Metric, RunInfo, Score
from llamabench.results.export import run_document
from llamabench.results.junit import Demand, write_junit
from llamabench.results.lm_eval import write_lm_eval
from llamabench.results.model_card import write_model_index
from llamabench.results.tables import write_csv

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
each_text = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass
class HostileRun:
    """A stored run as exports read it."""

    info: RunInfo
    items: Mapping[str, list[ItemRow]]
    found: list[Score]
    folder: Path
    is_finished: bool = True

    def rows(self, suite: str) -> Iterator[ItemRow]:
        return iter(self.items[suite])

    def scores(self) -> list[Score]:
        return self.found

    def timings(self) -> dict[str, float]:
        return {choice.name: 1.0 for choice in self.info.suites}

    def audits(self) -> list[Any]:
        return []

    def speeds(self) -> list[Any]:
        return []


@pytest.fixture
def make_hostile(tmp_path: Path, info: RunInfo, make_rows: Callable[..., list[ItemRow]]) -> Callable[[str], HostileRun]:
    def make(text: str) -> HostileRun:
        model = replace(info.model, name=text, quant=text, path=text, architecture=text)
        machine = replace(info.machine, cpu=text, os=text, notes=(text,))
        choices = tuple(replace(choice, name=f"{text}{number}") for number, choice in enumerate(info.suites))
        items = {}
        for choice in choices:
            (first, second, third) = make_rows(3, suite=choice.name)
            hostile = {
                "id": text,
                "group": text,
                "cluster": text,
                "facts": {text: text, "expected": text},
                "exchanges": (Exchange(text, ({"text": text},)),),
            }
            items[choice.name] = [
                replace(first, **hostile, values={text: 1.0, "score": 0.0}),
                replace(second, **hostile, outcome="errored", error=text, values={}),
                replace(third, **hostile, outcome="unparsed", error=text, values={}),
            ]
        metric = Metric(text, 0.5, 3, 0.1, 0.9, text, judge=text)
        scores = [
            Score(choice.name, replace(metric, group=group), text) for choice in choices for group in (None, text)
        ]
        hostile_info = replace(info, model=model, machine=machine, suites=choices)
        return HostileRun(hostile_info, items, scores, tmp_path)

    return make


def written(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@given(text=hostile_text)
@each_text
def test_csv(text: str, make_hostile: Callable[[str], HostileRun], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    paths = write_csv(make_hostile(text), folder / "csv")  # type: ignore[arg-type]
    assert written(folder) == set(paths)
    assert {path.parent for path in paths} == {folder / "csv"}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1
        for cell in (cell for row in rows for cell in row if not is_number(cell)):
            assert not cell.startswith(FORMULA_SIGNS)
            assert "\0" not in cell


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@given(text=hostile_text)
@each_text
def test_json(text: str, make_hostile: Callable[[str], HostileRun]) -> None:
    document = json.dumps(run_document(make_hostile(text)))  # type: ignore[arg-type]
    assert document.isascii()
    assert find_obeyed(document) == []
    assert json.loads(document)["model"]["name"] == text


@given(text=hostile_text)
@each_text
def test_junit(text: str, make_hostile: Callable[[str], HostileRun], tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(make_hostile(text), path, [Demand(f"{text}0", text, ">=", 0.9)])  # type: ignore[arg-type]
    root = ElementTree.parse(path).getroot()
    assert {element.tag for element in root.iter()} <= {
        *("testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "skipped")
    }
    assert len(root.findall("testsuite")) == 2
    assert len(root.findall("testsuite/testcase")) == 7


@given(text=hostile_text)
@each_text
def test_model_index(text: str, make_hostile: Callable[[str], HostileRun], tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    write_model_index(make_hostile(text), path, {}, {})  # type: ignore[arg-type]
    raw = path.read_text(encoding="utf-8")
    (entry,) = yaml.safe_load(raw)["model-index"]
    assert entry["name"] == text
    assert "\n---" not in f"\n{raw}"
    assert find_obeyed(raw) == []


@given(text=hostile_text)
@each_text
def test_lm_eval(
    text: str, make_hostile: Callable[[str], HostileRun], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    paths = write_lm_eval(make_hostile(text), folder / "lm-eval", {})  # type: ignore[arg-type]
    assert written(folder) == set(paths)
    assert {path.parent.parent for path in paths} == {folder / "lm-eval"}
    for path in paths:
        assert find_obeyed(path.read_text(encoding="utf-8")) == []
        assert find_obeyed(str(path)) == []
    for line in paths[1].read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["doc"]["id"] == text
