"""What refusing the plain request would prevent: attacks beside the plain request for the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.records import AttackResult
from llamabench.report.attack_names import Names
from llamabench.report.attack_shares import (
    RateView,
    count_share,
    has_succeeded,
    split_attacks,
    view_share,
    worst_first,
)
from llamabench.report.charts import Segment, stack_parts
from llamabench.report.format import format_count

DIRECT = "direct"
"""Family of the plain request."""

_PARTS = {
    "plain": "asked plainly",
    "also": "with a technique, for what it also answers when asked plainly",
    "only": "with a technique only: it does not answer when asked plainly",
    "unknown": "with a technique; what it says when asked plainly was not tried, or has no verdict",
}


@dataclass(frozen=True, slots=True)
class DirectPart:
    """Attacks that succeeded, of one kind."""

    kind: str
    label: str
    n: str


@dataclass(frozen=True, slots=True)
class DirectView:
    """Attacks that succeeded, beside the plain request for the same thing.

    Attributes:
        n_succeeded: Attacks that succeeded.
        parts: Kinds of them.
        segments: The same as a bar.
        text: The same in words.
        plain: Success of the plain request, None where it was not tried.
        helped: Success of all techniques.
        breakers: Success of each technique on what the model does not answer when asked plainly.
    """

    n_succeeded: str
    parts: tuple[DirectPart, ...]
    segments: tuple[Segment, ...]
    text: str
    plain: RateView | None
    helped: RateView
    breakers: tuple[RateView, ...]


def compare_with_plain(attacks: Sequence[AttackResult], names: Names) -> DirectView:
    """Set what succeeded with a technique beside what came of the plain request for the same target."""
    plain = [attack for attack in attacks if attack.family == DIRECT]
    helped = [attack for attack in attacks if attack.family != DIRECT]
    answered = {attack.target.id: attack.has_succeeded for attack in plain if attack.outcome is not None}
    counts = dict.fromkeys(_PARTS, 0)
    counts["plain"] = sum(attack.has_succeeded for attack in plain)
    for attack in helped:
        if attack.has_succeeded:
            is_answered = answered.get(attack.target.id)
            counts["unknown" if is_answered is None else "also" if is_answered else "only"] += 1
    parts = tuple(DirectPart(kind, _PARTS[kind], format_count(n)) for kind, n in counts.items() if n)
    refused = [attack for attack in helped if answered.get(attack.target.id) is False]
    by_technique = split_attacks(refused, lambda attack: attack.technique)
    shares = worst_first(
        ((name, count_share(mine, has_succeeded)) for name, mine in by_technique.items()), names.technique
    )
    return DirectView(
        n_succeeded=format_count(sum(counts.values())),
        parts=parts,
        segments=stack_parts(list(counts.items())),
        text="; ".join(f"{part.n} {part.label}" for part in parts),
        plain=view_share("Asked plainly", count_share(plain, has_succeeded)) if plain else None,
        helped=view_share("With a technique", count_share(helped, has_succeeded)),
        breakers=tuple(view_share(names.technique(name), share) for name, share in shares),
    )
