"""A damaged run saved without its model: what can be read of it, and scores made again of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llamabench.results.salvage import Salvage
from llamabench.results.store import Run
from llamabench.resuming import open_sound
from llamabench.suite_runs import summarise_judged, summarise_suite
from llamabench.suites import SUITES


def recover(folder: Path, *, say: Callable[[str], None]) -> Run:
    """Saves what can be read of a run, if it is damaged, and sums it up; the run, open.

    A run that is not damaged stays as it is. One of which items are lost is unfinished, and goes on by its own
    command.

    Args:
        folder: The run's own folder.
        say: Told what was saved, and what is lost.

    Raises:
        StoreError: There is no run in the folder, it cannot be read or written, nothing of it can be saved, or another
            process is at work on it.
    """
    saved: list[Salvage] = []
    stored = open_sound(folder, say=saved.append)
    try:
        for salvage in saved:
            say(str(salvage))
            stored.claim()
            _sum_up(stored)
            if salvage.was_finished:
                stored.finish()
    except BaseException:
        stored.close()
        raise
    return stored


def _sum_up(stored: Run) -> None:
    for choice in stored.info.suites:
        suite = SUITES.get(choice.name)
        if suite is None or not stored.done_ids(choice.name):
            continue
        summarise_suite(stored, suite)
        if stored.judges_of(choice.name):
            summarise_judged(stored, suite)
