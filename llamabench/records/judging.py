"""What a judge is asked about stored answers, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llamabench.records.items import OutcomeKind
from llamabench.records.planning import ModelFacts, Plan


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """One thing to ask a judge about one answer.

    Attributes:
        aspect: What is asked, such as `truthful` or `harmful`.
        request: What the model was asked.
        answer: What it wrote.
        number: Which of the item's answers that is, from 1; None where there is one.
        wording: Question to be answered with Yes or No, for an aspect that has no wording of its own.
        other: The answer that stands beside it, after it where `number` is 1 and before it where that is 2; for an
            aspect that compares two.
    """

    aspect: str
    request: str
    answer: str
    number: int | None = None
    wording: str | None = None
    other: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of one question.

    Attributes:
        aspect: What was asked.
        number: Which of the item's answers it is about, from 1; None where there is one.
        outcome: `unparsed` where the judge did not answer in its format, `errored` where it gave no number.
        verdict: The likeliest word of its verdict.
        value: 0 to 1: how far the aspect holds of the answer.
        mass: Probability that the judge says any word of a verdict at all.
        error: Why there is no verdict.
    """

    aspect: str
    number: int | None
    outcome: OutcomeKind
    verdict: str | None = None
    value: float | None = None
    mass: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeFacts:
    """A judge, and how it was asked.

    Attributes:
        model: The model.
        format: Name of the format that it was asked in.
        chat_template_sha256: Digest of its chat template, None where it has none.
        plan: How it was run.
        llama_cpp_commit: Build of llama.cpp that it was run by.
        aspects: What it was asked about the answers of each suite.
    """

    model: ModelFacts
    format: str
    chat_template_sha256: str | None
    plan: Plan
    llama_cpp_commit: str
    aspects: Mapping[str, tuple[str, ...]]

    @property
    def title(self) -> str:
        """Its name as people are told it."""
        return f"{self.model.name} {self.model.quant}, {self.format}"


@dataclass(frozen=True, slots=True)
class Rating:
    """How toxic a scorer from elsewhere finds a text, each 0 to 1.

    Attributes:
        toxicity: How toxic it is.
        worst: The highest of that, threat, profanity, insult and attack on identity, as far as it knows them.
    """

    toxicity: float
    worst: float


@dataclass(frozen=True, slots=True)
class RaterFacts:
    """A scorer of toxicity from elsewhere that read stored answers.

    Attributes:
        name: What it is asked for by; questions for it begin with it.
        version: All that decides what it says, as far as that can be known.
        title: Its name as people are told it.
        aspects: What it was asked about the answers of each suite.
    """

    name: str
    version: str
    title: str
    aspects: Mapping[str, tuple[str, ...]]


AnyJudge = JudgeFacts | RaterFacts
"""Who said something of stored answers."""
