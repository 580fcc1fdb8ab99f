"""`llamabench recover`, and what other commands say of a damaged run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamabench.results.store import Run

Command = Callable[..., Any]
PAGE = 4096


@pytest.fixture
def folder(llamabench: Command, demo_model: Path, engine_script: Any) -> Path:
    assert llamabench("run", str(demo_model), "--suite", "preference", "--suite", "xstest", "--quiet").code == 0
    (folder,) = Path("llamabench-runs").iterdir()
    return folder


def overwrite(folder: Path, place: int, data: bytes) -> None:
    with (folder / "run.sqlite").open("r+b") as file:
        file.seek(place)
        file.write(data)


@pytest.mark.parametrize("command", ["report", "items", "export", "compare", "score"])
def test_other_commands_say_what_helps(llamabench: Command, folder: Path, command: str) -> None:
    overwrite(folder, 0, b"\x00" * 100)
    more = {"export": ["--format", "json"], "compare": [str(folder)], "score": ["--toxicity", "detoxify"]}
    done = llamabench(command, str(folder), *more.get(command, []))
    assert (done.code, done.out) == (1, "")
    assert re.match(
        r"Error: \S+run\.sqlite is damaged: file is not a database\. `llamabench recover \S+` saves", done.err
    )


def test_a_whole_run_comes_back_finished(llamabench: Command, folder: Path) -> None:
    with Run(folder) as run:
        before = run.scores()
    overwrite(folder, 0, b"\x00" * PAGE)
    done = llamabench("recover", str(folder), "--json")
    assert done.code == 0
    assert json.loads(done.out)["run"]["finished"] is True
    assert re.match(r"run\.sqlite was damaged .*The damaged file is kept as run\.damaged-1\.sqlite\.\n$", done.err)
    with Run(folder) as run:
        assert run.is_finished
        assert run.scores() == before


def test_what_is_left_is_summed_up(llamabench: Command, folder: Path) -> None:
    data = (folder / "run.sqlite").read_bytes()
    overwrite(folder, data.index(b"pf-011") // PAGE * PAGE, b"\x00" * PAGE)
    done = llamabench("recover", str(folder))
    assert done.code == 0
    assert "Preference" in done.out
    assert re.search(r"Lost, and asked again with their neighbours when the run goes on: .*of preference", done.err)
    with Run(folder) as run:
        assert not run.is_finished
        n_left = len(run.done_ids("preference"))
        assert 0 < n_left < 96
        assert next(one.metric.n for one in run.scores() if one.suite == "preference") <= n_left
    assert "reading" not in llamabench("items", str(folder)).err


def test_a_sound_run_is_left_alone(llamabench: Command, folder: Path) -> None:
    before = (folder / "run.sqlite").read_bytes()
    done = llamabench("recover", str(folder))
    assert (done.code, done.err) == (0, "Every page and every item of the run was read: nothing is damaged.\n")
    assert (folder / "run.sqlite").read_bytes() == before
    assert not list(folder.glob("run.damaged*"))


def test_nothing_to_recover(llamabench: Command) -> None:
    done = llamabench("recover", "nowhere")
    assert (done.code, done.out, done.err) == (1, "", "Error: nowhere holds no run: run.sqlite is missing.\n")
