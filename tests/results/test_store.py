from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llamabench.errors import StoreError
from llamabench.records import ItemRow, RunInfo, Score
from llamabench.results import file, store
from llamabench.results.store import FILE_NAME, Origin, Run, holds_run

Rows = Callable[..., list[ItemRow]]

V1 = """
CREATE TABLE run (
    info TEXT NOT NULL,
    finished TEXT
) STRICT;
CREATE TABLE item (
    suite TEXT NOT NULL,
    id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    grp TEXT NOT NULL,
    cluster TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('scored', 'unparsed', 'errored')),
    facts TEXT NOT NULL,
    vals TEXT NOT NULL,
    error TEXT,
    exchanges TEXT NOT NULL,
    PRIMARY KEY (suite, id)
) STRICT;
CREATE INDEX item_order ON item (suite, ordinal);
CREATE TABLE score (
    suite TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    metric TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (suite, ordinal)
) STRICT;
CREATE TABLE timing (
    suite TEXT NOT NULL,
    seconds REAL NOT NULL,
    n_items INTEGER NOT NULL
) STRICT;
CREATE TABLE event (
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""
"""The first schema as it was released; never to be edited."""

V1_INFO = """{"id": "0123456789ab", "created": "2026-03-04T14:05:09+01:00", "llamabench": "0.1.0", "model": {"path":
"tiny.gguf", "name": "tiny", "architecture": "llama", "quant": "Q8_0", "size_bytes": 1, "n_params": 7, "n_layers": 2,
"n_ctx_train": 4096, "n_vocab": 300, "n_embd": 8, "layer_bytes": [1, 2], "output_bytes": 3, "input_bytes": 4,
"kv_bytes_per_token": [5, 6], "has_chat_template": true, "fingerprint": "f00d"}, "machine": {"os": "Linux", "cpu": "A",
"n_performance_cores": 4, "ram_total_bytes": 9, "ram_available_bytes": 8, "devices": [], "llama_cpp_python": "0.3.36",
"llama_cpp_commit": "0c1e57098", "notes": []}, "plan": {"n_gpu_layers": 0, "tensor_split": [], "n_threads": 4,
"scoring": {"n_ctx": 1, "n_seq_max": 2, "n_batch": 3, "n_ubatch": 4, "n_outputs_max": 5, "kv_unified": true},
"generation": {"n_ctx": 1, "n_seq_max": 2, "n_batch": 3, "n_ubatch": 4, "n_outputs_max": 5, "kv_unified": false},
"pack_tokens": 256, "chunk_tokens": 2048, "kv_type": "f16", "flash_attention": "auto", "expected_bytes": {"CPU": 1},
"reasons": []}, "suites": [{"name": "bbq", "version": 1, "edition": "2022", "n_items": 2, "n_available": 9,
"data_sha256": "ab"}], "limit": 2, "seed": 0, "use_chat": false, "chat_template_sha256": null, "is_demo": false}"""


def put(path: Path, script: str, *rows: tuple[str, tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(script)
        for statement, values in rows:
            database.execute(statement, values)
        database.commit()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "one"


@pytest.fixture
def run(folder: Path, info: RunInfo) -> Iterator[Run]:
    with Run.create(folder, info) as run:
        yield run


# --- a run and its rows -------------------------------------------------------------------------


def test_a_new_run_says_what_it_is(run: Run, folder: Path, info: RunInfo) -> None:
    assert run.info == info
    assert not run.is_finished
    assert not run.has_items
    assert run.scores() == []
    assert run.events() == []
    assert [path.name for path in folder.iterdir() if "-" not in path.name] == [FILE_NAME]


def test_rows_come_back_as_they_were_in_their_order(run: Run, make_rows: Rows) -> None:
    rows = make_rows(25)
    run.commit_chunk("bbq", rows[15:], first=15, seconds=1.0)
    run.commit_chunk("bbq", rows[:15], first=0, seconds=2.5)
    assert list(run.rows("bbq")) == rows
    assert run.done_ids("bbq") == {row.id for row in rows}
    assert run.timings() == {"bbq": 3.5}
    assert sum(chunk.seconds for chunk in run.chunks()) == 3.5
    assert [chunk.suite for chunk in run.chunks()] == ["bbq"] * len(run.chunks())
    assert run.has_items


def test_rows_come_with_their_places(run: Run, make_rows: Rows) -> None:
    rows = make_rows(5)
    run.commit_chunk("bbq", rows[3:], first=7, seconds=1.0)
    run.commit_chunk("bbq", rows[:3], first=0, seconds=1.0)
    assert list(run.placed_rows("bbq")) == list(zip((0, 1, 2, 7, 8), rows, strict=True))
    assert list(run.placed_rows("alpha")) == []


def test_a_finished_run_can_go_on(run: Run, folder: Path) -> None:
    run.finish()
    assert run.is_finished
    run.reopen()
    assert not run.is_finished
    with Run(folder) as again:
        assert not again.is_finished


def test_suites_do_not_mix(run: Run, make_rows: Rows) -> None:
    run.commit_chunk("bbq", make_rows(3), first=0, seconds=1)
    run.commit_chunk("alpha", make_rows(2, suite="alpha"), first=0, seconds=1)
    assert len(list(run.rows("bbq"))) == 3
    assert len(run.done_ids("alpha")) == 2
    assert list(run.rows("beta")) == []


def test_outcomes_are_counted(run: Run, make_rows: Rows) -> None:
    good, bad, ugly = make_rows(3)
    rows = [good, replace(bad, outcome="errored", error="No.", values={}), replace(ugly, outcome="unparsed", values={})]
    run.commit_chunk("bbq", rows, first=0, seconds=1)
    assert run.counts("bbq") == {"scored": 1, "unparsed": 1, "errored": 1}
    assert run.counts("alpha") == {"scored": 0, "unparsed": 0, "errored": 0}
    assert list(run.rows("bbq")) == rows


def test_numbers_keep_their_last_digit(run: Run, make_rows: Rows) -> None:
    values = {"a": 0.1 + 0.2, "b": -1e-310, "c": math.pi * 1e300, "d": -0.0}
    run.commit_chunk("bbq", [replace(make_rows(1)[0], values=values)], first=0, seconds=1)
    (row,) = run.rows("bbq")
    assert {name: value.hex() for name, value in row.values.items()} == {k: v.hex() for k, v in values.items()}


def test_text_that_is_no_unicode_does_not_stop_a_run(run: Run, make_rows: Rows) -> None:
    row = replace(
        make_rows(1)[0], error='The log-probability of "\ud800" is nan.', group="\udfff", facts={"x": "\ud800"}
    )
    run.commit_chunk("bbq", [row], first=0, seconds=1)
    (again,) = run.rows("bbq")
    assert again.error == 'The log-probability of "\\ud800" is nan.'
    assert again.facts == {"x": "\ud800"}


def test_a_chunk_is_stored_whole_or_not_at_all(run: Run, make_rows: Rows) -> None:
    run.commit_chunk("bbq", make_rows(3), first=0, seconds=1)
    with pytest.raises(StoreError, match="What was stored before is kept"):
        run.commit_chunk("bbq", [*make_rows(2, start=3), make_rows(1)[0]], first=3, seconds=1)
    assert len(list(run.rows("bbq"))) == 3
    assert run.timings() == {"bbq": 1}
    run.commit_chunk("bbq", make_rows(2, start=3), first=3, seconds=1)
    assert len(list(run.rows("bbq"))) == 5


def test_scores_replace_those_before(run: Run, scores: list[Score]) -> None:
    run.save_scores("bbq", scores[:1])
    run.save_scores("bbq", scores)
    assert run.scores() == scores


def test_scores_come_in_the_order_of_the_suites(run: Run, scores: list[Score]) -> None:
    alpha = replace(scores[0], suite="alpha")
    run.save_scores("alpha", [alpha])
    run.save_scores("bbq", scores)
    assert run.scores() == [*scores, alpha]


def test_events_are_kept_with_their_time(run: Run) -> None:
    run.add_event("resumed", "Once.")
    run.add_event("resumed", "Twice.")
    assert [(event.kind, event.text) for event in run.events()] == [("resumed", "Once."), ("resumed", "Twice.")]
    assert run.events()[0].time <= store.now()


def test_all_is_there_when_it_is_opened_again(
    folder: Path, info: RunInfo, make_rows: Rows, scores: list[Score]
) -> None:
    changed = replace(info, seed=99)
    with Run.create(folder, info) as run:
        run.replace_info(changed)
        run.commit_chunk("bbq", make_rows(4), first=0, seconds=1)
        run.save_scores("bbq", scores)
        run.finish()
    with Run(folder) as again:
        assert again.info == changed
        assert again.is_finished
        assert again.scores() == scores
        assert list(again.rows("bbq")) == make_rows(4)


def test_a_run_is_read_while_it_is_written(run: Run, folder: Path, make_rows: Rows) -> None:
    run.commit_chunk("bbq", make_rows(4), first=0, seconds=1)
    with Run(folder) as reader:
        rows = reader.rows("bbq")
        next(rows)
        run.commit_chunk("bbq", make_rows(4, start=4), first=4, seconds=1)
        assert len(list(rows)) == 3
        assert len(reader.done_ids("bbq")) == 8


# --- one process, one run -----------------------------------------------------------------------


def test_a_run_is_never_made_over_another(run: Run, folder: Path, info: RunInfo, make_rows: Rows) -> None:
    run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
    run.close()
    with pytest.raises(StoreError, match="holds a run already"):
        Run.create(folder, info)
    with Run(folder) as again:
        assert len(again.done_ids("bbq")) == 2


def test_a_creation_that_was_killed_is_begun_again(folder: Path, info: RunInfo) -> None:
    folder.mkdir(parents=True)
    (folder / f"{FILE_NAME}.new").write_bytes(b"half a file")
    assert not holds_run(folder)
    with Run.create(folder, info) as run:
        assert run.info == info
    assert not (folder / f"{FILE_NAME}.new").exists()


def test_only_one_may_write(run: Run, folder: Path, info: RunInfo) -> None:
    with Run(folder) as other, pytest.raises(StoreError, match="Another llamabench is at work"):
        other.claim()
    with pytest.raises(StoreError, match="Another llamabench is at work"):
        Run.create(folder, info)
    run.close()
    with Run(folder) as other:
        other.claim()


def test_a_killed_process_leaves_no_lock(folder: Path, info: RunInfo) -> None:
    Run.create(folder, info).close()
    script = (
        "import os, pathlib, sys; from llamabench.results.store import Run\n"
        "run = Run(pathlib.Path(sys.argv[1])); run.claim(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(folder)], check=False).returncode == -9
    with Run(folder) as run:
        run.claim()


# --- what cannot be read ------------------------------------------------------------------------


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match=f"{folder.name} holds no run"):
            Run(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"no database " * 100, b"SQLite format 3\x00", b"SQLite format 3\x00" + b"\xff" * 5000],
    ids=["empty", "letter", "text", "header", "noise"],
)
def test_what_is_no_database_is_an_error(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError, match=r"run\.sqlite is damaged|never began"):
        Run(folder)


@pytest.mark.parametrize("keep", [100, 1000, 4096, 5000, 12288, 30000])
def test_a_file_cut_short_is_an_error(folder: Path, info: RunInfo, make_rows: Rows, keep: int) -> None:
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", make_rows(50), first=0, seconds=1)
    os.truncate(folder / FILE_NAME, keep)
    with pytest.raises(StoreError), Run(folder) as run:  # noqa: PT012
        list(run.rows("bbq"))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"id": 5}', '"text"'])
def test_damaged_info_is_an_error(run: Run, folder: Path, text: str) -> None:
    run.close()
    put(folder / FILE_NAME, "", ("UPDATE run SET info = ?", (text,)))
    with pytest.raises(StoreError, match="damaged"):
        Run(folder)


@pytest.mark.parametrize("column", ["facts", "vals", "exchanges"])
@pytest.mark.parametrize("text", ["", "{", "[{"])
def test_a_damaged_row_is_an_error(run: Run, folder: Path, make_rows: Rows, column: str, text: str) -> None:
    run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
    put(folder / FILE_NAME, "", (f"UPDATE item SET {column} = ?", (text,)))
    with pytest.raises(StoreError, match="damaged"):
        list(run.rows("bbq"))


def test_a_damaged_score_is_an_error(run: Run, folder: Path, scores: list[Score]) -> None:
    run.save_scores("bbq", scores)
    put(folder / FILE_NAME, "", ("UPDATE score SET metric = ?", ('{"name": "accuracy"}',)))
    with pytest.raises(StoreError, match="damaged"):
        run.scores()


def test_another_programs_database_is_an_error(folder: Path) -> None:
    put(folder / FILE_NAME, "CREATE TABLE item (recipe TEXT)")
    with pytest.raises(StoreError, match="cannot be read or written"):
        Run(folder)


def test_a_file_in_the_way_is_an_error(tmp_path: Path, info: RunInfo) -> None:
    (tmp_path / "file").write_text("here I am")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(StoreError, match="cannot be written: .*Choose another with --out"):
            Run.create(folder, info)
    assert (tmp_path / "file").read_text() == "here I am"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_folder_that_cannot_be_made_is_an_error(info: RunInfo) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        Run.create(Path("/proc/self/llamabench"), info)


def test_a_name_too_long_is_an_error(tmp_path: Path, info: RunInfo) -> None:
    with pytest.raises(StoreError, match="too long"):
        Run.create(tmp_path / ("a" * 300), info)
    with pytest.raises(StoreError, match="too long"):
        holds_run(tmp_path / ("a" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(tmp_path: Path, info: RunInfo) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        Run.create(tmp_path / "run", info)


def copy_of_everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("has_log", [False, True])
def test_a_run_that_cannot_be_written_to_is_read(
    folder: Path, info: RunInfo, make_rows: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_log: bool
) -> None:
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", make_rows(4), first=0, seconds=1)
        shutil.copytree(folder, tmp_path / "copy")
    where = tmp_path / "copy" if has_log else folder
    assert (where / f"{FILE_NAME}-wal").exists() == has_log
    before = copy_of_everything(where)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Run(where) as run:
        assert list(run.rows("bbq")) == make_rows(4)
        with pytest.raises(StoreError, match="can be read and not written. Copy the folder"):
            run.claim()
    assert copy_of_everything(where) == before


def test_a_file_that_another_program_holds_is_named(
    folder: Path, info: RunInfo, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_WRITE_WAIT_S", 0.05)
    with Run.create(folder, info) as run:
        with contextlib.closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another program holds it locked. Close that program"):
                run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
            other.execute("ROLLBACK")
        run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
        assert len(run.done_ids("bbq")) == 2


def test_a_file_that_is_held_for_a_while_is_waited_for(run: Run, folder: Path, make_rows: Rows) -> None:
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.1, other.rollback)
        timer.start()
        run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
        timer.join()
    assert len(run.done_ids("bbq")) == 2


def test_names_are_on_disk_before_anything_is_asked(
    folder: Path, info: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(store, "sync_folder", synced.append)
    Run.create(folder, info).close()
    assert synced == [folder, folder.parent]


# --- schema versions ----------------------------------------------------------------------------


def read_schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: database.execute(f"PRAGMA table_info({table})").fetchall() for table in sorted(tables)}


def test_the_first_schema_was_never_edited(tmp_path: Path) -> None:
    put(tmp_path / "then", V1)
    put(tmp_path / "now", file.MIGRATIONS[0])
    assert read_schema(tmp_path / "then") == read_schema(tmp_path / "now")


def test_a_run_of_the_first_version_is_read(folder: Path) -> None:
    item = ("bbq", "Age-1", 0, "Age", "Age-1", "scored", '{"label": 2}', '{"correct": 1.0}', None)
    exchanges = '[{"prompt": "Q", "answers": [{"text": " a", "logprob": -1.5, "n_tokens": 1, "n_bytes": 2}]}]'
    metric = '{"name": "accuracy", "value": 1.0, "n": 1, "low": 0.2, "high": 1.0, "method": "Wilson"}'
    put(
        folder / FILE_NAME,
        V1,
        ("INSERT INTO run VALUES (?, ?)", (V1_INFO, "2026-03-04T15:00:00+01:00")),
        ("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*item, exchanges)),
        ("INSERT INTO score VALUES ('bbq', 0, ?, 'suite:bbq')", (metric,)),
        ("INSERT INTO timing VALUES ('bbq', 2.5, 1)", ()),
        ("INSERT INTO event VALUES ('2026-03-04T14:30:00+01:00', 'resumed', 'Again.')", ()),
    )
    with Run(folder) as run:
        assert run.info.model.name == "tiny"
        assert run.info.plan.expected_bytes == {"CPU": 1}
        assert run.is_finished
        (row,) = run.rows("bbq")
        assert (row.id, row.facts, row.values, row.error) == ("Age-1", {"label": 2}, {"correct": 1.0}, None)
        assert row.exchanges[0].answers[0]["logprob"] == -1.5
        (score,) = run.scores()
        assert (score.metric.value, score.metric.group, score.signature) == (1.0, None, "suite:bbq")
        assert run.timings() == {"bbq": 2.5}
        assert [event.kind for event in run.events()] == ["resumed"]
        assert run.counts("bbq")["scored"] == 1
        assert run.audits() == []
        assert run.speeds() == []


def test_a_blank_file_gets_all_versions(folder: Path) -> None:
    put(folder / FILE_NAME, "PRAGMA journal_mode = WAL")
    with pytest.raises(StoreError, match="never began"):
        Run(folder)
    tables = {"run", "item", "score", "timing", "event", "audit", "speed", "reference", "judge", "judgement", "rating"}
    assert set(read_schema(folder / FILE_NAME)) == {*tables, "origin"}


def test_who_answered_a_chunk_is_stored_with_it(folder: Path, info: RunInfo, make_rows: Rows) -> None:
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", make_rows(3, start=4), first=4, seconds=1, workers=(0, 2))
        run.commit_chunk("bbq", make_rows(4), first=0, seconds=1, workers=(1,))
        with pytest.raises(StoreError):
            run.commit_chunk("bbq", make_rows(1), first=9, seconds=1, workers=(1,))
        run.commit_chunk("bbq", make_rows(1, start=8), first=8, seconds=1)
        assert run.origins() == [Origin("bbq", 0, 4, (1,)), Origin("bbq", 4, 3, (0, 2))]


def test_a_reference_stands_among_the_values(folder: Path, info: RunInfo, make_rows: Rows) -> None:
    rows = make_rows(3)
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", rows, first=0, seconds=1)
        assert not run.has_reference("bbq")
        run.save_reference("bbq", {rows[0].id: {"pick": 2.0}, rows[1].id: {}})
        assert run.has_reference("bbq")
        assert not run.has_reference("preference")
        found = list(run.rows("bbq"))
        assert found[0].values == {**rows[0].values, "reference_pick": 2.0}
        assert found[1:] == rows[1:]
        with pytest.raises(StoreError):
            run.save_reference("bbq", {rows[2].id: {}, rows[0].id: {}})
        assert list(run.rows("bbq")) == found


def test_an_older_file_is_brought_up_to_date(
    folder: Path, info: RunInfo, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", make_rows(3), first=0, seconds=1)
    second = [*file.MIGRATIONS, "ALTER TABLE timing ADD COLUMN n_decoded INTEGER;\n"]
    monkeypatch.setattr(file, "MIGRATIONS", second)
    for _ in range(2):
        with Run(folder) as run:
            assert list(run.rows("bbq")) == make_rows(3)
    assert len(read_schema(folder / FILE_NAME)["timing"]) == 4


def test_a_migration_that_fails_changes_nothing(
    folder: Path, info: RunInfo, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run.create(folder, info) as run:
        run.commit_chunk("bbq", make_rows(3), first=0, seconds=1)
    before = read_schema(folder / FILE_NAME)
    with monkeypatch.context() as patch:
        broken = [*file.MIGRATIONS, "CREATE TABLE note (text TEXT) STRICT;\nALTER TABLE nothing ADD COLUMN x;\n"]
        patch.setattr(file, "MIGRATIONS", broken)
        with pytest.raises(StoreError, match="nothing"):
            Run(folder)
    assert read_schema(folder / FILE_NAME) == before
    with Run(folder) as run:
        assert list(run.rows("bbq")) == make_rows(3)


def test_a_newer_file_is_refused_and_left_alone(run: Run, folder: Path) -> None:
    run.close()
    put(folder / FILE_NAME, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer llamabench. Update"):
        Run(folder)
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)


def test_the_file_is_plain_enough_for_other_programs(run: Run, folder: Path, info: RunInfo) -> None:
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        ((text,),) = database.execute("SELECT info FROM run")
    assert json.loads(text)["model"]["name"] == info.model.name
