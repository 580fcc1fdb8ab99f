"""An audit: some of a suite's items scored again, one sequence at a time, and compared with what is stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from llamabench.records import Audit, ItemRow

_MOST_NAMED = 20


def draw_places(n_items: int, n_wanted: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Places of items to score again, ascending: all of them where there are no more than wanted."""
    drawn = rng.choice(n_items, min(n_items, n_wanted), replace=False)
    return tuple(sorted(drawn.tolist()))


def compare_rows(suite: str, pairs: Iterable[tuple[ItemRow, ItemRow]]) -> Audit:
    """Compares items as they were scored with the same items scored exactly.

    Args:
        suite: Name of the suite.
        pairs: Stored and exact rows of the same items.
    """
    n_items = n_failed = n_continuations = 0
    worst = (-1.0, 0.0, "")
    changed = []
    for stored, exact in pairs:
        n_items += 1
        if stored.outcome != "scored" or exact.outcome != "scored":
            n_failed += 1
            if stored.outcome != exact.outcome:
                changed.append(stored.id)
            continue
        differences = list(_differences(stored, exact))
        n_continuations += len(differences)
        worst = max([worst, *((nats, per_token, stored.id) for nats, per_token in differences)])
        if any(_is_other_decision(value, exact.values[name]) for name, value in stored.values.items()):
            changed.append(stored.id)
    nats, per_token, item = worst
    return Audit(
        suite=suite,
        n_items=n_items,
        n_failed=n_failed,
        n_continuations=n_continuations,
        largest_difference=nats if n_continuations else None,
        largest_per_token=per_token if n_continuations else None,
        worst_item=item if n_continuations else None,
        n_changed=len(changed),
        changed_items=tuple(changed[:_MOST_NAMED]),
    )


def _differences(stored: ItemRow, exact: ItemRow) -> Iterator[tuple[float, float]]:
    """Difference of each continuation's log-probability, in nats and per token."""
    answers = zip(
        itertools.chain.from_iterable(exchange.answers for exchange in stored.exchanges),
        itertools.chain.from_iterable(exchange.answers for exchange in exact.exchanges),
        strict=True,
    )
    for before, after in answers:
        one, other, n_tokens = before.get("logprob"), after.get("logprob"), before.get("n_tokens")
        if isinstance(one, float) and isinstance(other, float) and isinstance(n_tokens, int):
            nats = abs(one - other)
            yield nats, nats / max(n_tokens, 1)


def _is_other_decision(before: float, after: float) -> bool:
    """Whether two values mean two answers: a choice, a hit or a tie is whole or half, a probability is not."""
    return before != after and before * 2 % 1 == 0 and after * 2 % 1 == 0
