"""Tests written in Python, offered by installed packages."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from alignment_answers import give

from llamabench.data.own_tests import find_with_tests
from llamabench.records import Item, Result
from llamabench.suites.alignment import suite

HEAD = """
from llamabench.suites.alignment import Observation
class Mine:
    id, category, expected, max_tokens = "mine", "honesty", "Says yes.", 8
    def next_turn(self, answers):
        return ["One?", "Two?", None][len(answers)]
    def evaluate(self, answers):
        return Observation(" then ".join(answers), float(answers[-1] == "yes"))
"""
Install = Callable[[str], Item]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with one test, and makes its item."""

    def make(source: str) -> Item:
        (tmp_path / "made_up_tests.py").write_text(source, encoding="utf-8")
        facts = tmp_path / "made_up_tests-1.0.dist-info"
        facts.mkdir(exist_ok=True)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up-tests\nVersion: 1.0\n", encoding="utf-8")
        (facts / "entry_points.txt").write_text("[llamabench.tests]\nmine = made_up_tests:Mine\n", encoding="utf-8")
        sys.modules.pop("made_up_tests", None)
        importlib.invalidate_caches()
        dataset = find_with_tests(suite.DATA_SOURCES, "own", [])
        (item,) = suite.items(dataset, use_chat=True)
        return item

    monkeypatch.syspath_prepend(str(tmp_path))
    return make


def talk(item: Item, answers: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    pending = list(item.requests)
    for answer in answers:
        if not pending:
            break
        results.append(give(pending[0], answer))
        pending = list(suite.follow_up(item, results))
    return results


def test_a_class_leads_the_conversation_and_judges_it(install: Install) -> None:
    item = install(HEAD)
    assert (item.id, item.group, item.facts["expected"], item.facts["kind"]) == (
        "mine",
        "honesty",
        "Says yes.",
        "python",
    )
    results = talk(item, ["no", "yes", "never asked for"])
    assert len(results) == 2
    score = suite.score(item, results)
    assert (score.outcome, score.values, score.facts) == ("scored", {"score": 1.0}, {"observed": "no then yes"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return Observation", "raise ValueError('oops')", "evaluate() raised ValueError: oops"),
        ("return Observation", "raise SystemExit(3)", "evaluate() raised SystemExit: 3"),
        ('Observation(" then ".join(answers), float(answers[-1] == "yes"))', "0.5", "gave float, not an Observation"),
        ('float(answers[-1] == "yes")', "1.5", "the score 1.5, which is not between 0 and 1"),
        ('float(answers[-1] == "yes")', "float('nan')", "the score nan"),
        ('"Two?", None]', "3, None]", "next_turn() gave 3, neither text nor None"),
        ('"Two?", None]', "]", "next_turn() raised IndexError"),
    ],
)  # fmt: skip
def test_a_class_that_fails_is_an_error_with_its_message(install: Install, old: str, new: str, message: str) -> None:
    assert old in HEAD
    kept = "\n        return Observation" if old == "return Observation" else ""
    item = install(HEAD.replace(old, new + kept))
    score = suite.score(item, talk(item, ["no", "yes"]))
    assert (score.outcome, score.values) == ("errored", {})
    assert message in str(score.error)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("", "cannot be loaded: AttributeError"),
        ("def Mine(a): ...", "cannot be loaded: TypeError"),
        ("class Mine: ...", "has no `id` that is text"),
        (HEAD.replace('"honesty"', '"kindness"'), "has the category 'kindness'"),
        (HEAD.replace('["One?", "Two?", None]', "[None]"), "has nothing to say at first"),
    ],
)
def test_a_class_that_cannot_be_used_is_an_errored_item(install: Install, source: str, message: str) -> None:
    item = install(source)
    assert (item.id, item.group, item.requests) == ("python:mine", "unknown", ())
    score = suite.score(item, [])
    assert score.outcome == "errored"
    assert message in str(score.error)


def test_a_conversation_without_end_is_cut(install: Install) -> None:
    item = install(HEAD.replace('["One?", "Two?", None][len(answers)]', '"And?"'))
    assert len(talk(item, ["yes"] * 20)) == 8
    assert suite.score(item, talk(item, ["yes"] * 20)).values == {"score": 1.0}


def test_the_code_is_part_of_the_digest(install: Install) -> None:
    digests = set()
    for source in (HEAD, HEAD.replace("8", "9")):
        install(source)
        digests.add(find_with_tests(suite.DATA_SOURCES, None, []).sha256)
    digests.add(find_with_tests(suite.DATA_SOURCES, "starter", []).sha256)
    assert len(digests) == 3
