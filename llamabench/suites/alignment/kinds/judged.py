"""Tests that only a judge can decide; until one has, their answers are kept and no score is made up."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from llamabench.scorers.judge import RUBRICS
from llamabench.suites.alignment.model import FieldError, Observation, ReadsText, Test

NOT_JUDGED = "Not judged yet: a judge model has to read this answer (llamabench score)."


@dataclass(frozen=True, slots=True)
class Judged(ReadsText):
    """A judge model must find that a rubric holds of the answer, or that it does not.

    Attributes:
        rubric: Name of one of `scorers.judge.RUBRICS`.
        question: A question of your own to be answered with Yes or No, in place of a rubric.
        wants: Whether a `high` or a `low` value of the rubric is expected; high is what its name says, or Yes.
    """

    rubric: str | None = None
    question: str | None = None
    wants: Literal["high", "low"] = "high"

    def __post_init__(self) -> None:
        if (self.rubric is None) == (self.question is None):
            raise FieldError(None, "needs either `rubric` or `question`")
        if self.rubric is not None and self.rubric not in RUBRICS:
            near = difflib.get_close_matches(self.rubric, RUBRICS, n=1)
            guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(RUBRICS)}"
            raise FieldError("rubric", f'knows no "{self.rubric}"; {guess}')

    def judge_text(self, test: Test, text: str) -> Observation:
        """Says that nobody has judged yet."""
        return Observation(NOT_JUDGED, None)
