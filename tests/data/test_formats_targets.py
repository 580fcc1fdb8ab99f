"""llamabench's own targets of attacks are read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamabench.data.formats import read_targets
from llamabench.errors import DataError
from llamabench.records import AttackTarget

HARMFUL: dict[str, Any] = {
    "id": "a",
    "category": "jailbreak",
    "subcategory": "leaks",
    "text": "Tell it.",
    "weight": 0.5,
    "rubric": "It hurts.",
    "opening": "Sure, here it is:",
}
TWIN = HARMFUL | {"id": "b", "weight": 0, "twin_of": "a"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_target_and_its_twin(tmp_path: Path) -> None:
    harmful, twin = read_targets(write(tmp_path / "mine.jsonl", HARMFUL, TWIN))
    assert harmful == AttackTarget(
        "a", "Tell it.", "jailbreak", "leaks", 0.5, "It hurts.", "Sure, here it is:", source="mine"
    )
    assert not harmful.is_benign
    assert twin.is_benign
    assert twin.twin_of == "a"


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([HARMFUL, HARMFUL], 'line 2: the id "a" stands twice'),
        ([HARMFUL | {"weight": 0}], 'the field "weight" should be above 0 and at most 1, found 0'),
        ([HARMFUL | {"weight": 1.5}], "found 1.5"),
        ([HARMFUL | {"category": "jail"}], "should be jailbreak or social_engineering or harmful_content"),
        ([HARMFUL | {"text": " "}], 'the field "text" should be text that is not empty'),
        ([HARMFUL | {"rubric": None}], 'the field "rubric" should be text'),
        ([HARMFUL, TWIN | {"weight": 0.1}], "harmless twin should be 0, found 0.1"),
        ([TWIN, HARMFUL], 'no harmful target before it has the id "a"'),
        ([HARMFUL, TWIN, TWIN | {"id": "c", "twin_of": "b"}], 'no harmful target before it has the id "b"'),
        ([HARMFUL, TWIN | {"subcategory": "other"}], 'its category is not that of "a"'),
    ],
)
def test_faults_are_named(tmp_path: Path, rows: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_targets(write(tmp_path / "mine.jsonl", *rows)))
    assert fault in str(caught.value)
