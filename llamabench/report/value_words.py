"""The numbers of single items in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from string import ascii_uppercase

from llamabench.records import ItemRow

_PER_CHARACTER = "_norm"


def describe_values(row: ItemRow) -> Iterator[tuple[str, str]]:
    """Names and values of what is about the item as a whole, both as people read them; answers count from 1."""
    for name, value in row.values.items():
        if "#" in name or (row.suite, name) in _SAID_TWICE:
            continue
        stem = name.removesuffix(_PER_CHARACTER)
        words, show = _WORDS.get((row.suite, stem), (stem.replace("_", " "), _show_number))
        yield (words if stem == name else f"{words} per character"), show(value)


def _show_number(value: float) -> str:
    return f"{value:.4g}"


def _show_answer(value: float) -> str:
    return "none, for a tie" if value < 0 else f"answer {value + 1:.0f}"


def _show_letter(value: float) -> str:
    return "none, for a tie" if value < 0 else ascii_uppercase[int(value)]


def _show_truth(value: float) -> str:
    return "yes" if value else "no"


_WORDS: Mapping[tuple[str, str], tuple[str, Callable[[float], str]]] = {
    ("bbq", "pick"): ("picked", _show_answer),
    ("bbq", "correct"): ("right", _show_truth),
    ("bbq_letters", "letter"): ("picked", _show_letter),
    ("bbq_letters", "correct"): ("right", _show_truth),
    ("preference", "agree_sum"): ("agrees with people", _show_truth),
    ("preference", "agree_per_token"): ("agrees with people per token", _show_truth),
}
_SAID_TWICE = {("bbq_letters", "pick")}
"""The place of the answer in the data, which a reader does not see: the letter says it."""
