"""BBQ: one file a category, and the table of the answers that a biased model picks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from llamabench.data.reading import Row, read_rows, read_table
from llamabench.errors import DataError

LabelType = Literal["name", "label"]


class BbqTarget(NamedTuple):
    """What the metadata say about a row: the answer a biased model picks (None: not defined), and the label type."""

    loc: int | None
    label_type: LabelType


@dataclass(frozen=True, slots=True)
class BbqRow:
    """A row of BBQ.

    Attributes:
        category: The publishers' category, the same in the whole file.
        example_id: Number within the category.
        question_index: The template.
        polarity: `neg` or `nonneg`.
        condition: `ambig` or `disambig`.
        context: What is told.
        question: What is asked.
        answers: The three answers as asked.
        texts: What `answer_info` calls each answer.
        groups: The group of people each answer stands for, `unknown` for exactly one of them.
        stereotyped_groups: Groups that the stereotype is about.
        label: Index of the right answer.
        target: The target where the row itself states it, as the starter rows do.
    """

    category: str
    example_id: int
    question_index: int
    polarity: str
    condition: str
    context: str
    question: str
    answers: tuple[str, str, str]
    texts: tuple[str, str, str]
    groups: tuple[str, str, str]
    stereotyped_groups: tuple[str, ...]
    label: int
    target: BbqTarget | None


def read_bbq(path: Path) -> Iterator[BbqRow]:
    """Streams the rows of one BBQ file.

    Raises:
        DataError: A row lacks a field, or its answers are not two groups and one `unknown`, or its id stands twice.
    """
    seen: set[tuple[str, int]] = set()
    for row in read_rows(path):
        bbq_row = _bbq_row(row)
        key = (bbq_row.category, bbq_row.example_id)
        if key in seen:
            raise row.error(f"example_id {bbq_row.example_id} stands twice")
        seen.add(key)
        yield bbq_row


def _bbq_row(row: Row) -> BbqRow:
    info = row.inner("answer_info")
    pairs = (_answer_info(info, "ans0"), _answer_info(info, "ans1"), _answer_info(info, "ans2"))
    groups = (pairs[0][1], pairs[1][1], pairs[2][1])
    if groups.count("unknown") != 1:
        raise row.error(f'exactly one answer should be of the group "unknown", found {", ".join(groups)}')
    label = row.integer("label")
    if not 0 <= label <= 2:
        raise row.error(f"the label should be 0, 1 or 2, found {label}")
    return BbqRow(
        category=row.filled_text("category"),
        example_id=row.integer("example_id"),
        question_index=row.integer("question_index"),
        polarity=row.choice("question_polarity", ("neg", "nonneg")),
        condition=row.choice("context_condition", ("ambig", "disambig")),
        context=row.filled_text("context"),
        question=row.filled_text("question"),
        answers=(row.filled_text("ans0"), row.filled_text("ans1"), row.filled_text("ans2")),
        texts=(pairs[0][0], pairs[1][0], pairs[2][0]),
        groups=groups,
        stereotyped_groups=row.inner("additional_metadata").texts("stereotyped_groups"),
        label=label,
        target=_stated_target(row),
    )


def _answer_info(info: Row, name: str) -> tuple[str, str]:
    parts = info.texts(name)
    if len(parts) != 2:
        raise info.error(f"answer_info.{name} should be a text and a group, found {len(parts)} parts")
    return parts[0], parts[1]


def _stated_target(row: Row) -> BbqTarget | None:
    if "target_loc" not in row.fields:
        return None
    label_type: LabelType = "name" if row.fields.get("label_type") == "name" else "label"
    if row.fields["target_loc"] is None:
        return BbqTarget(None, label_type)
    loc = row.integer("target_loc")
    if not 0 <= loc <= 2:
        raise row.error(f"target_loc should be 0, 1, 2 or null, found {loc}")
    return BbqTarget(loc, label_type)


class BbqMetadata:
    """The targets of `additional_metadata.csv`, one byte a row."""

    def __init__(self) -> None:
        self._codes: dict[str, bytearray] = {}

    def put(self, category: str, example_id: int, target: BbqTarget) -> None:
        """Keeps the target of a row."""
        codes = self._codes.setdefault(category, bytearray())
        if example_id >= len(codes):
            codes.extend(bytes(example_id + 1 - len(codes)))
        codes[example_id] = 1 + (3 if target.loc is None else target.loc) + 4 * (target.label_type == "name")

    def find(self, category: str, example_id: int) -> BbqTarget | None:
        """Returns the target of a row, None where the table has no such row."""
        codes = self._codes.get(category, b"")
        code = codes[example_id] if 0 <= example_id < len(codes) else 0
        if code == 0:
            return None
        loc = (code - 1) % 4
        return BbqTarget(None if loc == 3 else loc, "name" if code > 4 else "label")


_LOCS = {"": None, "NA": None, "x": None, "0": 0, "1": 1, "2": 2, "0.0": 0, "1.0": 1, "2.0": 2}


def read_bbq_metadata(path: Path) -> BbqMetadata:
    """Reads the publishers' table of targets.

    Raises:
        DataError: A column is missing, or a `target_loc` is not 0, 1, 2, empty or NA.
    """
    metadata = BbqMetadata()
    for row in _metadata_rows(path):
        label_type: LabelType = "name" if row.text("label_type") == "name" else "label"
        target = BbqTarget(_LOCS[row.text("target_loc")], label_type)
        metadata.put(row.filled_text("category"), row.integer("example_id"), target)
    return metadata


def _metadata_rows(path: Path) -> Iterator[Row]:
    for row in read_table(path, ("category", "example_id", "target_loc", "label_type")):
        if row.text("example_id") in ("", "NA"):
            continue  # a template without examples, left over from the publishers' join
        if row.text("target_loc") not in _LOCS:
            raise row.error(f'target_loc should be 0, 1, 2, empty or NA, found "{row.text("target_loc")}"')
        yield row


def count_bbq(path: Path) -> int:
    """Counts the rows of one BBQ file, which must be of one category.

    Raises:
        DataError: A row is not as it should be, or the file mixes categories.
    """
    categories = Counter(row.category for row in read_bbq(path))
    if len(categories) > 1:
        raise DataError(f"{path} mixes rows of {', '.join(sorted(categories))}; one category was expected.")
    return categories.total()


def count_bbq_metadata(path: Path) -> int:
    """Counts the rows of the table of targets.

    Raises:
        DataError: A row is not as it should be.
    """
    return sum(row.integer("example_id") >= 0 and bool(row.filled_text("category")) for row in _metadata_rows(path))
