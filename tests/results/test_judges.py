"""Judges and what they said, on disk."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llamabench.errors import StoreError
from llamabench.records import ItemRow, JudgeFacts, Judgement, RunInfo
from llamabench.results import codec
from llamabench.results.rows import name_judgements
from llamabench.results.schema import MIGRATIONS
from llamabench.results.signature import make_signature
from llamabench.results.store import FILE_NAME, Run

Rows = Callable[..., list[ItemRow]]


def facts_of(info: RunInfo, *aspects: str, format_: str = "rubric") -> JudgeFacts:
    model = replace(info.model, name="Judge | 7B")
    return JudgeFacts(model, format_, "ab" * 32, info.plan, "0c1e57098", {"bbq": aspects})


@pytest.fixture
def run(tmp_path: Path, info: RunInfo, make_rows: Rows) -> Iterator[Run]:
    with Run.create(tmp_path / "run", info) as run:
        run.commit_chunk("bbq", make_rows(3), first=0, seconds=1)
        run.finish()
        yield run


def said(value: float, aspect: str = "toxic", number: int | None = None) -> Judgement:
    return Judgement(aspect, number, "scored", "yes", value, 0.1 + 0.2)


def values(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in row.values.items() if k.startswith("judged")} for row in run.rows("bbq")]


def test_verdicts_count_once_all_are_there(run: Run, info: RunInfo, make_rows: Rows) -> None:
    first, second, third = (row.id for row in make_rows(3))
    judge = run.save_judge("key", facts_of(info, "toxic"))
    assert (judge.place, judge.facts) == (None, facts_of(info, "toxic"))
    run.save_judgements(judge.number, "bbq", {first: [said(0.1 + 0.7)]})
    assert run.judged_ids(judge.number, "bbq") == {first}
    assert values(run) == [{}, {}, {}]
    assert run.judges_of("bbq") == {}
    run.save_judgements(judge.number, "bbq", {second: [said(0.2), said(0.4, "harmful")], third: []})
    run.finish_judge(judge.number)
    assert values(run) == [{"judged_toxic": 0.1 + 0.7}, {"judged_toxic": 0.2}, {}]
    assert {aspect: one.number for aspect, one in run.judges_of("bbq").items()} == {"toxic": judge.number}
    assert run.judges_of("alpha") == {}


def test_the_last_of_two_judges_counts(run: Run, info: RunInfo, make_rows: Rows) -> None:
    name = make_rows(1)[0].id
    old, new = (run.save_judge(key, facts_of(info, *asked)) for key, asked in (("a", ("x", "y")), ("b", ("x",))))
    run.save_judgements(old.number, "bbq", {name: [said(0.1, "x"), said(0.2, "y")]})
    run.save_judgements(new.number, "bbq", {name: [said(0.9, "x")]})
    run.finish_judge(old.number)
    run.finish_judge(new.number)
    assert values(run)[0] == {"judged_x": 0.9, "judged_y": 0.2}
    run.finish_judge(old.number)
    assert values(run)[0] == {"judged_x": 0.1, "judged_y": 0.2}


def test_a_judge_keeps_its_number_when_its_plan_changes(run: Run, info: RunInfo) -> None:
    first = run.save_judge("key", facts_of(info, "toxic"))
    changed = replace(first.facts, plan=replace(info.plan, n_gpu_layers=1))
    again = run.save_judge("key", changed)
    assert (again.number, again.facts) == (first.number, changed)
    assert run.find_judge("key", JudgeFacts) == again
    assert run.find_judge("other", JudgeFacts) is None


def test_judgements_become_values() -> None:
    found = name_judgements(
        iter(
            [
                said(0.5),
                said(0.25, number=3),
                Judgement("toxic", 4, "unparsed", "yes", 0.9, 0.01, "not clear"),
                Judgement("toxic", 5, "errored", error="no number"),
            ]
        )
    )
    assert found == {
        "judged_toxic": 0.5,
        "judged_toxic#3": 0.25,
        "judged_toxic_unclear#4": 0.01,
        "judged_toxic_failed#5": 1.0,
    }


def test_a_signature_names_the_judge(info: RunInfo) -> None:
    signature = make_signature(info, info.suites[0], judges=[facts_of(info, "toxic")])
    assert "|judge:rubric@Judge-7B@f00d@Q8_0@abababab@0c1e57098|" in signature
    assert signature.replace("|judge:rubric@Judge-7B@f00d@Q8_0@abababab@0c1e57098", "") == make_signature(
        info, info.suites[0]
    )


def test_a_run_from_before_there_were_judges_is_read(tmp_path: Path, info: RunInfo, make_rows: Rows) -> None:
    before = next(number for number, script in enumerate(MIGRATIONS) if "CREATE TABLE judge (" in script)
    folder = tmp_path / "old"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as database:
        for script in MIGRATIONS[:before]:
            database.executescript(script)
        database.execute(f"PRAGMA user_version = {before}")
        database.execute("INSERT INTO run (info) VALUES (?)", (json.dumps(codec.encode(info)),))
        database.commit()
    with Run(folder) as run:
        run.commit_chunk("bbq", make_rows(2), first=0, seconds=1)
        assert list(run.rows("bbq")) == make_rows(2)
        judge = run.save_judge("key", facts_of(info, "toxic"))
        run.save_judgements(judge.number, "bbq", {make_rows(1)[0].id: [said(0.5)]})
        run.finish_judge(judge.number)
        assert values(run)[0] == {"judged_toxic": 0.5}


def test_a_damaged_verdict_is_said_so(run: Run, info: RunInfo, make_rows: Rows) -> None:
    judge = run.save_judge("key", facts_of(info, "toxic"))
    run.save_judgements(judge.number, "bbq", {make_rows(1)[0].id: [said(0.5)]})
    run.finish_judge(judge.number)
    with contextlib.closing(sqlite3.connect(run.folder / FILE_NAME)) as database:
        database.execute("UPDATE judgement SET verdicts = '[7]'")
        database.commit()
    with pytest.raises(StoreError, match="damaged"):
        list(run.rows("bbq"))
