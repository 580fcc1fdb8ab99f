"""Runs that go on although their file, or the model's, is not what it was."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamabench import opening, runner
from llamabench.data.demo_model import find_trained_model
from llamabench.errors import ModelFileError, StoreError
from llamabench.records import PackSpeed, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions

PAGE = 4096


class Watcher:
    """Remembers the notes, and where the run is."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.folder = Path()

    def begin(self, run: Run) -> None:
        self.folder = run.folder

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def options(tmp_path: Path, engine_script: Any, monkeypatch: pytest.MonkeyPatch) -> RunOptions:
    """A run of 160 items in small chunks, of a model that can be replaced."""
    monkeypatch.setattr(opening, "_CHUNK_TOKENS", (512, 512))
    engine_script.speed = PackSpeed(256, 64.0)
    model = tmp_path / "model.gguf"
    shutil.copy(find_trained_model("demo-base"), model)
    return RunOptions(model, ("bbq:starter", "truthfulqa_mc:starter"), tmp_path / "out", limit=80)


def finish(options: RunOptions) -> Watcher:
    watcher = Watcher()
    with runner.run(options, watcher) as stored:
        assert stored.is_finished
    return watcher


def cut_short(options: RunOptions, script: Any, n_chunks: int = 15) -> Path:
    watcher = Watcher()
    script.fail_after, script.failure = n_chunks, ModelFileError("It died.")
    with pytest.raises(ModelFileError, match="It died"):
        runner.run(options, watcher)
    script.fail_after = None
    return watcher.folder


def read(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "run.sqlite")) as database:
        return database.execute(query).fetchall()


def results(folder: Path) -> list[list[tuple[Any, ...]]]:
    return [read(folder, f"SELECT * FROM {table} ORDER BY suite, ordinal") for table in ("item", "score")]


def overwrite(folder: Path, place: int, data: bytes) -> None:
    with (folder / "run.sqlite").open("r+b") as file:
        file.seek(place)
        file.write(data)


# --- a damaged file -----------------------------------------------------------------------------


def break_header(folder: Path) -> None:
    overwrite(folder, 0, b"\x00" * 100)


def break_some_items(folder: Path) -> None:
    data = (folder / "run.sqlite").read_bytes()
    for text in (b"Age-1", b"Nationality-1"):
        overwrite(folder, data.index(text) // PAGE * PAGE, b"\xff" * PAGE)


def change_a_digit(folder: Path) -> None:
    place = (folder / "run.sqlite").read_bytes().rindex(b'"correct": ')
    overwrite(folder, place, b'"correct": 7')


@pytest.mark.parametrize("damage", [break_header, break_some_items, change_a_digit])
def test_a_damaged_run_ends_as_if_nothing_had_been(
    options: RunOptions, engine_script: Any, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    reference = finish(replace(options, out=tmp_path / "reference")).folder
    folder = cut_short(options, engine_script)
    before = {name for (name,) in read(folder, "SELECT id FROM item")}
    damage(folder)
    engine_script.asked.clear()
    watcher = finish(options)
    assert watcher.folder == folder
    assert results(folder) == results(reference)
    (note,) = watcher.notes
    assert "run.sqlite was damaged" in note
    assert (folder / "run.damaged-1.sqlite").exists()
    again = before & {name for chunk in engine_script.asked for name in chunk}
    assert bool(again) == ("Lost" in note)
    assert len(again) < len(before) / 3
    assert [kind for (kind,) in read(folder, "SELECT kind FROM event")] == ["salvaged", "resumed"]


def test_a_finished_run_that_is_damaged_is_gone_on_with(options: RunOptions, engine_script: Any) -> None:
    folder = finish(options).folder
    before = results(folder)
    break_some_items(folder)
    assert finish(options).folder == folder
    assert results(folder) == before


def test_what_nobody_can_read_is_refused_and_kept(options: RunOptions, engine_script: Any) -> None:
    folder = cut_short(options, engine_script)
    (folder / "run.sqlite").write_bytes(b"\x00" * 50_000)
    with pytest.raises(StoreError, match="Begin a new run with --no-resume"):
        finish(options)
    assert (folder / "run.sqlite").read_bytes() == b"\x00" * 50_000
    assert finish(replace(options, resume=False)).folder == folder.with_name(f"{folder.name}-2")


# --- another model ------------------------------------------------------------------------------


def test_a_model_that_changed_is_refused(options: RunOptions, engine_script: Any, tmp_path: Path) -> None:
    reference = finish(replace(options, out=tmp_path / "reference")).folder
    folder = cut_short(options, engine_script)
    before = results(folder)
    shutil.copy(find_trained_model("demo-aligned-q4"), options.model)
    with pytest.raises(ModelFileError) as caught:
        finish(options)
    text = str(caught.value)
    assert f"is not the file that the unfinished run in {folder} began with" in text
    assert "quantization Q4_0 in place of Q8_0" in text
    assert "bytes) in place of" in text
    assert "fingerprint" in text
    assert results(folder) == before
    shutil.copy(find_trained_model("demo-base"), options.model)
    assert finish(options).folder == folder
    assert results(folder) == results(reference)


def test_a_model_that_changed_begins_anew_where_that_is_wanted(options: RunOptions, engine_script: Any) -> None:
    folder = cut_short(options, engine_script)
    shutil.copy(find_trained_model("demo-aligned"), options.model)
    assert finish(replace(options, resume=False)).folder != folder
    # what is wanted by then is a finished run of the new file, and an unfinished one of the old
    with pytest.raises(ModelFileError, match="is not the file"):
        finish(options)


def test_models_of_one_name_are_not_mixed_up(options: RunOptions, engine_script: Any, tmp_path: Path) -> None:
    folder = cut_short(options, engine_script)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "model.gguf"
    shutil.copy(find_trained_model("demo-aligned"), other)
    assert finish(replace(options, model=other)).folder != folder


def test_another_command_with_the_same_model_is_no_change(options: RunOptions, engine_script: Any) -> None:
    folder = cut_short(options, engine_script)
    assert finish(replace(options, use_chat=False)).folder != folder
    shutil.copy(find_trained_model("demo-aligned"), options.model)
    assert finish(replace(options, use_chat=False)).folder != folder


def test_other_commands_and_finished_runs_are_no_hindrance(options: RunOptions, engine_script: Any) -> None:
    finish(options)
    cut_short(replace(options, seed=5), engine_script)
    shutil.copy(find_trained_model("demo-aligned"), options.model)
    finish(options)
