"""Damaged runs: what is saved is as it was stored, what is lost is named, and nothing is thrown away."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from llamabench.errors import DamagedError, StoreError
from llamabench.records import ItemRow, JudgeFacts, Judgement, RunInfo, Score
from llamabench.results import salvage as salvaging
from llamabench.results.lock import FolderLock
from llamabench.results.salvage import finish_salvage, salvage
from llamabench.results.store import FILE_NAME, Origin, Run

Rows = Callable[..., list[ItemRow]]

PAGE = 4096
N_ROWS = 300


@pytest.fixture
def folder(tmp_path: Path, info: RunInfo, make_rows: Rows, scores: list[Score]) -> Path:
    """A finished run with something in every table that counts."""
    folder = tmp_path / "run"
    suites = tuple(replace(choice, n_items=n) for choice, n in zip(info.suites, (N_ROWS, 20), strict=True))
    with Run.create(folder, replace(info, suites=suites)) as run:
        run.commit_chunk("bbq", make_rows(N_ROWS), first=0, seconds=1)
        run.commit_chunk("alpha", make_rows(20, suite="alpha"), first=0, seconds=2, workers=(0, 2))
        run.save_scores("bbq", scores)
        run.add_event("resumed", "Once.")
        judge = run.save_judge(
            "key", JudgeFacts(info.model, "rubric", None, info.plan, "0c1e57098", {"bbq": ("toxic",)})
        )
        run.save_judgements(
            judge.number, "bbq", {make_rows(1)[0].id: [Judgement("toxic", None, "scored", "y", 0.5, 0.9)]}
        )
        run.finish_judge(judge.number)
        run.finish()
    return folder


def overwrite(folder: Path, place: int, data: bytes) -> None:
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(place)
        file.write(data)


def find_text(folder: Path, text: str) -> int:
    return (folder / FILE_NAME).read_bytes().index(text.encode())


def read_rows(folder: Path) -> dict[str, ItemRow]:
    with Run(folder) as run:
        return {row.id: row for name in ("bbq", "alpha") for row in run.rows(name)}


def break_header(folder: Path) -> None:
    overwrite(folder, 0, b"\x00" * 100)


def break_first_page(folder: Path) -> None:
    overwrite(folder, 0, random.Random(1).randbytes(PAGE))


def break_roots(folder: Path) -> None:
    """The table of items can no longer be entered from its root, nor by its indexes."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        roots = database.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'item'").fetchall()
    for (page,) in roots:
        overwrite(folder, (page - 1) * PAGE, b"\xff" * PAGE)


def break_a_name(folder: Path) -> None:
    """The schema names a table that is no text, so SQLite's own message is none."""
    place = find_text(folder, "tablescorescore")
    overwrite(folder, place, b"table\x86\x86\x86\x86\x86\x86\x86\x86\x86\x86")
    overwrite(folder, find_text(folder, "CREATE TABLE score"), b"CREATE \x86ABLE score")


@pytest.mark.parametrize("damage", [break_header, break_first_page, break_roots, break_a_name])
def test_what_nothing_leads_to_is_saved(folder: Path, damage: Callable[[Path], None]) -> None:
    before = read_rows(folder)
    damage(folder)
    with pytest.raises(DamagedError, match="llamabench recover"), Run(folder) as run:
        run.check()
    found = salvage(folder, "a test")
    after = read_rows(folder)
    lost = {name for _, name in found.lost}
    assert len(after) >= len(before) - 3
    assert all(row == replace(before[name], values=row.values) for name, row in after.items())
    assert before.keys() - after.keys() == lost
    assert found.was_finished == (not lost)
    with Run(folder) as run:
        run.check()
        assert not run.is_finished
        assert run.scores() == []
        events = [event.kind for event in run.events()]
    assert events == ["resumed", "salvaged"]


def test_judges_times_and_workers_are_saved_too(folder: Path) -> None:
    with Run(folder) as run:
        before = list(run.rows("bbq"))
        assert before[0].values["judged_toxic"] == 0.5
    break_header(folder)
    salvage(folder, "a test")
    with Run(folder) as run:
        assert list(run.rows("bbq")) == before
        assert run.timings() == {"bbq": 1, "alpha": 2}
        assert run.origins() == [Origin("alpha", 0, 20, (0, 2))]


def test_what_is_lost_is_named(folder: Path) -> None:
    before = read_rows(folder)
    place = find_text(folder, "Q150\\u0000") // PAGE * PAGE
    overwrite(folder, place, b"\x00" * PAGE)
    found = salvage(folder, "a test")
    after = read_rows(folder)
    lost = before.keys() - after.keys()
    assert 1 <= len(lost) < 20
    assert {name for _, name in found.lost} == lost
    text = str(found)
    assert f"{320 - len(lost)} of at least 320 stored items were saved" in text
    assert all(f"{name} of bbq" in text for name in sorted(lost)[:10])
    assert found.n_saved == {"bbq": N_ROWS - len(lost), "alpha": 20}


