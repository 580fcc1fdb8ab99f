"""Run files cut short, overwritten, and without their logs: what is saved, what is lost, and what comes out at last."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from reliability_kills import compare
from reliability_runs import SUITES, Place, Row, Stored, ended, find_run, kill_group, read_run, wait_until

from llamabench.errors import StoreError
from llamabench.recovering import recover

FILE = "run.sqlite"
_PAGE = 4096


@dataclass(slots=True)
class DamageTally:
    """What damage did.

    Attributes:
        n_damaged: Files that were damaged.
        outcomes: How many were sound all the same, were saved, or could not be gone on with.
        n_stored: Items in the files before.
        n_saved: Items that were read in spite of the damage.
        n_finished: Damaged runs that the same command brought to their end.
        wrong: Items that came out otherwise than they were stored, and runs that ended otherwise.
        silent: Files that lost items without a word.
    """

    n_damaged: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    n_stored: int = 0
    n_saved: int = 0
    n_finished: int = 0
    wrong: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def n_lost(self) -> int:
        """Results that were lost without a word, or that are wrong."""
        return len(self.wrong) + len(self.silent)


# --- kinds of damage ----------------------------------------------------------------------------


def _cut(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))])


def _break_header(path: Path, rng: random.Random) -> None:
    _overwrite(path, 0, rng.randbytes(100))


def _break_first_page(path: Path, rng: random.Random) -> None:
    _overwrite(path, 0, rng.choice((rng.randbytes(_PAGE), bytes(_PAGE))))


def _break_pages(path: Path, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        page = rng.randrange(path.stat().st_size // _PAGE)
        _overwrite(path, page * _PAGE, rng.choice((rng.randbytes(_PAGE), bytes(_PAGE))))


def _break_bytes(path: Path, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 20)):
        _overwrite(path, rng.randrange(path.stat().st_size - 8), rng.randbytes(8))


def _change_digits(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    for place in rng.sample(places, 5):
        _overwrite(path, place, bytes([0x30 + (data[place] - 0x30 + rng.randint(1, 9)) % 10]))


def _lose_log(path: Path, rng: random.Random) -> None:
    path.with_name(f"{FILE}-wal").unlink(missing_ok=True)


def _cut_log(path: Path, rng: random.Random) -> None:
    _if_there(path, rng, _cut)


def _break_log(path: Path, rng: random.Random) -> None:
    _if_there(path, rng, _break_bytes)


def _if_there(path: Path, rng: random.Random, damage: Callable[[Path, random.Random], None]) -> None:
    log = path.with_name(f"{FILE}-wal")
    if log.exists() and log.stat().st_size > _PAGE:
        damage(log, rng)


def _overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "cut short": _cut,
    "header overwritten": _break_header,
    "first page overwritten": _break_first_page,
    "1 to 8 pages overwritten": _break_pages,
    "1 to 20 times 8 bytes overwritten": _break_bytes,
    "5 digits changed": _change_digits,
    "log lost": _lose_log,
    "log cut short": _cut_log,
    "log overwritten in places": _break_log,
}
LOSES_THE_TAIL = {"log lost", "log cut short", "log overwritten in places"}
"""Damage that leaves an older, sound state: SQLite cannot tell it from one, and the rest is asked again."""


# --- what becomes of it -------------------------------------------------------------------------


def damage_runs(place: Place, n_files: int, n_commands: int, *, seed: int) -> dict[str, DamageTally]:
    """Damages a run that was killed and one that is finished; what becomes of the files, by kind of damage.

    Args:
        place: Folders of the commands.
        n_files: Files to damage in each way, for each of the two runs; read in this process.
        n_commands: Files to damage in each way that the same command is then to finish.
        seed: Seed of the damage.
    """
    rng = random.Random(seed)
    finished = place.folder / "finished"
    done = place.finish(SUITES["scoring"], finished)
    reference = read_run(finished)
    if done.code or reference is None:
        raise RuntimeError(f"an undisturbed run failed: {done.err}")
    killed = _kill_in_the_middle(place, len(reference.items) // 2)
    tallies = {}
    for name, damage in KINDS.items():
        tally = tallies[name] = DamageTally()
        for source in (killed, finished):
            folder = find_run(source)
            assert folder is not None
            for _ in range(n_files):
                _read_damaged(folder, place.folder / "damaged", damage, rng=rng, tally=tally, name=name)
        for _ in range(n_commands):
            _finish_damaged(place, killed, damage, rng=rng, tally=tally, reference=reference)
    return tallies


def _kill_in_the_middle(place: Place, n_items: int) -> Path:
    """A folder with a run that was killed with its log beside it."""
    out = place.folder / "killed"
    with ended(place.start(SUITES["scoring"], out)) as process:
        wait_until(lambda: (found := read_run(out)) is not None and len(found.items) >= n_items, process)
        kill_group(process)
    return out


def _read_damaged(
    source: Path,
    folder: Path,
    damage: Callable[[Path, random.Random], None],
    *,
    rng: random.Random,
    tally: DamageTally,
    name: str,
) -> None:
    _copy(source, folder)
    before = _read_items(folder)
    _copy(source, folder)  # reading it has emptied the log
    damage(folder / FILE, rng)
    tally.n_damaged += 1
    tally.n_stored += len(before)
    said: list[str] = []
    try:
        with recover(folder, say=said.append):
            pass
    except StoreError as exc:
        tally.outcomes["nothing to go on with"] += 1
        if "damaged" not in str(exc):
            tally.wrong.append(str(exc))
        return
    tally.outcomes["saved" if said else "sound"] += 1
    after = _read_items(folder)
    tally.n_saved += len(after)
    tally.wrong += [f"{name}: {key}" for key, row in after.items() if before.get(key) != row]
    if not said and len(after) < len(before) and name not in LOSES_THE_TAIL:
        tally.silent.append(name)


def _finish_damaged(
    place: Place,
    killed: Path,
    damage: Callable[[Path, random.Random], None],
    *,
    rng: random.Random,
    tally: DamageTally,
    reference: Stored,
) -> None:
    out = place.folder / "damaged-run"
    _copy(killed, out)
    folder = find_run(out)
    assert folder is not None
    damage(folder / FILE, rng)
    tally.n_damaged += 1
    done = place.finish(SUITES["scoring"], out)
    if done.code == 1 and "Begin a new run with --no-resume" in done.err:
        tally.outcomes["nothing to go on with"] += 1
        return
    tally.wrong += [done.err] if done.code else compare(read_run(out), reference)
    tally.n_finished += 1


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def _read_items(folder: Path) -> dict[tuple[str, str], Row]:
    with closing(sqlite3.connect(folder / FILE)) as database:
        return {row[:2]: row for row in database.execute("SELECT * FROM item")}
