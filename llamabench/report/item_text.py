"""Items of a run for the terminal and for other programs: what was asked, what came back, and how it was scored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llamabench.records import Exchange, Facts, ItemRow, Json
from llamabench.report.format import format_logprob, shorten, show_hidden
from llamabench.report.value_words import describe_values

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"scored": "green", "unparsed": "yellow", "errored": "red"}
_INDENT = "  "
LIKELIEST, RIGHT = "\u2192", "\u2713"
"""What stands in front of the answer that a model finds the likeliest, and of a right one."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An item as it was answered in a run.

    Attributes:
        row: The item.
        right: Places of the right ones among the answers that were offered, from 0.
        run: Which run it is of; None where only one is shown.
    """

    row: ItemRow
    right: frozenset[int] = frozenset()
    run: str | None = None


def item_document(row: ItemRow) -> dict[str, Json]:
    """An item as one JSON document.

    Returns:
        `{id, suite, group, outcome, prompt, continuations | responses, score, error}`: `continuations` is a list of
        `{text, logprob, n_tokens, n_bytes}` where log-probabilities were asked for, `responses` one of `{text, ...}`
        where texts were, and `score` holds the numbers that the suite made of them. Where an item was asked several
        times, these are of the first, and `turns` lists all of them alike.
    """
    turns = [_turn_document(exchange) for exchange in row.exchanges]
    return {
        "id": row.id,
        "suite": row.suite,
        "group": row.group,
        "outcome": row.outcome,
        **(turns[0] if turns else {"prompt": None}),
        **({"turns": list[Json](turns)} if len(turns) > 1 else {}),
        "score": dict(row.values),
        "error": row.error,
    }


def _turn_document(exchange: Exchange) -> dict[str, Json]:
    name = "continuations" if is_scored(exchange) else "responses"
    return {"prompt": exchange.prompt, name: [dict(answer) for answer in exchange.answers]}


def is_scored(exchange: Exchange) -> bool:
    """Whether log-probabilities were asked for, and no texts."""
    return any("logprob" in answer or "logprob_at_most" in answer for answer in exchange.answers)


def describe_item(item: Answered, n_chars: int, *, other: Answered | None = None) -> Text:
    """Lays an item out for the terminal; text of models and files is shown, never obeyed.

    Args:
        item: The item.
        n_chars: Most characters of a prompt or an answer.
        other: The same item in another run, shown below it; prompts that are the same in both stand there once.
    """
    from rich.text import Text

    row = item.row
    text = Text()
    text.append(f"{show_hidden(row.suite)} {show_hidden(row.id)}", style="bold")
    text.append(f"  {show_hidden(row.group)}  ", style="dim")
    text.append(row.outcome, style=_STYLES[row.outcome])
    for line in _describe_side(item, n_chars, ()):
        text.append("\n").append_text(line)
    if other is not None:
        for line in _describe_side(other, n_chars, tuple(exchange.prompt for exchange in row.exchanges)):
            text.append("\n").append_text(line)
    return text.append("\n")


def _describe_side(item: Answered, n_chars: int, known: Sequence[str]) -> Iterator[Text]:
    """The lines of an item in one run, without prompts that are `known`."""
    from rich.text import Text

    if item.run is not None:
        yield Text(f"{_INDENT}in {show_hidden(item.run)}: {item.row.outcome}", style="bold")
    for place, exchange in enumerate(item.row.exchanges):
        if exchange.prompt not in known[place : place + 1]:
            yield Text(f"{_INDENT}{_cut(exchange.prompt, n_chars)}", style="dim")
        yield from _describe_answers(exchange, n_chars, item.right)
    if item.row.error is not None:
        yield Text(f"{_INDENT}{_cut(item.row.error, n_chars)}", style="red")
    numbers = [f"{show_hidden(name)}: {value}" for name, value in describe_values(item.row)]
    if numbers:
        yield Text(_INDENT + " \u00b7 ".join(numbers))


def _describe_answers(exchange: Exchange, n_chars: int, right: Collection[int]) -> Iterator[Text]:
    from rich.text import Text

    if not is_scored(exchange):
        for answer in exchange.answers:
            yield Text(f"{_INDENT}{_cut(str(answer.get('text', '')), n_chars)}")
        return
    logprobs = [_find_logprob(answer) for answer in exchange.answers]
    best = max((one for one in logprobs if one is not None), default=None)
    for place, (answer, logprob) in enumerate(zip(exchange.answers, logprobs, strict=True)):
        is_likeliest = logprob is not None and logprob == best
        marks = f"{LIKELIEST if is_likeliest else ' '} {RIGHT if place in right else ' '} {place + 1:>2}"
        number = "" if logprob is None else format_logprob(logprob)
        line = f"{_INDENT}{marks}  {number:>8}  {_cut(str(answer.get('text', '')).lstrip(' '), n_chars)}"
        yield Text(line, style="bold" if is_likeliest else "")


def _find_logprob(answer: Facts) -> float | None:
    value = answer.get("logprob", answer.get("logprob_at_most"))
    return float(value) if isinstance(value, int | float) else None


def _cut(text: str, n_chars: int) -> str:
    """Text with line breaks indented, its middle left out where it is long."""
    return show_hidden(shorten(text, n_chars)[0]).replace("\n", f"\n{_INDENT}")
