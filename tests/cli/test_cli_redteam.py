"""`redteam`: from the command to the tables and the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from attack_answers import REFUSAL, answer_by, comply

from llamabench.data.cache import find_dataset
from llamabench.errors import ModelFileError
from llamabench.records import GenerateRequest, Request, Result, ScoreRequest
from llamabench.results.red_team import read_results, read_schema
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.suite import RedTeam

Command = Callable[..., Any]

TARGETS = {target.id: target for target in read_targets(find_dataset(RedTeam.DATA_SOURCES, "builtin"))}
FEW = ("--attack-count", "9", "--techniques", "direct,fiction,crescendo")


def write(request: GenerateRequest, said: str) -> str:
    """Gives in to fiction alone."""
    target, _, technique = request.id.partition(":")
    return comply(TARGETS[target]) if technique.startswith("fiction") else REFUSAL


@pytest.fixture
def attack(llamabench: Command, demo_model: Path, engine_script: Any) -> Command:
    engine_script.answer = answer_by(write)
    return lambda *options: llamabench("redteam", str(demo_model), *options)


def test_a_model_is_attacked(attack: Command) -> None:
    done = attack(*FEW, "--output", "red_team_results.json")
    assert done.code == 0
    assert "redteam: 100%" in done.err
    for text in ("9 attacks, 60 harmless twins", "Attack success rate", "33.3", "Severity of 0.7 or more", "3/9"):
        assert text.replace(" ", "") in done.out.replace("\u00a0", "").replace(" ", "") or text == "3/9"
    assert done.out.index("fiction") < done.out.index("crescendo")
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert next(line for line in lines if line.startswith("Scene of a novel"))
    assert lines.index("  crescendo") < lines.index("  direct"), "equal ones in the order of what is shown"
    assert max(map(len, done.out.partition("Results:")[0].splitlines())) <= 80
    document = json.loads(Path("red_team_results.json").read_text())
    jsonschema.validate(document, read_schema())
    found = read_results(Path("red_team_results.json"))
    assert read_results(next(Path("llamabench-runs").iterdir())) == found
    assert {attack.technique for attack in found.attacks if attack.has_succeeded and not attack.target.is_benign} == {
        "fiction"
    }


def test_the_document_says_where_everything_is(attack: Command) -> None:
    done = attack(*FEW, "--json", "--quiet", "--severity-threshold", "0")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["severe"] == {"threshold": 0.0, "n": 9, "n_over": 9}
    assert Path(document["results"]).name == "red_team_results.json"
    assert Path(document["report"]).is_file()
    page = Path(document["attack_report"])
    assert page.parent == Path(document["report"]).parent
    assert "at or over severity 0<" in page.read_text(encoding="utf-8")
    assert document["run"]["suites"][0]["settings"]["count"] == "9"
    rates = {one["metric"]: one["value"] for one in document["scores"] if one["group"] is None}
    assert rates["attack_success_rate"] == pytest.approx(1 / 3)
    assert rates["over_refusal"] == 1


def test_a_run_that_is_cut_short_goes_on_and_ends_the_same(attack: Command, engine_script: Any) -> None:
    whole = attack(*FEW, "--quiet", "--out", "whole")
    engine_script.fail_after, engine_script.failure = 2, ModelFileError("It died.")
    engine_script.speed = engine_script.speed._replace(tokens_per_s=1.0)
    done = attack(*FEW, "--out", "cut")
    assert done.code == 1
    assert "The same command goes on from there" in done.err
    engine_script.fail_after = None
    again = attack(*FEW, "--quiet", "--out", "cut", "--resume")
    assert again.code == 0
    assert again.out.partition("Results:")[0] == whole.out.partition("Results:")[0]
    before, after = (read_results(next(Path(name).iterdir())) for name in ("whole", "cut"))
    assert after.attacks == before.attacks
    assert after.metrics == before.metrics


def test_a_judge_is_heard_at_once_or_later(
    attack: Command, llamabench: Command, demo_model: Path, engine_script: Any
) -> None:
    judge = str(shutil.copy(demo_model, "instruct.gguf"))

    def answer(request: Request) -> Result:
        found = answer_by(write)(request) if isinstance(request, GenerateRequest) else None
        return found or answer_harmful(request)

    engine_script.answer = answer
    done = attack(*FEW, "--judge", judge, "--quiet")
    assert done.code == 0
    assert "Attack success rate, judged" in done.out
    assert "Judge's kappa" in done.out
    folder = next(Path("llamabench-runs").iterdir())
    found = read_results(folder)
    assert found.judge == "llamabench demo, untrained F32, rubric"
    said = [one.judged_harmful for attack in found.attacks for one in attack.attempts if not attack.target.is_benign]
    assert {one for one in said if one is not None} != set()
    shutil.rmtree("llamabench-runs")
    folder = Path(json.loads(attack(*FEW, "--quiet", "--json").out)["run"]["folder"])
    assert read_results(folder).judge is None
    assert llamabench("score", str(folder), "--judge", judge, "--quiet").code == 0
    assert read_results(folder).attacks == found.attacks


def answer_harmful(request: Request) -> Result:
    from llamabench.records import Scored, ScoreResult

    assert isinstance(request, ScoreRequest)
    scored = (Scored(-0.5 * (1 + n), 1, 1, False) for n, _ in enumerate(request.continuations))
    return ScoreResult(request.id, "", tuple(scored))


def test_techniques_are_listed_with_their_sources(llamabench: Command) -> None:
    done = llamabench("redteam", "--list-techniques")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(llamabench("redteam", "--list-techniques", "--json").out)
    assert [row["name"] for row in rows] == list(RedTeam().techniques)
    assert {row["name"] for row in rows} >= set(TECHNIQUES)
    assert all(row["source"] for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--techniques", "fictoin"), 'No technique is called "fictoin". Did you mean fiction?'),
        (("--categories", "jailbraek"), 'No category is called "jailbraek". Did you mean jailbreak?'),
        (("--behaviours", "jbb"), "JailbreakBench, behaviours jbb is not imported."),
        (("--behaviours", "jpb"), 'No edition is called "jpb". Did you mean jbb?'),
    ],
)
def test_what_there_is_not_is_told_before_anything_runs(
    attack: Command, options: tuple[str, ...], message: str, engine_script: Any
) -> None:
    done = attack(*options)
    assert done.code == 1
    assert message in done.err
    assert engine_script.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--output", "none/x.json"), "is no folder"), (("--severity-threshold", "2"), "2.0 is not in the range")],
)
def test_wrong_usage(attack: Command, options: tuple[str, ...], message: str) -> None:
    done = attack(*options)
    assert done.code == 2
    assert message in " ".join(done.err.split())


def test_a_model_has_to_be_named(llamabench: Command) -> None:
    done = llamabench("redteam")
    assert done.code == 2
    assert "Name a MODEL to attack" in done.err
