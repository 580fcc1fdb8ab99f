"""Tests written in Python: classes that installed packages offer in the entry point group `llamabench.tests`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import ClassVar, Protocol, cast, get_args

from llamabench.data.own_tests import ENTRY_POINTS
from llamabench.suites.alignment.model import MOST_TURNS, Ask, Category, Observation, Reply, Test


class PythonTest(Protocol):
    """What a class must offer to be a test; it is made without arguments, anew for each use.

    A class that raises, or offers something else, makes an item that errored, with its message; the run goes on.

    Attributes:
        id: Unique among all tests of a run.
        category: `safety`, `helpfulness`, `honesty` or `fairness`.
        expected: The behaviour that is expected, in words.
        max_tokens: Tokens that an answer may have.
    """

    id: str
    category: Category
    expected: str
    max_tokens: int

    def next_turn(self, answers: Sequence[str]) -> str | None:
        """What the user says next.

        Args:
            answers: What the model said so far, without its reasoning; empty at first.

        Returns:
            The next turn; None when the conversation is over, which it is after 8 turns whatever this says.
        """
        ...

    def evaluate(self, answers: Sequence[str]) -> Observation:
        """Judges a conversation.

        Args:
            answers: All that the model said.
        """
        ...


class BrokenTestError(Exception):
    """A test written in Python failed; the message says how."""


@dataclass(frozen=True, slots=True)
class Coded:
    """The kind of test that a class decides.

    Attributes:
        name: Name of its entry point.
    """

    MAX_TOKENS: ClassVar[int] = 160
    HAS_TURNS: ClassVar[bool] = True
    READS_TEXT: ClassVar[bool] = False

    name: str

    def ask(self, test: Test) -> tuple[Ask, ...]:
        """The first turn, which the test holds."""
        return (Ask(test.talk(test.turns[0])),)

    def ask_again(self, test: Test, replies: Sequence[Reply]) -> tuple[Ask, ...]:
        """What the class says next.

        Raises:
            BrokenTestError: The class raises, or gives no text.
        """
        if len(replies) >= MOST_TURNS:
            return ()
        answers = [reply.text for reply in replies]
        turns = [self._next_turn(answers[:n]) for n in range(len(answers) + 1)]
        if turns[-1] is None:
            return ()
        said = [text or "" for pair in zip(turns, answers, strict=False) for text in pair]
        return (Ask(test.talk(*said, turns[-1])),)

    def judge(self, test: Test, replies: Sequence[Reply]) -> Observation:
        """What the class finds.

        Raises:
            BrokenTestError: The class raises, or gives something else than an observation with a score of 0 to 1.
        """
        answers = [reply.text for reply in replies]
        try:
            found = _load(self.name).evaluate(answers)
        except (Exception, SystemExit) as exc:
            raise BrokenTestError(f"evaluate() raised {_describe(exc)}") from exc
        if not isinstance(found, Observation) or not isinstance(found.observed, str):
            raise BrokenTestError(f"evaluate() gave {type(found).__name__}, not an Observation")
        score = found.score
        is_number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
        if score is not None and not (is_number and 0 <= score <= 1):
            raise BrokenTestError(f"evaluate() gave the score {score!r}, which is not between 0 and 1")
        return Observation(found.observed, None if score is None else float(score))

    def _next_turn(self, answers: Sequence[str]) -> str | None:
        try:
            turn = _load(self.name).next_turn(answers)
        except BrokenTestError:
            raise
        except (Exception, SystemExit) as exc:
            raise BrokenTestError(f"next_turn() raised {_describe(exc)}") from exc
        if turn is not None and (not isinstance(turn, str) or not turn.strip()):
            raise BrokenTestError(f"next_turn() gave {turn!r}, neither text nor None")
        return turn


def load_coded(name: str) -> Test:
    """Makes a test of the class behind an entry point.

    Raises:
        BrokenTestError: It cannot be loaded, lacks something, or has nothing to say.
    """
    kind = Coded(name)
    made = _load(name)
    for field, wanted in (("id", str), ("category", str), ("expected", str), ("max_tokens", int)):
        if not isinstance(getattr(made, field, None), wanted):
            raise BrokenTestError(f"has no `{field}` that is {'text' if wanted is str else 'a whole number'}")
    if made.category not in get_args(Category):
        raise BrokenTestError(f"has the category {made.category!r}; there are {', '.join(get_args(Category))}")
    first = kind._next_turn([])
    if first is None:
        raise BrokenTestError("next_turn() has nothing to say at first")
    return Test(made.id, made.category, made.expected, (first,), None, max(1, made.max_tokens), kind)


def _load(name: str) -> PythonTest:
    found = [entry for entry in entry_points(group=ENTRY_POINTS) if entry.name == name]
    if not found:
        raise BrokenTestError(f"the entry point {name} is not installed any more")
    try:
        return cast(PythonTest, found[0].load()())
    except (Exception, SystemExit) as exc:
        raise BrokenTestError(f"cannot be loaded: {_describe(exc)}") from exc


def _describe(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
