"""Runs whose whole process group is killed at random moments, until they are done: what was lost, what asked twice."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reliability_runs import SUITES, Place, Stored, ended, kill_group, read_run, wait_until

_EARLY_SHARE = 0.25
"""Kills that come at any moment from the first instruction on; of the others, half come once something is asked, and
half once something is stored, so that a run gets on."""

_MOST_CHUNKS = 4
"""Chunks' time within which those come."""


@dataclass(slots=True)
class KillTally:
    """What kills did.

    Attributes:
        n_kills: Kills that found the process alive.
        n_runs: Runs that were brought to their end.
        n_empty: Kills before anything was stored by that process.
        lost: Items that were stored before a kill, and were gone or different afterwards.
        asked_again: Items that were asked although they were stored.
        n_in_flight: Items that were under way at kills, and so asked once more.
        most_in_flight: Most of them at one kill.
        wrong_ends: Finished runs that differ from an undisturbed one, by what differs.
        failures: Commands that ended by themselves with an error.
    """

    n_kills: int = 0
    n_runs: int = 0
    n_empty: int = 0
    lost: list[str] = field(default_factory=list)
    asked_again: list[str] = field(default_factory=list)
    n_in_flight: int = 0
    most_in_flight: int = 0
    wrong_ends: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def n_lost(self) -> int:
        """Results that were lost, asked twice without need, or came out otherwise."""
        return len(self.lost) + len(self.asked_again) + len(self.wrong_ends) + len(self.failures)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of an undisturbed run: until something is asked, for a chunk, and from the last one to the end."""

    before_s: float
    chunk_s: float
    after_s: float


def kill_runs(place: Place, name: str, n_kills: int, *, seed: int) -> KillTally:
    """Kills runs of a kind so many times, as many runs as that takes, and compares each with an undisturbed one.

    Args:
        place: Folders of the commands.
        name: A key of `SUITES`.
        n_kills: Kills.
        seed: Seed of the moments.
    """
    rng, tally = random.Random(seed), KillTally()
    reference, pace = run_undisturbed(place, name)
    while tally.n_kills < n_kills:
        out = place.folder / f"{name}-{tally.n_runs}"
        _run_with_kills(place, name, out, rng=rng, pace=pace, tally=tally, most=n_kills)
        tally.wrong_ends += compare(read_run(out), reference)
        tally.n_runs += 1
        shutil.rmtree(out)
    return tally


def run_undisturbed(place: Place, name: str) -> tuple[Stored, Pace]:
    """What a run of a kind gives when nobody disturbs it, and how long that takes.

    Raises:
        RuntimeError: It fails.
    """
    out = place.folder / f"{name}-undisturbed"
    place.asked.unlink(missing_ok=True)
    began = time.monotonic()
    with ended(place.start(SUITES[name], out)) as process:
        wait_until(lambda: place.read_asked(), process)
        asked = time.monotonic()
        wait_until(lambda: (found := read_run(out)) is not None and found.is_finished, process, limit_s=600)
        stored = time.monotonic()
        _, err = process.communicate(timeout=600)
        found = read_run(out)
        if process.returncode or found is None:
            raise RuntimeError(f"an undisturbed run failed: {err}")
    assert found.events == [], found.events
    return found, Pace(asked - began, (stored - asked) / found.n_chunks, time.monotonic() - stored)


def _run_with_kills(
    place: Place, name: str, out: Path, *, rng: random.Random, pace: Pace, tally: KillTally, most: int
) -> None:
    """Starts the command again and again until it is done; the last time undisturbed."""
    before = read_run(out)
    while before is None or not before.is_finished:
        place.asked.unlink(missing_ok=True)
        is_last = tally.n_kills >= most
        with ended(place.start(SUITES[name], out)) as process:
            if not is_last:
                _wait_for_a_moment(place, process, rng, pace, out=out)
            if is_last or process.poll() is not None:
                _, err = process.communicate(timeout=900)
                tally.failures += [err] if process.returncode else []
            else:
                kill_group(process)
                tally.n_kills += 1
        after = read_run(out)
        count_process(before, after, place.read_asked(), tally)
        if tally.failures:
            return
        before = after


def _wait_for_a_moment(
    place: Place, process: subprocess.Popen[str], rng: random.Random, pace: Pace, *, out: Path
) -> None:
    if rng.random() < _EARLY_SHARE:
        wait_until(lambda: False, process, limit_s=rng.uniform(0, pace.before_s + pace.after_s))
        return
    wait_until(lambda: place.read_asked(), process)
    if rng.random() < 0.5:
        n_chunks = _count_chunks(out)
        wait_until(lambda: _count_chunks(out) > n_chunks, process)
    wait_until(lambda: False, process, limit_s=rng.uniform(0, _MOST_CHUNKS * pace.chunk_s))


def _count_chunks(out: Path) -> int:
    found = read_run(out)
    return 0 if found is None else found.n_chunks


def count_process(
    before: Stored | None, after: Stored | None, asked: Sequence[Sequence[str]], tally: KillTally
) -> None:
    """Compares what is stored before and after a process, with what it asked."""
    old = before.items if before else {}
    new = after.items if after else {}
    tally.lost += [f"{key}" for key, row in old.items() if new.get(key) != row]
    tally.n_empty += len(new) == len(old)
    # what is said after the sign are turns, tries and searches of one item
    names = {re.split(r"[#/]", one)[0] for chunk in asked for one in chunk}
    stored = {re.split(r"[#/]", name)[0] for _, name in old}
    tally.asked_again += sorted(names & stored)
    in_flight = names - {re.split(r"[#/]", name)[0] for _, name in new}
    tally.n_in_flight += len(in_flight)
    tally.most_in_flight = max(tally.most_in_flight, len(in_flight))


def compare(found: Stored | None, reference: Stored) -> list[str]:
    """What of a run differs from another, bit for bit; nothing where all is the same."""
    if found is None:
        return ["there is no run"]
    wrong = [f"item {key}" for key in reference.items if found.items.get(key) != reference.items[key]]
    wrong += [f"item {key} that was not asked" for key in found.items.keys() - reference.items.keys()]
    wrong += ["scores"] if found.scores != reference.scores else []
    return wrong + ([] if found.is_finished else ["it is not finished"])
