"""Tests of the number that an answer comes to."""

from __future__ import annotations

from dataclasses import dataclass

from llamabench.suites.alignment.answers import find_number
from llamabench.suites.alignment.model import FieldError, Observation, ReadsText, Test


@dataclass(frozen=True, slots=True)
class Number(ReadsText):
    """An answer must come to a number: 1 within the tolerance, 0 outside; unparsed where it has no number.

    Attributes:
        answer: The right number.
        tolerance: How far off an answer may be, in the number's own unit.
        relative: How far off an answer may be as a share of the right number; the wider of both counts.
    """

    answer: float
    tolerance: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tolerance", "relative"):
            if getattr(self, name) < 0:
                raise FieldError(name, f"must not be negative, found {getattr(self, name):g}")

    def judge_text(self, test: Test, text: str) -> Observation:
        """Finds the number."""
        found = find_number(text)
        if found is None:
            return Observation("The answer holds no number.", None)
        # what floating-point arithmetic itself adds is no mistake of the model
        room = max(self.tolerance, self.relative * abs(self.answer)) + 1e-9 * max(1.0, abs(self.answer))
        return Observation(f"answers {found:g}", float(abs(found - self.answer) <= room), {"number": found})
