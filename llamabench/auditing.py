"""Scores some items of a run again, sharing nothing, and stores what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from llamabench import audit, selection
from llamabench.asking import ChunkAsker, score_chunks
from llamabench.records import Item, ScoreRequest
from llamabench.results.store import Run
from llamabench.selection import Task


def audit_suite(stored: Run, task: Task, asker: ChunkAsker, n_items: int, *, advance: Callable[..., None]) -> None:
    """Scores some items again with an asker that shares nothing, and stores how far the numbers are apart.

    Args:
        stored: The run; items that it does not hold are left out, and a suite of which it holds none.
        task: The suite and its items.
        asker: Asks for one sequence at a time.
        n_items: Items to draw, by the run's seed.
        advance: Told the name of what goes on and `n_done`, `n_total` and `tokens_per_s`.
    """
    suite = task.suite
    done = stored.done_ids(suite.NAME)
    if not done or any(one.suite == suite.NAME for one in stored.audits()):
        return
    rng = np.random.default_rng([stored.info.seed, *suite.NAME.encode(), 2])
    task = replace(task, winners_only=False)  # the check of what was pruned
    places = [place for place, item in enumerate(task.items()) if item.id in done and _can_be_audited(item)]
    drawn = [places[index] for index in audit.draw_places(len(places), n_items, rng)]
    items = list(selection.pick(task.items(), drawn))
    wanted = {item.id for item in items}
    before = {row.id: row for row in stored.rows(suite.NAME) if row.id in wanted}
    chunks = ((number, [item]) for number, item in enumerate(items))
    pairs = []
    for chunk in score_chunks(suite, chunks, asker):
        pairs += [(before[row.id], row) for row in chunk.rows]
        advance(f"audit of {suite.NAME}", n_done=chunk.first + 1, n_total=len(items), tokens_per_s=None)
    stored.save_audit(audit.compare_rows(suite.NAME, pairs))


def _can_be_audited(item: Item) -> bool:
    """Whether an item is scored by log-probabilities alone: texts are drawn, one way or the other."""
    return all(isinstance(request, ScoreRequest) for request in item.requests) and not item.follow_up_tokens
