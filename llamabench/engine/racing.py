"""Which continuations can still be the likeliest, and how far each is scored: sums of log-probabilities only fall.

A continuation has lost once its partial sum lies below the whole sum of a rival. It is decoded in steps: the shortest
of a race as a whole, the others as far as that, then further while they can win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

STEP = 16
"""Tokens by which a continuation is taken further; what has no more than that to go is not worth a step of its own."""

MARGIN = 0.5
"""Nats by which a partial sum must lie below: llama.cpp's noise, which is smaller, decides no race before its end."""


class Race:
    """How many of its scored tokens each sequence is taken to.

    Args:
        n_scored: Scored tokens of each sequence, (n_sequences,).
        races: Which sequences compete: those of the same number; None for one that is scored to its end.
        sum_of: The sum of the first so many log-probabilities of a sequence; NaN while one of them is not read.

    Attributes:
        ends: How many of its scored tokens each sequence is taken to so far.
    """

    def __init__(
        self, n_scored: Sequence[int], races: Sequence[int | None], sum_of: Callable[[int, int], float]
    ) -> None:
        self._n_scored = n_scored
        self._sum_of = sum_of
        self._rivals: list[list[int]] = [[] for _ in n_scored]
        self.ends = list(n_scored)
        members: dict[int, list[int]] = {}
        for number, race in enumerate(races):
            if race is not None:
                members.setdefault(race, []).append(number)
        for rivals in members.values():
            shortest = min(n_scored[number] for number in rivals)
            for number in rivals:
                self._rivals[number] = rivals
                self._set_end(number, max(shortest, STEP))

    def _set_end(self, number: int, end: int) -> None:
        self.ends[number] = end if self._n_scored[number] - end > STEP else self._n_scored[number]

    def n_left(self, number: int) -> int:
        """Scored tokens of a sequence beyond what it is taken to."""
        return self._n_scored[number] - self.ends[number]

    def place(self, number: int) -> int:
        """Where a sequence starts among its rivals: those that are whole at once come first."""
        return int(self.n_left(number) > 0)

    def advance(self, number: int) -> bool:
        """Takes a sequence a step further, if there is more of it and it can still win; whether it does.

        Nobody loses to a rival that is not whole, and nobody loses by a NaN: it is found at the end.
        """
        end = self.ends[number]
        if self.n_left(number) == 0:
            return False
        wholes = [self._sum_of(rival, self.ends[rival]) for rival in self._rivals[number] if not self.n_left(rival)]
        if any(self._sum_of(number, end) < whole - MARGIN for whole in wholes):
            return False
        self._set_end(number, end + STEP)
        return True
