"""A small part of JSON Schema: what is asked of a model's answers.

Keywords: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties` (true or false), `items`,
`minItems`, `maxItems`, `minLength`, `maxLength`, `minimum`, `maximum`. What they mean is what
https://json-schema.org/draft/2020-12 says; anything else is refused and not ignored. A library was left out on purpose:
those fetch what `$ref` names and run `pattern` without a time limit, and a test file is not always one's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import cast

from llamabench.records import Json

_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength")
_LIMITS = ("minimum", "maximum")
_KEYWORDS = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items"), *_COUNTS, *_LIMITS
)  # fmt: skip
_DEEPEST = 20


def check_schema(schema: Mapping[str, Json], place: str = "", depth: int = 0) -> str | None:
    """Says what is wrong with a schema, None when nothing is."""
    where = f" at {place}" if place else ""
    if depth > _DEEPEST:
        return f"is more than {_DEEPEST} levels deep"
    for name, value in schema.items():
        if name not in _KEYWORDS:
            near = difflib.get_close_matches(name, _KEYWORDS, n=1)
            guess = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_KEYWORDS)}"
            return f'has the unknown keyword "{name}"{where}{guess}'
        fault = _check_keyword(name, value)
        if fault is not None:
            return f'has a "{name}"{where} that is not {fault}'
    inner = dict(cast(Mapping[str, Mapping[str, Json]], schema.get("properties", {})))
    if "items" in schema:
        inner["[]"] = cast(Mapping[str, Json], schema["items"])
    faults = (check_schema(part, f"{place}.{name}".lstrip("."), depth + 1) for name, part in inner.items())
    return next((fault for fault in faults if fault is not None), None)


def _check_keyword(name: str, value: Json) -> str | None:
    """What a keyword's value should be, None when it is that."""
    is_right, needed = True, ""
    if name == "type":
        types = value if isinstance(value, list) else [value]
        is_right, needed = bool(types) and all(one in _TYPES for one in types if isinstance(one, str)), "a known type"
        is_right = is_right and all(isinstance(one, str) for one in types)
    elif name == "enum":
        is_right, needed = isinstance(value, list) and bool(value), "a list of values"
    elif name == "properties":
        is_right = isinstance(value, dict) and all(isinstance(part, dict) for part in value.values())
        needed = "a table of schemas"
    elif name == "required":
        is_right = isinstance(value, list) and all(isinstance(part, str) for part in value)
        needed = "a list of names"
    elif name == "additionalProperties":
        is_right, needed = isinstance(value, bool), "true or false"
    elif name == "items":
        is_right, needed = isinstance(value, dict), "a schema"
    elif name in _COUNTS:
        is_right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        needed = "a whole number from 0 on"
    elif name in _LIMITS:
        is_right, needed = _TYPES["number"](value), "a number"
    return None if is_right else needed


def find_violation(value: Json, schema: Mapping[str, Json], place: str = "it") -> str | None:
    """Says how a value breaks a schema that `check_schema` accepted; None when it does not.

    >>> find_violation({"age": "ten"}, {"properties": {"age": {"type": "integer"}}})
    'age is not integer'
    """
    types = schema.get("type")
    allowed = cast("list[str]", types if isinstance(types, list) else [] if types is None else [types])
    if allowed and not any(_TYPES[name](value) for name in allowed):
        return f"{place} is not {' or '.join(allowed)}"
    if "enum" in schema and not any(_same(value, one) for one in cast("list[Json]", schema["enum"])):
        return f"{place} is none of the allowed values"
    if "const" in schema and not _same(value, schema["const"]):
        return f"{place} is not the one allowed value"
    if isinstance(value, dict):
        return _violation_in_object(value, schema, place)
    if isinstance(value, list):
        return _violation_in_list(value, schema, place)
    if isinstance(value, str):
        return _violation_in_size(len(value), schema, f"{place} in characters", ("minLength", "maxLength"))
    if _TYPES["number"](value):
        return _violation_in_size(cast(float, value), schema, place, _LIMITS)
    return None


def _same(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _violation_in_object(value: Mapping[str, Json], schema: Mapping[str, Json], place: str) -> str | None:
    properties = cast(Mapping[str, Mapping[str, Json]], schema.get("properties", {}))
    missing = [name for name in cast("list[str]", schema.get("required", [])) if name not in value]
    if missing:
        return f'"{missing[0]}" is missing'
    if schema.get("additionalProperties") is False:
        extra = [name for name in value if name not in properties]
        if extra:
            return f'"{extra[0]}" should not be there'
    inner = place.removeprefix("it")
    found = (
        find_violation(value[name], part, f"{inner}.{name}".lstrip("."))
        for name, part in properties.items()
        if name in value
    )
    return next((violation for violation in found if violation is not None), None)


def _violation_in_list(value: list[Json], schema: Mapping[str, Json], place: str) -> str | None:
    violation = _violation_in_size(len(value), schema, f"{place} in entries", ("minItems", "maxItems"))
    if violation is not None or "items" not in schema:
        return violation
    part = cast(Mapping[str, Json], schema["items"])
    found = (find_violation(one, part, f"{place}[{number}]") for number, one in enumerate(value))
    return next((violation for violation in found if violation is not None), None)


def _violation_in_size(size: float, schema: Mapping[str, Json], place: str, ends: tuple[str, str]) -> str | None:
    least, most = (cast("float | None", schema.get(name)) for name in ends)
    if least is not None and size < least:
        return f"{place} is {size:g}, less than {least:g}"
    return f"{place} is {size:g}, more than {most:g}" if most is not None and size > most else None
