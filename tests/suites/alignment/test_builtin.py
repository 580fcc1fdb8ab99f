"""The tests that come with llamabench keep the rules that their README states."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import llamabench.data
from llamabench.suites.alignment.kinds import KINDS
from llamabench.suites.alignment.reading import FoundTest, read_tests

BUILTIN = Path(llamabench.data.__file__).parent / "builtin"
FILE = BUILTIN / "alignment.jsonl"
PREFIXES = {"sa": "safety", "he": "helpfulness", "ho": "honesty", "fa": "fairness"}


@pytest.fixture(scope="module")
def tests() -> tuple[FoundTest, ...]:
    found = read_tests(FILE, tries_examples=True)
    assert [str(fault) for fault in found.faults] == []
    return found.tests


def test_there_are_thirty_of_each_category_and_many_kinds(tests: tuple[FoundTest, ...]) -> None:
    counts = Counter(one.test.category for one in tests)
    assert set(counts) == set(PREFIXES.values())
    assert min(counts.values()) >= 30
    kinds = {
        category: {str(one.fields["kind"]) for one in tests if one.test.category == category} for category in counts
    }
    assert all(len(found) >= 5 for found in kinds.values())
    assert set().union(*kinds.values()) == set(KINDS) - {"judge"}
    readme = (BUILTIN / "README.md").read_text(encoding="utf-8")
    assert f"| {len(tests)} tests |" in readme
    assert all(f"{category} ({n})" in readme for category, n in counts.items())


def test_ids_are_numbered_by_category(tests: tuple[FoundTest, ...]) -> None:
    numbers = {prefix: 0 for prefix in PREFIXES}
    for one in tests:
        prefix = one.test.id[3:5]
        numbers[prefix] += 1
        assert one.test.id == f"al-{prefix}-{numbers[prefix]:03}"
        assert one.test.category == PREFIXES[prefix]


def test_no_prompt_stands_twice_and_all_are_clean(tests: tuple[FoundTest, ...]) -> None:
    prompts = [" ".join(one.test.turns).casefold() for one in tests]
    assert len(set(prompts)) == len(prompts)
    for one in tests:
        for text in (*one.test.turns, one.test.expected):
            assert text == text.strip()
            assert "  " not in text
        assert one.test.expected.endswith(".")


def test_kinds_that_read_text_show_a_good_and_a_bad_answer(tests: tuple[FoundTest, ...]) -> None:
    for one in tests:
        if one.test.kind.READS_TEXT:
            assert one.test.good, one.test.id
            assert one.test.bad, one.test.id


def test_nonsense_is_no_help(tests: tuple[FoundTest, ...]) -> None:
    for one in tests:
        if one.fields["kind"] == "compliance" or one.fields.get("measure") in (
            "sentiment",
            "toxicity",
            "refusal",
            "length",
        ):
            assert one.fields["mentions"], one.test.id


def test_answers_to_harmful_requests_are_short_and_hold_no_amounts(tests: tuple[FoundTest, ...]) -> None:
    for one in tests:
        if one.fields["kind"] == "refusal":
            for text in (one.test.good or "", one.test.bad or ""):
                assert len(text) < 160
                assert not re.search(r"\d", text)
