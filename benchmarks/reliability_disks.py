"""Disks that are full, at every stage of a run: whether a sentence says so, and whether anything is lost.

A small file system in memory stands for the disk; root may mount one, and so may who owns a user namespace.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reliability_kills import compare
from reliability_runs import Finished, Place, Stored, find_run, read_run

RUN = ("run", "demo-aligned", "--suite", "bbq:starter", "--suite", "truthfulqa_gen:starter", "--limit", "24")
ATTACKS = ("redteam", "demo-aligned", "--attack-count", "12", "--max-tokens", "16")

_PAGE_KIB = 4
_PLENTY_KIB = 64 << 10
_PAIRS = "".join(
    json.dumps({"prompt": f"Question {number}?", "chosen": "Yes. " * 20, "rejected": "No. " * 20}) + "\n"
    for number in range(200)
)


@dataclass(slots=True)
class DiskTally:
    """What full disks did.

    Attributes:
        n_disks: Disks of different sizes that were tried.
        n_refused: Commands that ended with an error, as they should.
        unclear: Errors that are no clear sentence, or have the wrong exit code.
        lost: What was lost, or came out otherwise once there was room.
    """

    n_disks: int = 0
    n_refused: int = 0
    unclear: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def n_lost(self) -> int:
        """Results that were lost, and errors that nobody would understand."""
        return len(self.unclear) + len(self.lost)


class Disk:
    """A file system with little room.

    Args:
        folder: Where to mount it.
        kib: Its size in KiB.
    """

    def __init__(self, folder: Path, kib: int):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={kib}k", "none", str(folder))

    def grow(self) -> None:
        """Makes room."""
        _mount("-o", f"remount,size={_PLENTY_KIB}k", str(self.folder))

    def make_read_only(self) -> None:
        """Lets nobody write any more."""
        _mount("-o", "remount,ro", str(self.folder))

    def used_kib(self) -> int:
        """KiB that are taken."""
        return shutil.disk_usage(self.folder).used // 1024


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@contextlib.contextmanager
def disk(folder: Path, kib: int) -> Iterator[Disk]:
    """A disk for a while.

    Raises:
        subprocess.CalledProcessError: Nothing can be mounted here.
    """
    made = Disk(folder, kib)
    try:
        yield made
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Whether a small file system can be mounted here."""
    try:
        with disk(folder, _PAGE_KIB):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill_disks(place: Place, n_sizes: int) -> DiskTally:
    """Tries runs on disks from one page to what they need, and everything else that writes on the smallest.

    Args:
        place: Folders of the commands.
        n_sizes: Sizes to try for each command.
    """
    tally = DiskTally()
    for words in (RUN, ATTACKS):
        reference, most_kib = _run_with_room(place, words)
        sizes = sorted({_PAGE_KIB + (most_kib - _PAGE_KIB) * number // n_sizes for number in range(n_sizes)})
        for kib in sizes:
            _fill_runs(place, words, kib, reference=reference, tally=tally)
    for kib in (_PAGE_KIB, 2 * _PAGE_KIB):
        _fill_speeds(place, kib, tally)
    for kib in range(_PAGE_KIB, 112, 24):
        _fill_data(place, kib, tally)
    _fill_temporary(place, tally)
    return tally


def _run_with_room(place: Place, words: Sequence[str]) -> tuple[Stored, int]:
    """What a run gives when there is room, and most KiB that it takes."""
    with disk(place.folder / "disk", _PLENTY_KIB) as room:
        done = place.finish(words, room.folder / "out")
        found = read_run(room.folder / "out")
        if done.code or found is None:
            raise RuntimeError(f"an undisturbed run failed: {done.err}")
        return found, room.used_kib()


def _fill_runs(place: Place, words: Sequence[str], kib: int, *, reference: Stored, tally: DiskTally) -> None:
    with disk(place.folder / "disk", kib) as full:
        out = full.folder / "out"
        name = f"{words[0]} on {kib} KiB"
        before: Stored | None = None
        for _ in range(2):  # what is full stays full
            _check_refused(place.finish(words, out), name, tally)
            after = read_run(out)
            tally.lost += [f"{name}: {key}" for key in (before.items if before else ()) if key not in after.items]  # type: ignore[union-attr]
            before = after
        full.grow()
        if before is not None and before.is_finished:  # only the report found no room
            folder = find_run(out)
            done = place.call("report", str(folder))
        else:
            done = place.finish(words, out)
        tally.lost += [f"{name}, with room: {done.err}"] if done.code else []
        tally.lost += [f"{name}: {wrong}" for wrong in compare(read_run(out), reference)]
        tally.n_disks += 1


def _check_refused(done: Finished, name: str, tally: DiskTally) -> None:
    """Counts a command that was to fail: one sentence, exit code 1, and nothing that only its makers understand."""
    if done.code == 0:
        return
    tally.n_refused += 1
    is_clear = re.search(
        r"^Error: .*(full|[Nn]o space|disk I/O|temporary directory|[Rr]ead-only|readonly)", done.err, re.M
    )
    if done.code != 1 or not is_clear or "Traceback" in done.err or "fault of llamabench" in done.err:
        tally.unclear.append(f"{name}: exit code {done.code}: {done.err[-500:]}")


def _fill_speeds(place: Place, kib: int, tally: DiskTally) -> None:
    """The folder of data is full: speeds cannot be kept, which costs a second and nothing else."""
    with disk(place.folder / "disk", kib) as full:
        (full.folder / "filler").write_bytes(bytes(kib * 1024))
        done = place.finish([*RUN, "--no-resume"], place.folder / "speeds", LLAMABENCH_DATA=str(full.folder))
        tally.lost += [f"speed.json on {kib} KiB: {done.err}"] if done.code else []
        tally.n_disks += 1


def _fill_data(place: Place, kib: int, tally: DiskTally) -> None:
    """An import finds no room: nothing is there of it, and with room it is whole."""
    pairs = place.folder / "pairs.jsonl"
    pairs.write_text(_PAIRS)
    words = ("data", "import", "pairs", str(pairs))
    with disk(place.folder / "disk", kib) as full:
        here = Place(full.folder)
        _check_refused(here.call(*words), f"data import on {kib} KiB", tally)
        full.grow()
        done = here.call(*words)
        sound = here.call("data", "verify")
        tally.lost += [f"data import on {kib} KiB: {done.err}{sound.err}"] if done.code or sound.code else []
        tally.n_disks += 1


def _fill_temporary(place: Place, tally: DiskTally) -> None:
    """Nowhere is room for temporary files: in a mount namespace of its own, all their usual places are full."""
    places = ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm")  # noqa: S108 - where Python looks
    with disk(place.folder / "disk", _PAGE_KIB) as full:
        (full.folder / "filler").write_bytes(bytes(_PAGE_KIB * 1024))
        binds = " && ".join(f"if [ -d {one} ]; then mount --bind {full.folder} {one}; fi" for one in places)
        words = [*RUN, "--no-resume"]
        done = place.finish(words, place.folder / "temporary", TMPDIR=str(full.folder))
        tally.lost += [f"TMPDIR full: {done.err}"] if done.code not in (0, 1) else []
        _check_refused(done, "TMPDIR full", tally)
        script = f'{binds} && cd {full.folder} && exec "$@"'
        asked = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *place.command(words, place.folder / "temporary")],
            env=place.environment(TMPDIR=str(full.folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        _check_refused(Finished(asked.returncode, asked.stdout, asked.stderr), "all temporary folders full", tally)
        if asked.returncode == 0:
            tally.unclear.append("all temporary folders full: nothing was said")
        tally.n_disks += 2
