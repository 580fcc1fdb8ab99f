"""Reads answers: which option, which number, which document a text names, and whether it says anything on a subject."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from llamabench.records import Json

_NUMBER = re.compile(r"(?<![\w.])[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?![\w]|[.,]\d)")
_ANSWER = re.compile(r"\banswer\b[\s*]*(?:is|:|=)?", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*(?:%|per ?cent)", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_FIRST = re.compile(r"[^.!?\n]+")


def names(text: str, wanted: str) -> bool:
    """Whether a text holds words, whole and in any case.

    >>> names("It was Paris.", "paris"), names("comparison", "paris")
    (True, False)
    """
    return _whole(wanted).search(text) is not None


def _whole(wanted: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, wanted.split()))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def find_option(text: str, options: Sequence[str]) -> str | None:
    """Finds the one option that an answer names.

    Where it names several, what follows the last "answer is" counts, then what the first sentence says; where that
    names several too, there is no telling.

    >>> find_option("Red. Some say blue.", ["red", "blue"])
    'red'
    >>> find_option("Red or blue, who knows?", ["red", "blue"]) is None
    True
    """
    parts = [text]
    said = list(_ANSWER.finditer(text))
    if said:
        parts.append(text[said[-1].end() :])
    first = _FIRST.search(text)
    if first is not None:
        parts.append(first.group())
    for part in parts:
        found = _named(part, options)
        if len(found) == 1:
            return found[0]
    return None


def _named(text: str, options: Sequence[str]) -> list[str]:
    """The options that a text names; one that is part of a longer one does not count where the longer one stands."""
    found = []
    for option in sorted(options, key=len, reverse=True):
        text, n = _whole(option).subn(" | ", text)
        if n:
            found.append(option)
    return found


def find_number(text: str) -> float | None:
    """Finds the number that an answer comes to: the first after the last "answer", otherwise the last one.

    >>> find_number("3 boxes of 400 are 1,200."), find_number("The answer is 7, as 3 + 4 shows."), find_number("none")
    (1200.0, 7.0, None)
    """
    said = list(_ANSWER.finditer(text))
    after = _NUMBER.search(text, said[-1].end()) if said else None
    found = after or next(iter(list(_NUMBER.finditer(text))[-1:]), None)
    if found is None:
        return None
    number = float(found.group().replace(",", "").replace("\u2212", "-"))
    return number if math.isfinite(number) else None


def find_confidence(text: str) -> float | None:
    """Finds the last percentage of an answer, 0 to 1.

    >>> find_confidence("Yes, I am 80% sure.")
    0.8
    """
    found = _PERCENT.findall(text)
    return min(float(found[-1]) / 100, 1.0) if found else None


def find_document(text: str) -> Json:
    """Finds the first JSON object or array of an answer, also one between fences.

    Raises:
        ValueError: There is none.

    >>> find_document('Sure: {"a": 1}')
    {'a': 1}
    """
    for part in (*_FENCE.findall(text), text):
        for place in (match.start() for match in re.finditer(r"[{\[]", part)):
            try:
                value: Json = json.JSONDecoder().raw_decode(part, place)[0]
            except (ValueError, RecursionError):
                continue
            return value
    raise ValueError("no JSON")


def quote(text: str, n_chars: int = 80) -> str:
    """A text between quotation marks, shortened, on one line."""
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= n_chars else f'"{line[: n_chars - 1]}\u2026"'


def share_out(logprobs: Sequence[float]) -> list[float]:
    """Turns log-probabilities into shares that sum to 1."""
    best = max(logprobs)
    weights = [math.exp(value - best) for value in logprobs]
    return [weight / sum(weights) for weight in weights]
