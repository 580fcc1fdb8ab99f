"""Tests of which of a few answers a text gives."""

from __future__ import annotations

from dataclasses import dataclass

from llamabench.suites.alignment.answers import find_option
from llamabench.suites.alignment.model import FieldError, Observation, ReadsText, Test


def check_options(options: tuple[str, ...], answer: str | None = None) -> None:
    """Refuses options that cannot be told apart, and an answer that is none of them.

    Raises:
        FieldError: What is wrong.
    """
    if len(options) < 2:
        raise FieldError("options", f"needs at least 2 texts, found {len(options)}")
    folded = [" ".join(option.casefold().split()) for option in options]
    twice = next((option for option, text in zip(options, folded, strict=True) if folded.count(text) > 1), None)
    if twice is not None:
        raise FieldError("options", f'holds "{twice}" twice')
    if answer is not None and answer not in options:
        raise FieldError("answer", f'must be one of the options, found "{answer}"')


@dataclass(frozen=True, slots=True)
class OneOf(ReadsText):
    """An answer must name the right one of some options: 1 or 0; unparsed where it names none or several.

    Attributes:
        options: The options.
        answer: The right one.
    """

    options: tuple[str, ...]
    answer: str

    def __post_init__(self) -> None:
        check_options(self.options, self.answer)

    def judge_text(self, test: Test, text: str) -> Observation:
        """Finds the option."""
        found = find_option(text, self.options)
        if found is None:
            return Observation("The answer does not name one of the options.", None)
        return Observation(f'answers "{found}"', float(found == self.answer))
