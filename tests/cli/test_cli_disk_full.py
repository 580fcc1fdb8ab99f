"""A disk that fills up in the middle of a run."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from llamabench.results.store import Run

Command = Callable[..., Any]


class Disk(NamedTuple):
    """A folder with little room, and how to make more."""

    folder: Path
    fill: Callable[[], None]
    make_room: Callable[[], None]


def mount(folder: Path, size: str, *options: str) -> bool:
    command = [
        "mount",
        *options,
        "-t",
        "tmpfs",
        "-o",
        f"{'remount,' if options else ''}size={size}",
        "none",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None or not mount(folder, "600k"):
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield Disk(
            folder,
            lambda: None,
            lambda: subprocess.run(["mount", "-o", "remount,size=32m", str(folder)], check=True) and None,
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def file_limit(tmp_path: Path) -> Iterator[Disk]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    try:
        yield Disk(tmp_path / "disk", fill, make_room)
    finally:
        make_room()


def no_room(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def test_no_room_for_temporary_files(llamabench: Command, demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryDirectory", no_room)
    done = llamabench("run", str(demo_model), "--suite", "bbq", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Error: Temporary files cannot be written: No space left on device. "
        "Make room on the disk, or set TMPDIR to a folder with room.\n"
    )


def test_no_room_for_what_is_shared_with_the_other_process(
    llamabench: Command, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamabench.engine.process.ProcessPoolExecutor", no_room)
    done = llamabench("run", str(demo_model), "--suite", "bbq", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: Temporary files cannot be written: No space left on device. ")


def test_no_room_where_nobody_thought_of_it(llamabench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamabench.data.models.list_models", no_room)
    done = llamabench("models")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Error: No space left on device (somewhere). "
        "Make room, then give the same command again: what was stored before is kept.\n"
    )


@pytest.mark.parametrize("kind", ["tmpfs", "file_limit"])
def test_a_full_disk_loses_nothing(
    kind: str, request: pytest.FixtureRequest, llamabench: Command, demo_model: Path, engine_script: Any
) -> None:
    disk: Disk = request.getfixturevalue(kind)
    command = ["run", str(demo_model), "--suite", "bbq", "--out", str(disk.folder), "--quiet"]
    disk.fill()
    done = llamabench(*command)
    still_full = llamabench(*command)
    disk.make_room()

    assert (done.code, done.out) == (1, "")
    error, saved = done.err.splitlines()
    assert re.match(r"Error: The run in \S+ cannot be read or written: .*(full|disk I/O)", error)
    assert re.match(r"\d+ of 288 items of bbq are saved in .*The same command goes on from there\.", saved)
    n_saved = int(saved.split()[0])
    # what is full stays full, but for what tidying up has freed
    assert (still_full.code, still_full.out) == (1, "")
    assert still_full.err.startswith("Error: The run in ")
    assert "Traceback" not in still_full.err

    (folder,) = disk.folder.iterdir()
    with Run(folder) as run:
        assert len(list(run.rows("bbq"))) >= n_saved > 0
    assert llamabench(*command).code == 0
    with Run(folder) as run:
        assert len(list(run.rows("bbq"))) == len(run.done_ids("bbq")) == 288
        assert run.is_finished
