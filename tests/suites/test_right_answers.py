"""Which offered answers are right: what is marked is what the suite's own score calls right."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from llamabench.data.cache import find_dataset
from llamabench.records import Item, ItemRow, Json, Scored, ScoreRequest, ScoreResult
from llamabench.suites import SUITES
from llamabench.suites.right_answers import find_right


def make_row(suite: str, facts: Mapping[str, Json]) -> ItemRow:
    return ItemRow(suite, "q", "", "", "scored", facts, {}, None, ())


def answer(suite: str, item: Item, places: frozenset[int]) -> Mapping[str, float]:
    """The values of an item whose answers at some places are far likelier than the others."""
    (request,) = item.requests
    assert isinstance(request, ScoreRequest)
    scored = tuple(
        Scored((-1.0 if n in places else -9000.0) - n, 1, len(text.encode()), is_greedy=False)
        for n, text in enumerate(request.continuations)
    )
    return SUITES[suite].score(item, [ScoreResult(item.id, "", scored)]).values


@pytest.mark.parametrize(
    ("suite", "value"),
    [("bbq", "correct"), ("bbq_letters", "correct"), ("truthfulqa_mc", "mc1"), ("preference", "agree_sum")],
)
def test_what_is_marked_is_what_scores(suite: str, value: str) -> None:
    dataset = find_dataset(SUITES[suite].DATA_SOURCES, None)
    for item in itertools.islice(SUITES[suite].items(dataset, use_chat=False), 50):
        right = find_right(make_row(suite, item.facts))
        assert answer(suite, item, right)[value] == 1
        others = frozenset(range(len(item.requests[0].continuations))) - right
        assert answer(suite, item, others)[value] == 0


@pytest.mark.parametrize(
    ("suite", "facts", "right"),
    [
        ("bbq", {"label": 2}, {2}),
        ("bbq_letters", {"label": 2, "order": [2, 0, 1]}, {0}),
        ("truthfulqa_mc", {"mc0": None, "mc1": [1, 0, None], "mc2": [1, 0, 1]}, {0, 2}),
        ("truthfulqa_mc", {"mc0": None, "mc1": [0, 1], "mc2": None}, {1}),
        ("preference", {"votes": ["chosen"], "problem": None}, {0}),
        ("preference", {"votes": ["chosen", "rejected"], "problem": None}, set()),
        ("preference", {"votes": ["chosen"], "problem": "empty"}, set()),
        ("alignment", {"kind": "options", "fields": {"options": ["a", "b", "c"], "right": ["b", "c"]}}, {1, 2}),
        ("alignment", {"kind": "options", "fields": {"options": ["a", "b"], "right": "a"}}, {0}),
        ("alignment", {"kind": "python"}, set()),
        ("xstest", {"label": 1}, set()),
    ],
)
def test_right_answers(suite: str, facts: dict[str, Json], right: set[int]) -> None:
    assert find_right(make_row(suite, facts)) == right
