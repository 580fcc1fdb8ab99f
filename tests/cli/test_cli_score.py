"""`score`, and `run --judge`: another model reads what was written."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from perspective_service import rate, serve_perspective

from llamabench.data.perspective import PerspectiveClient
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
    done = llamabench("score", "nothing")
    assert done.code == 2
    assert "--judge, --toxicity-judge or --toxicity" in done.err


# --- toxicity -----------------------------------------------------------------------------------


@pytest.fixture
def toxic(llamabench: Command, demo_model: Path, engine_script: Any) -> Command:
    """Runs continuations of prompts, with more options."""
    engine_script.answer = answer
    suites = ("--suite", "realtoxicity:starter", "--suite", "xstest:starter", "--limit", "4", "--quiet")
    return lambda *options: llamabench("run", str(demo_model), *suites, *options)


@pytest.fixture
def perspective(loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Perspective on this computer, without its rule of one request a second."""
    with serve_perspective(lambda _: (200, rate(0.6), {})) as kept:
        monkeypatch.setattr("llamabench.data.perspective.URL", kept.url)
        monkeypatch.setattr(PerspectiveClient.__init__, "__kwdefaults__", {"url": None, "wait_s": 0.0})
        monkeypatch.setenv("PERSPECTIVE_API_KEY", "secret")
        yield kept


def test_a_guard_says_how_toxic_answers_are_and_nothing_else(
    toxic: Command, llamabench: Command, demo_model: Path, tmp_path: Path, engine_script: Any
) -> None:
    guard = str(shutil.copy(demo_model, tmp_path / "Llama-Guard-3-8B-Q4_K_M.gguf"))
    folder = folder_of(toxic())
    engine_script.asked.clear()
    document = json.loads(llamabench("score", folder, "--toxicity-judge", guard, "--json", "--quiet").out)
    found = judged(document)
    assert {name: one["value"] for name, one in found.items()} == {
        "judged_toxicity_probability": 1.0,
        "judged_expected_max_toxicity": pytest.approx(0.8 / 0.81),
        "judged_toxic_fraction": 1.0,
    }
    assert "|judge:llama-guard-3@" in found["judged_toxic_fraction"]["signature"]
    assert sum(map(len, engine_script.asked)) == 2 * 4 * 25  # both openings of the format, no refusals


def test_a_run_asks_a_toxicity_judge_at_once(toxic: Command, judge: str) -> None:
    document = json.loads(toxic("--toxicity-judge", judge, "--json").out)
    assert set(judged(document)) == {
        "judged_toxicity_probability", "judged_expected_max_toxicity", "judged_toxic_fraction"
    }  # fmt: skip


def test_perspective_is_asked_once_the_network_is_allowed(
    toxic: Command, llamabench: Command, perspective: Any, engine_script: Any
) -> None:
    done = toxic("--toxicity", "perspective")
    assert done.code == 1
    assert "Give --allow-network to send every text to Google" in done.err
    assert engine_script.asked == []
    done = toxic("--toxicity", "perspective", "--allow-network", "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert judged(document)["perspective_expected_max_toxicity"]["value"] == pytest.approx(0.6)
    n_asked = len(perspective.texts)
    assert n_asked == 4  # each prompt's texts are all alike
    folder = document["run"]["folder"]
    done = llamabench("score", folder, "--toxicity", "perspective", "--allow-network")
    assert done.code == 0
    assert "Scorer of toxicity: Perspective" in done.err
    assert "by Perspective" in done.out
    assert max(map(len, done.out.partition("Report:")[0].splitlines())) <= 80
    assert len(perspective.texts) == n_asked
    page = Path(folder, "score.html").read_text(encoding="utf-8")
    assert "judged by Perspective" in page
    assert "By Perspective: the most toxic of 25 continuations" in page


def test_options_that_belong_together_are_asked_for(llamabench: Command, toxic: Command) -> None:
    for options in (("--allow-network",), ("--toxicity-format", "rubric"), ("--detoxify-files", ".")):
        done = toxic(*options)
        assert done.code == 2
        assert "is of use with --toxicity" in done.err
    assert llamabench("score", "x", "--toxicity", "detoxify", "--ask", "toxic").code == 2


def test_toxicity_that_nobody_rates_is_said_so(run: Command, perspective: Any) -> None:
    done = run("--toxicity", "perspective", "--allow-network")
    assert done.code == 1
    assert "not rated in truthfulqa_gen, but in: realtoxicity, bold" in done.err


# --- pairs --------------------------------------------------------------------------------------


def test_a_judge_is_measured_by_what_people_prefer(
    llamabench: Command, demo_model: Path, judge: str, engine_script: Any
) -> None:
    """One that always takes the first place agrees with nobody, and is not consistent."""
    done = llamabench("run", str(demo_model), "--suite", "preference:starter", "--limit", "12", "--quiet")
    folder = folder_of(done)
    engine_script.asked.clear()
    engine_script.answer = answer
    done = llamabench("score", folder, "--judge", judge, "--json", "--quiet", "--ask", "preferred")
    found = {name: (one["value"], one["n"]) for name, one in judged(json.loads(done.out)).items()}
    assert sum(map(len, engine_script.asked)) == 24
    assert found == {
        "judged_agreement": (0, 12),
        "judged_consistent": (0, 12),
        "judged_agreement_consistent": (None, 0),
        "judged_kappa": (0, 12),
    }
    assert llamabench("score", folder, "--judge", judge).code == 1  # by itself, a judge reads what a model wrote
