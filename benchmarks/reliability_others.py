"""What else comes between a run and its end: locks, sleep, clocks, a second process, another model, no writing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from reliability_disks import can_mount, disk
from reliability_kills import compare
from reliability_runs import SUITES, Place, Stored, ended, find_run, kill_group, read_run, wait_until

from llamabench.data.demo_model import find_trained_model

CLOCK_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
"""libfaketime, which shows a process another wall clock (Debian: libfaketime)."""

_WATCHDOG_S = 2.0
_RUN = SUITES["scoring"]

Found = tuple[int, list[str]]
"""How often something was tried, and what was wrong."""


def try_all(place: Place, reference: Stored, *, n_times: int) -> Iterator[tuple[str, Found | None]]:
    """Tries everything, one after the other; None where it cannot be tried here.

    Args:
        place: Folders of the commands.
        reference: What an undisturbed run gives.
        n_times: How often to try each.
    """
    yield "file locked by another program for 12 s", _lock(place, reference, n_times)
    yield "stopped for longer than the watchdog allows", _suspend(place, reference, n_times)
    library = next((path for path in CLOCK_LIBRARIES if Path(path).exists()), None)
    yield "wall clock set by a day, forth and back", None if library is None else _jump(place, reference, library)
    yield "the same command twice at once", _run_twice(place, reference, n_times)
    yield "another model file on going on", _change_model(place, reference)
    yield "folder on a read-only disk", _read_only(place, reference) if can_mount(place.folder / "disk") else None


def _wait_for_items(place: Place, out: Path, process, n_items: int) -> None:  # type: ignore[no-untyped-def]
    wait_until(lambda: (found := read_run(out)) is not None and len(found.items) >= n_items, process)


def _lock(place: Place, reference: Stored, n_times: int) -> Found:
    """Another program holds the file for writing while chunks are to be stored."""
    wrong: list[str] = []
    for number in range(n_times):
        out = place.folder / f"locked-{number}"
        with ended(place.start(_RUN, out)) as process:
            _wait_for_items(place, out, process, 20)
            folder = find_run(out)
            assert folder is not None
            with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None, timeout=30)) as database:
                database.execute("BEGIN IMMEDIATE")
                time.sleep(12)
                database.execute("ROLLBACK")
            _, err = process.communicate(timeout=600)
            wrong += [err] if process.returncode else compare(read_run(out), reference)
    return n_times, wrong


def _suspend(place: Place, reference: Stored, n_times: int) -> Found:
    """All processes of the run stand still, as when the lid is closed, three times a run."""
    wrong: list[str] = []
    for number in range(n_times):
        out = place.folder / f"suspended-{number}"
        with ended(place.start([*_RUN, "--watchdog", f"{_WATCHDOG_S:g}"], out)) as process:
            for n_items in (20, 100, 200):
                _wait_for_items(place, out, process, n_items)
                os.killpg(process.pid, signal.SIGSTOP)
                time.sleep(5 * _WATCHDOG_S)
                os.killpg(process.pid, signal.SIGCONT)
            _, err = process.communicate(timeout=600)
            found = read_run(out)
            wrong += [err] if process.returncode else compare(found, reference)
            wrong += [f"noted: {found.events}"] if found is not None and found.events else []
    return 3 * n_times, wrong


def _jump(place: Place, reference: Stored, library: str) -> Found:
    """The wall clock goes a day forth, two back, and forth again, while a run with a time budget goes on."""
    out, clock = place.folder / "clock", place.folder / "clock.txt"
    clock.write_text("+0d")
    environment = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    wrong: list[str] = []
    with ended(place.start(_RUN, out, **environment)) as process:
        for n_items, offset in ((20, "+1d"), (100, "-1d"), (200, "+400d")):
            _wait_for_items(place, out, process, n_items)
            clock.write_text(offset)
        _, err = process.communicate(timeout=600)
        found = read_run(out)
        wrong += [err] if process.returncode else compare(found, reference)
        wrong += [f"noted: {found.events}"] if found is not None and found.events else []
    clock.write_text("+0d")
    budgeted = place.folder / "clock-budget"
    with ended(place.start([*_RUN, "--time-budget", "10m"], budgeted, **environment)) as process:
        _wait_for_items(place, budgeted, process, 20)
        clock.write_text("+2d")
        _, err = process.communicate(timeout=600)
        found = read_run(budgeted)
        n_items = 0 if found is None else len(found.items)
        # a clock that counts for the budget would have ended the run there
        wrong += [err or f"{n_items} items"] if process.returncode or n_items != len(reference.items) else []
    return 4, wrong


def _run_twice(place: Place, reference: Stored, n_times: int) -> Found:
    """Two processes want the same folder: one has it, the other is told so."""
    wrong: list[str] = []
    for number in range(n_times):
        out = place.folder / f"twice-{number}"
        with ended(place.start(_RUN, out)) as first:
            if number % 2:  # the second comes at once, or when the first is at work
                _wait_for_items(place, out, first, 10)
            second = place.finish(_RUN, out)
            printed, err = first.communicate(timeout=600)
            ends = sorted([(first.returncode, err), (second.code, second.err)])
        if [code for code, _ in ends] != [0, 1] or "at work" not in ends[1][1]:
            wrong.append(f"{ends}")
        wrong += compare(read_run(out), reference)
        wrong += ["a second folder"] if len(list(out.iterdir())) != 1 else []
    return n_times, wrong


def _change_model(place: Place, reference: Stored) -> Found:
    """The model's file is another one when the run is to go on; then the old one again."""
    out, model = place.folder / "changed", place.folder / "model.gguf"
    shutil.copy(find_trained_model("demo-aligned"), model)
    words = [word.replace("demo-aligned", str(model)) for word in _RUN]
    with ended(place.start(words, out)) as process:
        _wait_for_items(place, out, process, 50)
        kill_group(process)
    before = read_run(out)
    shutil.copy(find_trained_model("demo-base"), model)
    refused = place.finish(words, out)
    wrong = [] if refused.code == 1 and "is not the file that the unfinished run" in refused.err else [refused.err]
    wrong += [] if before is not None and (after := read_run(out)) and after.items == before.items else ["items"]
    shutil.copy(find_trained_model("demo-aligned"), model)
    done = place.finish(words, out)
    wrong += [done.err] if done.code else _compare_items(read_run(out), reference)
    return 1, wrong


