"""Items of a run for the terminal and for other programs: what was asked, what came back, and how it was scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llamabench.records import Exchange, Facts, ItemRow, Json
from llamabench.report.format import format_logprob, shorten, show_hidden

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"scored": "green", "unparsed": "yellow", "errored": "red"}
_INDENT = "  "


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


def describe_item(row: ItemRow, n_chars: int) -> Text:
    """Lays an item out for the terminal; text of models and files is shown, never obeyed.

    Args:
        row: The item.
        n_chars: Most characters of a prompt or an answer.
    """
    from rich.text import Text

    text = Text()
    text.append(f"{show_hidden(row.suite)} {show_hidden(row.id)}", style="bold")
    text.append(f"  {show_hidden(row.group)}  ", style="dim")
    text.append(row.outcome, style=_STYLES[row.outcome])
    for exchange in row.exchanges:
        text.append(f"\n{_INDENT}{_cut(exchange.prompt, n_chars)}", style="dim")
        for line in _describe_answers(exchange, n_chars):
            text.append("\n").append_text(line)
    if row.error is not None:
        text.append(f"\n{_INDENT}{_cut(row.error, n_chars)}", style="red")
    numbers = [f"{show_hidden(name)} {value:.4g}" for name, value in row.values.items() if "#" not in name]
    if numbers:
        text.append(f"\n{_INDENT}{', '.join(numbers)}")
    return text.append("\n")


def _describe_answers(exchange: Exchange, n_chars: int) -> Iterator[Text]:
    from rich.text import Text

    logprobs = [_find_logprob(answer) for answer in exchange.answers]
    best = max((one for one in logprobs if one is not None), default=None)
    for answer, logprob in zip(exchange.answers, logprobs, strict=True):
        number = "" if logprob is None else f"{format_logprob(logprob):>9}  "
        style = "bold" if logprob is not None and logprob == best else ""
        yield Text(f"{_INDENT}{number}{_cut(str(answer.get('text', '')), n_chars)}", style=style)


def _find_logprob(answer: Facts) -> float | None:
    value = answer.get("logprob", answer.get("logprob_at_most"))
    return float(value) if isinstance(value, int | float) else None


def _cut(text: str, n_chars: int) -> str:
    """Text with line breaks indented, its middle left out where it is long."""
    return show_hidden(shorten(text, n_chars)[0]).replace("\n", f"\n{_INDENT}")
