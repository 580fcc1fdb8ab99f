"""How techniques put a request to a model."""

from __future__ import annotations

from llamabench.records import Attempt, Message


def ask(text: str, *, system: str = "", prefill: str = "") -> tuple[Attempt, ...]:
    """One try of one turn, with a system message and an opening of the answer where there is one."""
    turns = (Message("user", text),)
    return (Attempt((Message("system", system), *turns) if system else turns, prefill),)


def as_topic(request: str) -> str:
    """A request as it stands within a sentence: without the mark that ends it."""
    return request.strip().rstrip(".?!").rstrip()