def _compare_items(found: Stored | None, reference: Stored) -> list[str]:
    """Whether a run of another path, whose signature may differ, has the same items."""
    same = found is not None and found.items == reference.items
    return [] if same else ["the items differ"]


def _read_only(place: Place, reference: Stored) -> Found:
    """A run on a medium that cannot be written to is read, and every command that would write says so."""
    wrong: list[str] = []
    with disk(place.folder / "disk", 32 << 10) as medium:
        out = medium.folder / "out"
        with ended(place.start(_RUN, out)) as process:
            _wait_for_items(place, out, process, 50)
            kill_group(process)
        folder = find_run(out)
        assert folder is not None
        held = {path.name: path.read_bytes() for path in folder.iterdir()}
        medium.make_read_only()
        items = place.call("items", str(folder), "--json")
        n_items = len(items.out.splitlines())
        exported = place.call("export", str(folder), "--format", "json", "--out", str(place.folder / "run.json"))
        wrong += [f"items: {items.err}"] if items.code or n_items < 50 else []
        wrong += [f"export: {exported.err}"] if exported.code else []
        refused: Sequence[tuple[str, ...]] = (("report", str(folder)), ("recover", str(folder)))
        for words in refused:
            done = place.call(*words)
            wrong += [f"{words[0]}: {done.err}"] if done.code != 1 or "Error: " not in done.err else []
        done = place.finish(_RUN, out)
        wrong += [f"run: {done.err}"] if done.code != 1 or "can be read and not written" not in done.err else []
        wrong += ["files changed"] if {path.name: path.read_bytes() for path in folder.iterdir()} != held else []
    return 5, wrong
