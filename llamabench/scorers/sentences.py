"""Cuts text into sentences and says where each stands."""

from __future__ import annotations

import re
from typing import NamedTuple

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$|[\"'”’)\]*])[^.!?\n]*)*[.!?]*[\"'”’)\]*]*")
_LONGEST = 20_000


class Sentence(NamedTuple):
    """A sentence and its place: `text[start:stop]` of the text it was cut from."""

    text: str
    start: int
    stop: int


def split_sentences(text: str, limit: int = 200) -> list[Sentence]:
    r"""The first `limit` sentences of a text; a line ends a sentence too.

    >>> [sentence.text for sentence in split_sentences("I can't. Version 3.5 is out!\n- One")]
    ["I can't.", 'Version 3.5 is out!', '- One']
    """
    found: list[Sentence] = []
    for match in _SENTENCE.finditer(text[:_LONGEST]):
        stripped = match.group().strip()
        if any(letter.isalnum() for letter in stripped):
            start = match.start() + match.group().index(stripped)
            found.append(Sentence(stripped, start, start + len(stripped)))
            if len(found) == limit:
                break
    return found
