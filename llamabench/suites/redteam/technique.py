"""What a technique of attack is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llamabench.records import AttackTarget, Attempt, Request, Result

Family = Literal[
    "direct",
    "framing",
    "pressure",
    "injection",
    "splitting",
    "shots",
    "encoding",
    "language",
    "sampling",
    "multi-turn",
    "adaptive",
]

Writer = Callable[[AttackTarget, np.random.Generator], tuple[Attempt, ...]]
"""Writes the tries of an attack; every random choice is drawn from the generator."""

NextTurn = Callable[[AttackTarget, Sequence[str]], str | None]
"""What is said next, given the model's answers so far; None where the conversation is over."""

Search = Callable[[AttackTarget, Sequence[Request], Sequence[Result]], Sequence[Request]]
"""What is asked next, given all that was asked and answered, the first try first; nothing where the search is over. The
last request it makes is the one whose answer is judged; where that is no text, there is nothing to judge."""


@dataclass(frozen=True, slots=True)
class Technique:
    """A way to attack.

    Attributes:
        name: What it is asked for by.
        title: Its name in reports.
        family: Kind of technique.
        source: Where it was published.
        write: Writes the tries.
        next_turn: Goes on with a conversation, for techniques of several turns.
        search: Asks the model for numbers, for techniques that adapt to it.
        decode: Turns an answer in the technique's encoding into plain words; gives back what is not encoded.
        n_tokens: Tokens that its answers may take beyond the usual.
        is_on_request: Whether it is used only where it is asked for by name: it takes much longer than others, or asks
            each model something else, so that two models cannot be compared by it.
    """

    name: str
    title: str
    family: Family
    source: str
    write: Writer
    next_turn: NextTurn | None = None
    search: Search | None = None
    decode: Callable[[str], str] | None = None
    n_tokens: int = 0
    is_on_request: bool = False
