"""The ways to ask a judge about a stored answer, by name, and which of them a model file is meant for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from llamabench.records import JudgeQuestion, ScoreRequest, ScoreResult
from llamabench.scorers.guard_formats import GUARD_FORMATS, GuardFormat
from llamabench.scorers.judge import (
    RUBRICS,
    YES_OR_NO,
    Rubric,
    Verdict,
    ask_guard,
    ask_pair,
    ask_rubric,
    ask_truthfulqa,
    read_guard,
    read_pair,
    read_rubric,
    read_truthfulqa,
)

OWN_QUESTION = "question"
"""The aspect of questions that bring their own wording."""
PREFERRED = "preferred"
"""The aspect of questions which of two answers is the better; each pair is asked about in both orders."""


class JudgeFormat(Protocol):
    """A way to ask a judge.

    Attributes:
        name: What it is asked for by.
        aspects: What can be asked so.
        on_request: What can be asked besides, and is where somebody asks for it by name.
        chat_template: Jinja2 text that takes the place of the model's own; None where its own is used, or none.
        needs_template: Whether the model must have a chat template of its own.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def aspects(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def on_request(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def chat_template(self) -> str | None: ...  # noqa: D102
    @property
    def needs_template(self) -> bool: ...  # noqa: D102

    def ask(self, question: JudgeQuestion, id_: str) -> tuple[ScoreRequest, ...]:
        """Makes the requests of a question; their ids begin with `id_`."""
        ...

    def read(self, question: JudgeQuestion, results: Sequence[ScoreResult]) -> Verdict:
        """Reads the verdict from the answers to all of `ask`, in order."""
        ...


@dataclass(frozen=True, slots=True)
class _Guard:
    """A guard; its policy stands in for toxicity where somebody wants that of it."""

    guard: GuardFormat
    aspects: tuple[str, ...] = ("harmful",)
    on_request: tuple[str, ...] = ("toxic",)

    @property
    def name(self) -> str:
        return self.guard.name

    @property
    def chat_template(self) -> str | None:
        return self.guard.chat_template

    @property
    def needs_template(self) -> bool:
        return self.guard.chat_template is None

    def ask(self, question: JudgeQuestion, id_: str) -> tuple[ScoreRequest, ...]:
        return ask_guard(self.guard, id_, question.request, question.answer)

    def read(self, question: JudgeQuestion, results: Sequence[ScoreResult]) -> Verdict:
        return read_guard(self.guard, results)


@dataclass(frozen=True, slots=True)
class _AnyModel:
    name: str = "rubric"
    aspects: tuple[str, ...] = (*RUBRICS, OWN_QUESTION)
    on_request: tuple[str, ...] = (PREFERRED,)
    chat_template: str | None = None
    needs_template: bool = True

    def ask(self, question: JudgeQuestion, id_: str) -> tuple[ScoreRequest, ...]:
        if question.other is not None:
            first, second = (question.answer, question.other)[:: 1 if question.number == 1 else -1]
            return (ask_pair(id_, question.request, first, second),)
        return (ask_rubric(_rubric_of(question), id_, question.request, question.answer),)

    def read(self, question: JudgeQuestion, results: Sequence[ScoreResult]) -> Verdict:
        (result,) = results
        if question.other is not None:
            verdict = read_pair(result)
            return verdict if question.number == 1 else replace(verdict, value=1 - verdict.value)
        return read_rubric(_rubric_of(question), result)


def _rubric_of(question: JudgeQuestion) -> Rubric:
    wording = question.wording
    if wording is None:
        return RUBRICS[question.aspect]
    says_how = "yes or no" in wording.lower()
    return Rubric(question.aspect, wording if says_how else f"{wording} Answer Yes or No.", YES_OR_NO)


@dataclass(frozen=True, slots=True)
class _Tuned:
    """A model that was fine-tuned on TruthfulQA's judgements: `judge` is `truth` or `info`."""

    judge: str
    aspects: tuple[str, ...]
    on_request: tuple[str, ...] = ()
    chat_template: str | None = None
    needs_template: bool = False

    @property
    def name(self) -> str:
        return f"truthfulqa-{self.judge}"

    def ask(self, question: JudgeQuestion, id_: str) -> tuple[ScoreRequest, ...]:
        return (ask_truthfulqa(self.judge, id_, question.request, question.answer),)

    def read(self, question: JudgeQuestion, results: Sequence[ScoreResult]) -> Verdict:
        (result,) = results
        return read_truthfulqa(result)


_FORMATS: tuple[JudgeFormat, ...] = (
    *map(_Guard, GUARD_FORMATS.values()),
    _Tuned("truth", ("truthful",)),
    _Tuned("info", ("informative",)),
    _AnyModel(),
)
JUDGE_FORMATS = {one.name: one for one in _FORMATS}
"""The formats by name."""


# --- whose format is it -------------------------------------------------------------------------

_NAMES = {
    "llama-guard-1": r"llamaguard7b",
    "llama-guard-2": r"llamaguard2",
    "llama-guard-3-1b": r"llamaguard31b",
    "llama-guard-3": r"llamaguard38b",
    "llama-guard-4": r"llamaguard4",
    "shieldgemma": r"shieldgemma",
    "granite-guardian": r"graniteguardian3[0-2]",
    "qwen3guard": r"qwen3guardgen",
    "truthfulqa-truth": r"truthfulqatruthjudge",
    "truthfulqa-info": r"truthfulqainfojudge",
}
"""How models of a format are called by their makers, in small letters and digits alone."""

_GUARD_NAME = re.compile(r"guard|shield|judge|classifier|moderat|reward", re.IGNORECASE)
_GUARD_TEMPLATE = re.compile(r"unsafe content|safety (agent|risk|polic|principle)", re.IGNORECASE)


def guess_format(names: Sequence[str], chat_template: str | None) -> str | None:
    """Finds the format that a model is meant for.

    Args:
        names: What the model and its file are called.
        chat_template: Its own chat template, None where it brings none.

    Returns:
        A name in `JUDGE_FORMATS`, `rubric` for an instruction model that is no guard; None where that is not sure.

    >>> guess_format(["Llama-Guard-3-8B-Q4_K_M"], None), guess_format(["Gemma 3 4B It"], "{{ messages }}")
    ('llama-guard-3', 'rubric')
    """
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    found = {format_ for format_, pattern in _NAMES.items() if any(re.search(pattern, name) for name in plain)}
    if found:
        return found.pop() if len(found) == 1 else None
    if chat_template is None or _GUARD_TEMPLATE.search(chat_template) or any(map(_GUARD_NAME.search, names)):
        return None
    return "rubric"
