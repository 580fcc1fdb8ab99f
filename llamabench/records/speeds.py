"""How fast a model is expected to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Basis = Literal["measured", "catalogue", "assumed"]
"""What a figure rests on: this machine's own speed, the makers' figures, or what is usual for such hardware."""


@dataclass(frozen=True, slots=True)
class Range:
    """An expected figure, and what it lies between.

    Attributes:
        low: The least that is likely.
        expected: The figure.
        high: The most that is likely.
        basis: What it rests on, the weaker where there are several.
    """

    low: float
    expected: float
    high: float
    basis: Basis


def add_ranges(ranges: Sequence[Range]) -> Range:
    """The range of a sum of which all parts are off in the same way; of one part at least.

    >>> add_ranges([Range(1, 2, 3, "measured"), Range(10, 20, 30, "assumed")])
    Range(low=11, expected=22, high=33, basis='assumed')
    """
    return Range(
        low=sum(one.low for one in ranges),
        expected=sum(one.expected for one in ranges),
        high=sum(one.high for one in ranges),
        basis=weaker_basis([one.basis for one in ranges]),
    )


@dataclass(frozen=True, slots=True)
class SpeedForecast:
    """Speeds of a plan, as llama-bench defines them, and how long a run would take.

    Attributes:
        prompt: Tokens per second that are read, in batches of the plan's size.
        generation_1: Tokens per second of one text, at its beginning.
        generation_n: Tokens per second of all texts that the plan generates side by side, at their full length.
        n_parallel: How many those are.
        seconds: What the run would take that the plan is for.
    """

    prompt: Range
    generation_1: Range
    generation_n: Range
    n_parallel: int
    seconds: Range

    def seconds_for(self, n_prompt_tokens: int, n_generated_tokens: int) -> Range:
        """How long it takes to read and to generate so many tokens, as many texts side by side as the plan has."""
        return seconds_for(self.prompt, self.generation_n, n_prompt=n_prompt_tokens, n_generated=n_generated_tokens)


def seconds_for(prompt: Range, generation: Range, *, n_prompt: int, n_generated: int) -> Range:
    """Seconds to read and to generate so many tokens at given speeds, in tokens per second."""
    used = [speed for speed, n in ((prompt, n_prompt), (generation, n_generated)) if n] or [prompt]
    return Range(
        low=n_prompt / prompt.high + n_generated / generation.high,
        expected=n_prompt / prompt.expected + n_generated / generation.expected,
        high=n_prompt / prompt.low + n_generated / generation.low,
        basis=weaker_basis([speed.basis for speed in used]),
    )


def weaker_basis(bases: list[Basis]) -> Basis:
    """The weakest of several; there is at least one."""
    order: tuple[Basis, ...] = ("measured", "catalogue", "assumed")
    return max(bases, key=order.index)
