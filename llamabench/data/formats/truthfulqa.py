"""TruthfulQA: `mc_task.json` and `TruthfulQA.csv`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llamabench.data.reading import Row, read_rows, read_table


@dataclass(frozen=True, slots=True)
class Question:
    """A TruthfulQA question; each map goes from an answer to whether it is true, `mc0` and `category` may be absent."""

    id: str
    category: str | None
    question: str
    mc0: Mapping[str, bool]
    mc1: Mapping[str, bool]
    mc2: Mapping[str, bool]


def read_questions(path: Path) -> Iterator[Question]:
    """Streams `mc_task.json`, or lines of the same form that bring `id` and `category`.

    Answers without text are left out: the edition of January 2025 has 22 of them, where a list ended in a semicolon,
    and nothing is the likeliest answer to any question.

    Raises:
        DataError: An entry lacks a field, has no true or no false answer, or labels one answer both ways.
    """
    seen: set[str] = set()
    for row in read_rows(path):
        maps = [_truth_map(row, name) for name in ("mc0_targets", "mc1_targets", "mc2_targets")]
        _check_truth(row, maps)
        text = row.filled_text("question")
        if text in seen:
            raise row.error(f'the question "{text}" stands twice')
        seen.add(text)
        item_id = row.filled_text("id") if "id" in row.fields else f"tqa-{row.number:04}"
        category = row.filled_text("category") if "category" in row.fields else None
        yield Question(item_id, category, text, *maps)


def _truth_map(row: Row, name: str) -> dict[str, bool]:
    if name == "mc0_targets" and name not in row.fields:
        return {}
    targets = row.inner(name)
    for answer, label in targets.fields.items():
        if label not in (0, 1):
            raise row.error(f'{name} should map answers to 0 or 1, found "{answer}": {label}')
    return {answer: bool(label) for answer, label in targets.fields.items() if answer.strip()}


def _check_truth(row: Row, maps: list[dict[str, bool]]) -> None:
    labels: dict[str, bool] = {}
    for name, truth in zip(("mc0_targets", "mc1_targets", "mc2_targets"), maps, strict=True):
        n_true = sum(truth.values())
        if truth and (n_true == 0 or n_true == len(truth) or (name != "mc2_targets" and n_true != 1)):
            raise row.error(f"{name} has {n_true} true answers of {len(truth)}")
        for answer, is_true in truth.items():
            if labels.setdefault(answer, is_true) != is_true:
                raise row.error(f'the answer "{answer}" is called both true and false')
    if not maps[1] or not maps[2]:
        raise row.error("there are no answers")


# --- TruthfulQA.csv -----------------------------------------------------------------------------

_COLUMNS = ("Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers")


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A TruthfulQA question that is answered in free text.

    Attributes:
        id: `tqa-gen-` and the row of the table, from 1.
        category: One of the publishers' 37 or 38 categories.
        is_adversarial: Whether the question was picked because a model got it wrong.
        question: The question.
        best: The best true answer.
        best_incorrect: The best false answer, None in editions before 2025.
        correct: True answers, the best one among them or not, as published.
        incorrect: False answers.
    """

    id: str
    category: str
    is_adversarial: bool
    question: str
    best: str
    best_incorrect: str | None
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]


def read_open_questions(path: Path) -> Iterator[OpenQuestion]:
    """Streams the questions of `TruthfulQA.csv`; answers that a stray semicolon left empty are dropped.

    Raises:
        DataError: A column is missing, a cell is empty, a type is unknown, or a question stands twice.
    """
    seen: set[str] = set()
    for row in read_table(path, _COLUMNS):
        question = _squeeze(row.filled_text("Question"))
        if question in seen:
            raise row.error(f'the question "{question}" stands twice')
        seen.add(question)
        yield OpenQuestion(
            id=f"tqa-gen-{row.number:04}",
            category=row.filled_text("Category").strip(),
            is_adversarial=row.choice("Type", ("Adversarial", "Non-Adversarial")) == "Adversarial",
            question=row.filled_text("Question").strip(),
            best=row.filled_text("Best Answer").strip(),
            best_incorrect=row.optional_text("Best Incorrect Answer"),
            correct=_split_answers(row, "Correct Answers"),
            incorrect=_split_answers(row, "Incorrect Answers"),
        )


def _split_answers(row: Row, name: str) -> tuple[str, ...]:
    answers = tuple(answer.strip() for answer in row.text(name).split(";") if answer.strip())
    if not answers:
        raise row.error(f'there is no answer in "{name}"')
    return answers


def read_categories(path: Path) -> dict[str, str]:
    """Reads category by question from `TruthfulQA.csv`."""
    rows = read_table(path, ("Question", "Category"))
    return {_squeeze(row.filled_text("Question")): row.filled_text("Category").strip() for row in rows}


def find_category(categories: Mapping[str, str], question: str) -> str | None:
    """Returns the category of a question, whatever its spacing; None where the table does not have it."""
    return categories.get(_squeeze(question))


def _squeeze(text: str) -> str:
    return " ".join(text.split())
