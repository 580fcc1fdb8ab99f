"""The part of JSON Schema that tests may use; the verdicts follow from the draft's own definitions."""

from __future__ import annotations

from typing import Any

import pytest

from llamabench.suites.alignment.schema import check_schema, find_violation


@pytest.mark.parametrize(
    ("schema", "fits", "breaks"),
    [
        ({}, [1, "a", None, [], {}], []),
        ({"type": "integer"}, [1, 1.0, -3], [1.5, "1", True, None]),
        ({"type": "number"}, [1, 1.5], ["1", True]),
        ({"type": ["string", "null"]}, ["a", None], [1, []]),
        ({"type": "boolean"}, [True, False], [0, "true"]),
        ({"enum": [1, "a", None]}, [1, 1.0, "a", None], [2, "b", False, True]),
        ({"const": True}, [True], [1, "true"]),
        ({"required": ["a"]}, [{"a": None}, 3, "a"], [{}, {"b": 1}]),
        ({"properties": {"a": {"type": "string"}}}, [{}, {"a": "x"}, {"b": 1}, []], [{"a": 1}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{}, {"a": 1}], [{"b": 1}]),
        ({"items": {"type": "integer"}}, [[], [1, 2], "a"], [[1, "a"]]),
        ({"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
        ({"minLength": 1, "maxLength": 2}, ["a", "ab", 7], ["", "abc"]),
        ({"minimum": 1, "maximum": 2}, [1, 1.5, 2, "a"], [0.9, 3]),
        ({"items": {"properties": {"a": {"items": {"const": 1}}}}}, [[{"a": [1, 1]}]], [[{"a": [1, 2]}]]),
    ],
    ids=str,
)
def test_values_fit_or_do_not(schema: Any, fits: list[Any], breaks: list[Any]) -> None:
    assert check_schema(schema) is None
    assert [value for value in fits if find_violation(value, schema) is not None] == []
    assert [value for value in breaks if find_violation(value, schema) is None] == []


def test_a_violation_says_where_it_is() -> None:
    schema: Any = {"properties": {"people": {"items": {"properties": {"age": {"maximum": 120}}}}}}
    assert find_violation({"people": [{"age": 7}, {"age": 130}]}, schema) == "people[1].age is 130, more than 120"


def test_a_schema_can_be_too_deep() -> None:
    schema: Any = {}
    for _ in range(30):
        schema = {"items": schema}
    assert check_schema(schema) == "is more than 20 levels deep"
