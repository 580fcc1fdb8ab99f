"""What the generation measurements found: pure arithmetic on turns, and its wording."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from measuring import QUIET_SHARE, Target

from llamabench.repeats import find_doubts

LEAST_GREEDY = 0.95
LEAST_COMPLETION_RATIO = 5
"""Ours alone: DESIGN.md sets none for it."""


class Case(NamedTuple):
    """What was timed: how many texts side by side, how they are drawn, and the share of the peer's speed to reach."""

    model: str
    n_parallel: int
    drawing: str
    least: float

    @property
    def name(self) -> str:
        """The target's name."""
        return f"{self.model}_{self.drawing}_{self.n_parallel}"


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of both sides for prompt and texts together, the tokens decoded after the prompt by each, and others."""

    ours_s: float
    n_ours: int
    peer_s: float
    n_peer: int
    others: float

    @property
    def is_quiet(self) -> bool:
        """Whether others left the machine alone."""
        return self.others <= QUIET_SHARE

    @property
    def ratio(self) -> float:
        """Our speed as a share of the peer's."""
        return (self.n_ours / self.ours_s) / (self.n_peer / self.peer_s)


@dataclass(slots=True)
class Measured:
    """All turns of each case; one during which others kept the machine busy counts only where all were so."""

    turns: dict[Case, list[Turn]] = field(default_factory=dict)

    def add(self, case: Case, turn: Turn) -> None:
        """Takes a turn."""
        self.turns.setdefault(case, []).append(turn)

    def counted(self, case: Case) -> list[Turn]:
        """The turns that the result is a median of."""
        return [turn for turn in self.turns[case] if turn.is_quiet] or self.turns[case]

    def n_quiet(self) -> int:
        """Quiet turns of the case that has the fewest."""
        return min(sum(turn.is_quiet for turn in turns) for turns in self.turns.values())

    def ratio(self, case: Case) -> float:
        """Our speed as a share of the peer's, the median over turns."""
        return statistics.median(turn.ratio for turn in self.counted(case))

    def targets(self) -> Iterator[Target]:
        """One for each case."""
        for case in self.turns:
            yield Target(case.name, self.ratio(case), case.least)

    def lines(self) -> Iterator[str]:
        """Speeds of both sides, medians, and every turn."""
        for case in self.turns:
            turns = self.counted(case)
            ours = statistics.median(turn.n_ours / turn.ours_s for turn in turns)
            peer = statistics.median(turn.n_peer / turn.peer_s for turn in turns)
            ratios = ", ".join(f"{turn.ratio:.3f}" for turn in turns)
            yield f"{case.name}: {ours:.0f} tokens/s, llama-batched-bench {peer:.0f} (turns: {ratios})"

    def doubts(self) -> Iterator[str]:
        """What makes the results doubtful."""
        for case, turns in self.turns.items():
            if not any(turn.is_quiet for turn in turns):
                yield f"{case.name}: the machine was busy during every turn. Quieten it and measure again."
            yield from find_doubts(case.name, [turn.ratio for turn in self.counted(case)])

    def documents(self) -> list[dict[str, object]]:
        """The same facts for JSON."""
        return [
            {
                **case._asdict(),
                "ratio": self.ratio(case),
                "turns": [
                    {"ours_s": t.ours_s, "peer_s": t.peer_s, "n_ours": t.n_ours, "n_peer": t.n_peer, "others": t.others}
                    for t in turns
                ],
            }
            for case, turns in self.turns.items()
        ]


@dataclass(frozen=True, slots=True)
class Load:
    """A load of prompts with many samples each, against one text after the other."""

    n_prompts: int
    n_samples: int
    ours_s: tuple[float, ...]
    completion_s: tuple[float, ...]

    @property
    def prompts_per_s(self) -> float:
        """Ours, the median over turns."""
        return self.n_prompts / statistics.median(self.ours_s)

    @property
    def completion_prompts_per_s(self) -> float:
        """What `create_completion` would reach, from a few texts."""
        return 1 / (self.n_samples * statistics.median(self.completion_s))

    def target(self) -> Target:
        """How many times as fast ours is."""
        return Target(
            "load_vs_create_completion", self.prompts_per_s / self.completion_prompts_per_s, LEAST_COMPLETION_RATIO
        )

    def line(self) -> str:
        """Both speeds."""
        return (
            f"{self.n_prompts} prompts, {self.n_samples} texts each: {self.prompts_per_s:.2f} prompts/s, "
            f"create_completion {self.completion_prompts_per_s:.3f} (from {len(self.completion_s)} texts)"
        )
