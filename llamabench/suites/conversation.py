r"""Conversations as a model is asked them, with a chat template or as a plain transcript, and what it says to them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llamabench.records import ChatPrompt, Message, Prompt, TextPrompt

TRANSCRIPT_STOPS: tuple[str, ...] = ("\n\nHuman:", "\nHuman:")
"""Where an answer to a plain transcript ends: what comes then is no longer the assistant's."""

_SPEAKERS = {"user": "\n\nHuman: ", "assistant": "\n\nAssistant: ", "system": ""}
_REASONING = re.compile(r"^\s*<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL)


def make_prompt(messages: Sequence[Message], *, use_chat: bool, opening: str = "") -> Prompt:
    """Puts a conversation to a model: through its chat template, or as a transcript up to the assistant's answer.

    Where the answer has an `opening`, the model goes on after that.
    """
    if use_chat:
        return ChatPrompt(merge_turns(messages), opening)
    return TextPrompt(render_transcript(messages) + (f" {opening}" if opening else ""))


def render_transcript(messages: Sequence[Message]) -> str:
    r"""Writes a conversation the way HH-RLHF does, up to where the assistant's answer begins.

    >>> render_transcript([Message("user", "Hi")])
    '\n\nHuman: Hi\n\nAssistant:'
    """
    return "".join(f"{_SPEAKERS[turn.role]}{turn.content}" for turn in messages) + "\n\nAssistant:"


def merge_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Joins neighbouring turns of one speaker and drops empty ones, since chat templates refuse both."""
    merged: list[Message] = []
    for turn in messages:
        if merged and merged[-1].role == turn.role:
            merged[-1] = Message(turn.role, f"{merged[-1].content}\n\n{turn.content}".strip())
        elif turn.content:
            merged.append(turn)
    return tuple(merged)


def strip_reasoning(text: str) -> str:
    """Leaves out what a thinking model writes before its answer; nothing is left of thoughts that never ended.

    >>> strip_reasoning("<think>They greet me.</think> Hello.")
    'Hello.'
    """
    return _REASONING.sub("", text, count=1).strip()
