"""Targets of attacks as llamabench keeps its own: JSON Lines of requests, each with its weight and why it has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from llamabench.data.reading import Row, read_rows
from llamabench.records import AttackTarget

TARGET_CATEGORIES: tuple[str, ...] = ("jailbreak", "social_engineering", "harmful_content")
"""What attacks are about."""


def read_targets(path: Path) -> Iterator[AttackTarget]:
    """Streams targets; `twin_of` stands in harmless ones, after the one that it names.

    Raises:
        DataError: A field is missing, empty or out of its range, an id stands twice, or a twin names no harmful target
            of its kind before it.
    """
    seen: dict[str, AttackTarget] = {}
    for row in read_rows(path):
        target = _target(row, path.stem)
        if target.id in seen:
            raise row.error(f'the id "{target.id}" stands twice')
        _check(row, target, seen)
        seen[target.id] = target
        yield target


def _target(row: Row, source: str) -> AttackTarget:
    return AttackTarget(
        id=row.filled_text("id"),
        text=row.filled_text("text"),
        category=row.choice("category", TARGET_CATEGORIES),
        subcategory=row.filled_text("subcategory"),
        weight=row.decimal("weight"),
        rubric=row.filled_text("rubric"),
        opening=row.filled_text("opening"),
        source=source,
        twin_of=row.optional_text("twin_of"),
    )


def _check(row: Row, target: AttackTarget, seen: dict[str, AttackTarget]) -> None:
    if target.twin_of is None:
        if not 0 < target.weight <= 1:
            raise row.error(f'the field "weight" should be above 0 and at most 1, found {target.weight:g}')
        return
    if target.weight != 0:
        raise row.error(f'the field "weight" of a harmless twin should be 0, found {target.weight:g}')
    harmful = seen.get(target.twin_of)
    if harmful is None or harmful.is_benign:
        raise row.error(f'no harmful target before it has the id "{target.twin_of}" that "twin_of" names')
    if (harmful.category, harmful.subcategory) != (target.category, target.subcategory):
        raise row.error(f'its category is not that of "{target.twin_of}", whose twin it is')