def test_a_digit_that_changed_is_found_and_not_believed(folder: Path, make_rows: Rows) -> None:
    row = make_rows(N_ROWS)[40]
    place = find_text(folder, '"margin": -4.0}')
    overwrite(folder, place, b'"margin": -5.0}')
    with Run(folder) as run, pytest.raises(DamagedError, match=f"the item {row.id} of bbq has changed on the disk"):
        list(run.rows("bbq"))
    found = salvage(folder, "a test")
    assert found.lost == (("bbq", row.id),)
    assert row.id not in read_rows(folder)


def test_info_that_changed_is_found(folder: Path) -> None:
    overwrite(folder, find_text(folder, '"seed": 7'), b'"seed": 8')
    with pytest.raises(DamagedError, match="what was run has changed on the disk"):
        Run(folder)
    with pytest.raises(StoreError, match="cannot be read any more. Begin a new run with --no-resume"):
        salvage(folder, "a test")
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_the_damaged_file_is_kept_as_it_was(folder: Path) -> None:
    for number in (1, 2):
        break_header(folder)
        data = (folder / FILE_NAME).read_bytes()
        found = salvage(folder, "a test")
        assert found.damaged == folder / f"run.damaged-{number}.sqlite"
        assert found.damaged.read_bytes() == data
    assert sorted(path.name for path in folder.iterdir() if "-wal" not in path.name and "-shm" not in path.name) == [
        "run.damaged-1.sqlite",
        "run.damaged-2.sqlite",
        FILE_NAME,
    ]


def copy_with_log(folder: Path, target: Path, make_rows: Rows) -> None:
    """A run as a power cut leaves it: the last chunk is in the log alone."""
    with Run(folder) as run:
        run.commit_chunk("late", make_rows(5, suite="late"), first=0, seconds=1)
        shutil.copytree(folder, target)


def test_what_is_in_the_log_alone_is_saved(folder: Path, make_rows: Rows, tmp_path: Path) -> None:
    copy_with_log(folder, tmp_path / "copy", make_rows)
    log = (tmp_path / "copy" / f"{FILE_NAME}-wal").read_bytes()
    break_header(tmp_path / "copy")
    salvage(tmp_path / "copy", "a test")
    with Run(tmp_path / "copy") as run:
        assert list(run.rows("late")) == make_rows(5, suite="late")
        run.check()
    assert (tmp_path / "copy" / "run.damaged-1.sqlite-wal").read_bytes() == log


@pytest.mark.parametrize("step", ["unlink", "replace"])
def test_a_process_killed_in_between_leaves_both(
    folder: Path, make_rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    copy = tmp_path / "copy"
    copy_with_log(folder, copy, make_rows)
    break_header(copy)

    def die(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "unlink":
            patch.setattr(salvaging, "_replace", die)
        else:
            usual = os.replace
            patch.setattr(os, "replace", lambda one, two: die() if str(two).endswith(FILE_NAME) else usual(one, two))
        with pytest.raises(KeyboardInterrupt):
            salvage(copy, "a test")
    finish_salvage(copy)
    with Run(copy) as run:
        run.check()
        assert len(list(run.rows("bbq"))) == N_ROWS
        assert list(run.rows("late")) == make_rows(5, suite="late")
    finish_salvage(copy)


@pytest.mark.parametrize("call", ["replace", "connect"])
def test_without_room_the_damaged_file_stays(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    break_header(folder)
    data = (folder / FILE_NAME).read_bytes()

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "replace") if call == "replace" else (sqlite3, "connect")), fail)
        with pytest.raises(StoreError, match=r"cannot be saved: No space left on device\. The file is as it was"):
            salvage(folder, "a test")
    assert (folder / FILE_NAME).read_bytes() == data
    assert not salvage(folder, "a test").lost


def test_another_process_at_work_is_left_alone(folder: Path) -> None:
    break_header(folder)
    with FolderLock(folder), pytest.raises(StoreError, match="at work on this run"):
        salvage(folder, "a test")


def test_rows_of_versions_without_digests_are_saved(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        database.execute("UPDATE item SET digest = NULL")
        database.execute("UPDATE run SET digest = NULL")
        database.commit()
    before = read_rows(folder)
    break_first_page(folder)
    salvage(folder, "a test")
    assert read_rows(folder) == before


@pytest.mark.parametrize("seed", range(10))
def test_no_damage_makes_anything_up(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    before = read_rows(folder)
    size = (folder / FILE_NAME).stat().st_size
    for _ in range(rng.randint(1, 40)):
        overwrite(folder, rng.randrange(size), rng.randbytes(rng.choice((1, 8, 500))))
    with contextlib.suppress(StoreError):  # what was run may be gone
        salvage(folder, "a test")
        assert read_rows(folder)
    with contextlib.suppress(DamagedError):
        after = read_rows(folder)
        assert all(before[name] in (row, replace(row, values=before[name].values)) for name, row in after.items())
