"""The public functions: what `llamabench run` does, from Python."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import llamabench
from llamabench import Evaluation, LlamabenchError, Settings, compare, evaluate
from llamabench.cli.main import run_command_line
from llamabench.cli.run import DEFAULT_OUT, Bar
from llamabench.errors import StoreError, UnknownNameError
from llamabench.records import (
    Budget,
    Generated,
    GenerateRequest,
    GenerateResult,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
)
from llamabench.results.store import Run

PUBLIC = ["Engine", "Evaluation", "LlamabenchError", "Settings", "__version__", "compare", "evaluate"]


# --- what is public -----------------------------------------------------------------------------


def test_what_is_public_is_written_down() -> None:
    assert sorted(llamabench.__all__) == PUBLIC
    assert set(llamabench.__all__) <= set(dir(llamabench))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    value = getattr(llamabench, name)
    assert name == "__version__" or inspect.getdoc(value)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluates'"):
        llamabench.evaluates  # noqa: B018


def test_public_methods_and_arguments_are_documented() -> None:
    for owner in (Evaluation, llamabench.Engine):
        members = [member for name, member in inspect.getmembers(owner) if not name.startswith("_")]
        assert all(inspect.getdoc(member) for member in members)
    for function in (evaluate, compare):
        text = inspect.getdoc(function) or ""
        assert all(f"    {name}: " in text for name in inspect.signature(function).parameters)
    text = inspect.getdoc(Settings) or ""
    assert all(f"    {field.name}: " in text for field in fields(Settings))


def test_types_are_shipped() -> None:
    assert (Path(llamabench.__file__).parent / "py.typed").is_file()


# --- evaluating ---------------------------------------------------------------------------------


@pytest.fixture
def score(demo_model: Path, engine_script: Any, in_tmp_path: Path) -> Callable[..., Evaluation]:
    return lambda *suites, **options: evaluate(demo_model, suites or ("preference",), **options)


def test_scores_are_those_of_the_command_line(
    score: Callable[..., Evaluation], demo_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with score(limit=20, seed=3, out="a") as found:
        mine = [(one.metric.name, one.metric.value, one.signature) for one in found.scores()]
    assert capsys.readouterr().err == ""
    options = ["--suite", "preference", "--limit", "20", "--seed", "3", "--out", "b", "--json", "--quiet"]
    assert run_command_line(["run", str(demo_model), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert mine == [(one["metric"], one["value"], one["signature"]) for one in document["scores"]]
    assert document["run"]["id"] == found.info.id


def test_the_folder_is_that_of_the_command_line(score: Callable[..., Evaluation]) -> None:
    with score(limit=8) as found:
        assert found.folder.parent == DEFAULT_OUT
        assert found.is_finished


def test_items_come_suite_by_suite(score: Callable[..., Evaluation]) -> None:
    with score("preference", "xstest", limit=8) as found:
        assert [row.suite for row in found.items()] == ["preference"] * 8 + ["xstest"] * 8
        assert {row.outcome for row in found.items("xstest")} <= {"scored", "unparsed"}
        assert len(list(found.items("xstest"))) == 8
        with pytest.raises(UnknownNameError, match="xstest"):
            found.items("xtest")


def test_a_run_on_disk_opens_again(score: Callable[..., Evaluation]) -> None:
    with score(limit=8) as found:
        scores = found.scores()
    with Evaluation(str(found.folder)) as again:
        assert again.scores() == scores


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run"):
        Evaluation(tmp_path)


def test_the_report_is_written_where_it_is_wanted(score: Callable[..., Evaluation], tmp_path: Path) -> None:
    with score(limit=8) as found:
        assert found.write_report() == found.folder / "score.html"
        assert "Preference" in found.write_report(tmp_path / "mine.html").read_text(encoding="utf-8")
        with pytest.raises(StoreError, match="cannot be written"):
            found.write_report(tmp_path / "no" / "such" / "folder.html")


def test_settings_reach_the_run(score: Callable[..., Evaluation]) -> None:
    settings = Settings(use_chat=False, n_audited=2, budget=Budget(60.0), watchdog_s=5.0)
    with score(limit=8, settings=settings) as found:
        assert not found.info.use_chat
        assert found.info.budget == Budget(60.0)
    with Run(found.folder) as stored:
        assert [audit.n_items for audit in stored.audits()] == [2]


def test_an_exact_run_is_told_apart(score: Callable[..., Evaluation]) -> None:
    with score(limit=8, settings=Settings(is_exact=True)) as found:
        assert found.info.plan.strategy == "single"


def test_insisting_on_a_run_that_is_not_there_fails(score: Callable[..., Evaluation]) -> None:
    with pytest.raises(LlamabenchError, match="no unfinished run"):
        score(limit=8, settings=Settings(resume=True))


def test_progress_is_told(score: Callable[..., Evaluation], capsys: pytest.CaptureFixture[str]) -> None:
    score(limit=8, progress=Bar(quiet=False, always_new=False)).close()
    assert "preference: 100%" in capsys.readouterr().err


def test_an_unknown_suite_is_refused(score: Callable[..., Evaluation]) -> None:
    with pytest.raises(UnknownNameError, match="preference"):
        score("preferences")


# --- with a judge -------------------------------------------------------------------------------


def write_or_judge(request: Any) -> Result:
    """What a model writes, and the verdict of a judge that is sure of the last word."""
    if isinstance(request, GenerateRequest):
        texts = (Generated(f"Answer {number} to {request.id}.", "stop", 8) for number in range(request.n))
        return GenerateResult(request.id, "a prompt", tuple(texts))
    assert isinstance(request, ScoreRequest)
    last = len(request.continuations) - 1
    scored = (Scored(-0.1 if number == last else -20.0, 1, 1, False) for number in range(last + 1))
    return ScoreResult(request.id, "what the judge read", tuple(scored))


def test_a_judge_reads_what_was_written(score: Callable[..., Evaluation], demo_model: Path, engine_script: Any) -> None:
    engine_script.answer = write_or_judge
    with score("truthfulqa_gen", limit=6, judge=demo_model, settings=Settings(judge_format="rubric")) as found:
        judged = {one.metric.name: one.metric for one in found.scores() if one.metric.judge and not one.metric.group}
    assert judged["judged_truthful"].value == 1.0
    assert judged["judged_truthful"].n == 6


def test_a_judge_that_can_say_nothing_is_refused_first(score: Callable[..., Evaluation], demo_model: Path) -> None:
    with pytest.raises(LlamabenchError, match="nothing to say about"):
        score("bbq", judge=demo_model, settings=Settings(judge_format="rubric"))
    assert not DEFAULT_OUT.exists()


def test_an_unknown_format_is_refused_first(score: Callable[..., Evaluation], demo_model: Path) -> None:
    with pytest.raises(UnknownNameError, match="rubric"):
        score("xstest", judge=demo_model, settings=Settings(judge_format="rubrics"))
    assert not DEFAULT_OUT.exists()


# --- comparing ----------------------------------------------------------------------------------


def test_a_comparison_is_that_of_the_command_line(
    score: Callable[..., Evaluation], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for turn in ("a", "b"):
        with score(limit=20, out=turn) as found:
            folders.append(str(found.folder))
    (mine,) = compare(*folders)
    assert run_command_line(["compare", *folders, "--json", "--quiet"]) == 0
    (theirs,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert [suite.suite for suite in mine.suites] == [suite["suite"] for suite in theirs["suites"]] == ["preference"]
    assert {one.verdict for suite in mine.suites for one in suite.differences} <= {"no evidence", "too few items"}


def test_models_that_have_no_run_are_run(demo_model: Path, engine_script: Any, in_tmp_path: Path) -> None:
    again = shutil.copy(demo_model, in_tmp_path / "again.gguf")
    (found,) = compare(demo_model, again, suites=["preference"], limit=8, out="runs")
    assert Path(found.second.folder).parent == Path("runs")


def test_runs_that_have_nothing_in_common_are_refused(score: Callable[..., Evaluation]) -> None:
    folders = []
    for suite in ("preference", "xstest"):
        with score(suite, limit=8) as found:
            folders.append(found.folder)
    with pytest.raises(LlamabenchError, match="no suite in common"):
        compare(*folders)
