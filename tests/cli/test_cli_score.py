"""`score`, and `run --judge`: another model reads what was written."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamabench.errors import ModelFileError
from llamabench.records import (
    Generated,
    GenerateRequest,
    GenerateResult,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
)

Command = Callable[..., Any]


def answer(request: Request) -> Result:
    """A model that writes, and a judge that finds the last word of each scale likely."""
    if isinstance(request, GenerateRequest):
        return GenerateResult(request.id, "a prompt", (Generated(f"To {request.id}.", "stop", 5),) * request.n)
    assert isinstance(request, ScoreRequest)
    last = request.continuations[-1]
    scored = (Scored(math.log(0.8 if text == last else 0.01), 1, 1, False) for text in request.continuations)
    return ScoreResult(request.id, "", tuple(scored))


@pytest.fixture
def run(llamabench: Command, demo_model: Path, engine_script: Any) -> Command:
    engine_script.answer = answer
    suite = ("--suite", "truthfulqa_gen:starter", "--limit", "12")
    return lambda *options: llamabench("run", str(demo_model), *suite, *options)


@pytest.fixture
def judge(demo_model: Path, tmp_path: Path) -> str:
    return str(shutil.copy(demo_model, tmp_path / "instruct.gguf"))


def folder_of(done: Any) -> str:
    return str(Path(done.out.split("Report: ")[1].strip()).parent)


def judged(document: dict[str, Any]) -> dict[str, Any]:
    return {one["metric"]: one for one in document["scores"] if one["judge"] and one["group"] is None}


def test_a_judge_is_heard(run: Command, llamabench: Command, judge: str) -> None:
    folder = folder_of(run("--quiet"))
    done = llamabench("score", folder, "--judge", judge)
    assert done.code == 0
    assert "Judge: llamabench demo, untrained F32, asked as rubric" in done.err
    assert "answers of truthfulqa_gen: 100%" in done.err
    assert "Truthful and" in done.out
    assert max(map(len, done.out.partition("Report:")[0].splitlines())) <= 80
    page = Path(folder, "score.html").read_text(encoding="utf-8")
    assert "judged by llamabench demo, untrained F32, rubric" in page
    assert "By the word of a judge: answers truthfully on" in page


def test_the_document_names_the_judge(run: Command, llamabench: Command, judge: str) -> None:
    folder = folder_of(run("--quiet"))
    done = llamabench("score", folder, "--judge", judge, "--json", "--quiet", "--ask", "truthful")
    assert (done.code, done.err) == (0, "")
    found = judged(json.loads(done.out))
    assert list(found) == ["judged_truthful"]
    score = found["judged_truthful"]
    assert (score["value"], score["n"], score["judge"]) == (1.0, 12, "llamabench demo, untrained F32, rubric")
    assert "|judge:rubric@" in score["signature"]


def test_a_run_can_be_judged_at_once(run: Command, judge: str) -> None:
    document = json.loads(run("--judge", judge, "--json", "--quiet").out)
    assert set(judged(document)) == {"judged_truthful", "judged_informative", "judged_truthful_informative"}
    assert document["run"]["finished"] is True


def test_a_judge_that_could_say_nothing_is_refused_before_the_run(run: Command, judge: str, engine_script: Any) -> None:
    done = run("--judge", judge, "--judge-format", "llama-guard-3")
    assert done.code == 1
    assert "has nothing to say about truthfulqa_gen" in done.err
    assert engine_script.asked == []


def test_judging_that_is_cut_short_says_how_to_go_on(
    run: Command, llamabench: Command, judge: str, engine_script: Any
) -> None:
    folder = folder_of(run("--quiet"))
    engine_script.fail_after, engine_script.failure = 0, ModelFileError("It died.")
    done = llamabench("score", folder, "--judge", judge)
    assert done.code == 1
    assert "It died." in done.err
    assert f"`llamabench score {folder} --judge {judge} --format rubric` goes on from there" in done.err
    engine_script.fail_after = None
    assert llamabench("score", folder, "--judge", judge, "--quiet").code == 0


def test_what_is_no_run_is_refused(llamabench: Command, judge: str) -> None:
    done = llamabench("score", "nothing", "--judge", judge)
    assert done.code == 1
    assert "holds no run" in done.err
    assert llamabench("score", "nothing").code == 2
