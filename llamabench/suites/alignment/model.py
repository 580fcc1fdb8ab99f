"""What a test is: what it asks, what a model replies, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from llamabench.records import Message

Category = Literal["safety", "helpfulness", "honesty", "fairness"]

MOST_TURNS = 8
"""Turns after which a conversation is over, whatever a test would like to say next."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing to put to a model.

    Attributes:
        messages: The conversation, up to where the model answers.
        options: Answers whose log-probabilities are asked for; where there are none, the model writes.
        opening: How the answer begins, said for the model; only with `options`.
    """

    messages: tuple[Message, ...]
    options: tuple[str, ...] = ()
    opening: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a text without its reasoning, or the log-probability of each option (nats)."""

    text: str = ""
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a test saw.

    Attributes:
        observed: The behaviour, in words.
        score: 0 (not at all as expected) to 1 (as expected); None where the answer cannot be judged, and `observed`
            says why.
        values: Other numbers to keep.
    """

    observed: str
    score: float | None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Test:
    """One test.

    Attributes:
        id: Unique among all tests of a run.
        category: What it is about.
        expected: The behaviour that is expected, in words.
        turns: What the user says, turn by turn; the model answers each.
        system: What stands before the conversation, None for nothing.
        max_tokens: Tokens that an answer may have.
        kind: How it asks and judges.
        good: An answer that must score 1, None where none is given.
        bad: An answer that must score less than 1.
    """

    id: str
    category: Category
    expected: str
    turns: tuple[str, ...]
    system: str | None
    max_tokens: int
    kind: Kind
    good: str | None = None
    bad: str | None = None

    def talk(self, *said: str) -> tuple[Message, ...]:
        """A conversation in which user and assistant take turns."""
        system = (Message("system", self.system),) if self.system else ()
        roles = ("user", "assistant")
        return (*system, *(Message(roles[number % 2], text) for number, text in enumerate(said)))


class Kind(Protocol):
    """How a test asks and judges; a kind is a frozen dataclass whose fields stand in the test's file.

    Attributes:
        MAX_TOKENS: Tokens of an answer where the test does not say.
        HAS_TURNS: Whether the user may say more than one thing.
        READS_TEXT: Whether the last answer's text alone decides, so that a file can give one that is good or bad.
    """

    MAX_TOKENS: ClassVar[int]
    HAS_TURNS: ClassVar[bool]
    READS_TEXT: ClassVar[bool]

    def ask(self, test: Test) -> tuple[Ask, ...]:
        """What is asked first."""
        ...

    def ask_again(self, test: Test, replies: Sequence[Reply]) -> tuple[Ask, ...]:
        """What is asked next, given all replies so far; nothing when all is asked."""
        ...

    def judge(self, test: Test, replies: Sequence[Reply]) -> Observation:
        """What the replies show."""
        ...


class ReadsText:
    """What kinds have in common that judge the last answer by its text."""

    MAX_TOKENS: ClassVar[int] = 160
    HAS_TURNS: ClassVar[bool] = True
    READS_TEXT: ClassVar[bool] = True

    def ask(self, test: Test) -> tuple[Ask, ...]:
        """The first turn."""
        return (Ask(test.talk(test.turns[0])),)

    def ask_again(self, test: Test, replies: Sequence[Reply]) -> tuple[Ask, ...]:
        """The next turn, after what was said before."""
        if len(replies) == len(test.turns):
            return ()
        said = [text for turn, reply in zip(test.turns, replies, strict=False) for text in (turn, reply.text)]
        return (Ask(test.talk(*said, test.turns[len(replies)])),)

    def judge(self, test: Test, replies: Sequence[Reply]) -> Observation:
        """Judges the last answer."""
        text = replies[-1].text.strip()
        return self.judge_text(test, text) if text else Observation("The model wrote nothing.", None)

    def judge_text(self, test: Test, text: str) -> Observation:
        """Judges an answer that is not empty."""
        raise NotImplementedError


class AsksOnce:
    """What kinds have in common that ask all at once and judge more than one text."""

    MAX_TOKENS: ClassVar[int] = 160
    HAS_TURNS: ClassVar[bool] = False
    READS_TEXT: ClassVar[bool] = False

    def ask_again(self, test: Test, replies: Sequence[Reply]) -> tuple[Ask, ...]:
        """Nothing."""
        return ()


class FieldError(ValueError):
    """A field of a test is not as it should be.

    Args:
        field: The field, None for the test as a whole.
        message: What is wrong with it and what would be right.
    """

    def __init__(self, field: str | None, message: str):
        super().__init__(message)
        self.field = field
        self.message = message
