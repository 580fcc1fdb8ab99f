from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from attack_answers import FAKES, REFUSAL, answer_by, comply

from llamabench import runner
from llamabench.data.cache import find_dataset
from llamabench.errors import DataError, StoreError
from llamabench.records import Failure, GenerateRequest, JudgeFacts, Judgement, RedTeamResults
from llamabench.results.red_team import (
    FILE_NAME,
    SUITE,
    collect_results,
    read_results,
    read_schema,
    write_results,
)
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.suite import AttackOptions, RedTeam

TARGETS = {target.id: target for target in read_targets(find_dataset(RedTeam.DATA_SOURCES, "builtin"))}
HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e\ud800"


def answer(request: GenerateRequest, said: str) -> str:
    """Complies with the third try of a request, and is hostile to readers where it goes on after an opening."""
    if ":opening" in request.id:
        return HOSTILE
    return comply(TARGETS[request.id.split(":")[0]]) if request.id.endswith("#3") else REFUSAL


class Silent:
    """Progress that nobody sees."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


@pytest.fixture
def run(demo_model: Path, tmp_path: Path, engine_script: Any) -> Any:
    engine_script.answer = answer_by(answer)
    suite = RedTeam(AttackOptions(count=14, seed=5), FAKES)
    options = RunOptions(demo_model, ("redteam:builtin",), tmp_path / "out", seed=5, configured={SUITE: suite})
    with runner.run(options, Silent()) as stored:
        yield stored


@pytest.fixture
def written(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    write_results(collect_results(run), path)
    return path


def change(path: Path, edit: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_the_suite_is_called_as_it_is_called() -> None:
    assert RedTeam.NAME == SUITE


def test_what_is_written_is_read_again(run: Run, written: Path) -> None:
    assert read_results(written) == collect_results(run)
    assert list(written.parent.glob(".*.json*")) == []


def test_what_is_written_fits_its_schema(written: Path) -> None:
    schema = read_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(written.read_text())
    jsonschema.validate(document, schema)
    del document["attacks"][0]["technique"]
    with pytest.raises(jsonschema.ValidationError, match="'technique' is a required property"):
        jsonschema.validate(document, schema)


def test_results_say_what_came_of_each_attack(run: Run) -> None:
    results = collect_results(run)
    assert (results.behaviours, results.seed, results.is_demo, results.judge) == ("builtin", 5, False, None)
    assert results.settings["count"] == "14"
    assert results.settings["attacks"] == run.info.suites[0].settings["attacks"]
    assert "|set:" in results.signature
    attacks = [attack for attack in results.attacks if not attack.target.is_benign]
    assert len(attacks) == 14
    assert {attack.technique for attack in attacks} == set(FAKES)
    for attack in attacks:
        assert attack.has_succeeded == (attack.technique in ("again", "leading")) == (attack.first_success == 3)
        assert attack.attempts[-1].turns[-1].role == "assistant"
    (again, *_) = [attack for attack in attacks if attack.technique == "again"]
    outcomes = [attempt.verdict and attempt.verdict.outcome for attempt in again.attempts]
    assert outcomes == ["refused", "refused", "complied", "refused"]
    assert again.severity == again.attempts[2].severity
    assert [attack.outcome for attack in results.attacks if attack.target.is_benign][:2] == ["refused", "refused"]


def test_a_conversation_is_told_turn_by_turn(run: Run) -> None:
    leading = next(attack for attack in collect_results(run).attacks if attack.technique == "leading")
    assert [len(attempt.turns) for attempt in leading.attempts] == [2, 4, 6]
    assert leading.attempts[0].verdict is None
    assert leading.attempts[2].turns[:4] == leading.attempts[1].turns


def test_hostile_answers_stay_what_they_are(run: Run, written: Path) -> None:
    opening = next(attack for attack in read_results(written).attacks if attack.technique == "opening")
    (attempt,) = opening.attempts
    assert attempt.turns[-1].content == HOSTILE
    assert attempt.prefill == opening.target.opening
    assert written.read_bytes().isascii()


def test_a_failure_keeps_its_words(run: Run, demo_model: Path, tmp_path: Path, engine_script: Any) -> None:
    engine_script.answer = lambda request: Failure(request.id, "llama.cpp ended")
    suite = RedTeam(AttackOptions(count=3), FAKES)
    options = RunOptions(demo_model, ("redteam:builtin",), tmp_path / "failed", configured={SUITE: suite})
    with runner.run(options, Silent()) as stored:
        results = collect_results(stored)
    write_results(results, tmp_path / "failed.json")
    assert read_results(tmp_path / "failed.json") == results
    jsonschema.validate(json.loads((tmp_path / "failed.json").read_text()), read_schema())
    assert {(attack.status, attack.error, attack.outcome) for attack in results.attacks} == {
        ("errored", "llama.cpp ended", None)
    }


def test_what_a_judge_said_stands_beside_each_answer(run: Run) -> None:
    model = replace(run.info.model, name="Judge 7B")
    facts = JudgeFacts(model, "rubric", "ab" * 32, run.info.plan, "0c1e57098", {SUITE: ("harmful",)})
    judge = run.save_judge("key", facts)
    again = next(row for row in run.rows(SUITE) if ":again" in row.id)
    said = [Judgement("harmful", number, "scored", "unsafe", 0.25 * number, 1.0) for number in (1, 2, 3)]
    run.save_judgements(judge.number, SUITE, {again.id: said})
    run.finish_judge(judge.number)
    results = collect_results(run)
    assert results.judge == facts.title
    found = next(attack for attack in results.attacks if attack.id == again.id)
    assert [attempt.judged_harmful for attempt in found.attempts] == [0.25, 0.5, 0.75, None]


# --- files that are not as they should be -------------------------------------------------------


def test_a_folder_stands_for_its_file(run: Run, written: Path, tmp_path: Path) -> None:
    write_results(collect_results(run), run.folder / FILE_NAME)
    assert read_results(run.folder) == read_results(written)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda one: one.update(version=2), r"is of version 2, this llamabench reads version 1"),
        (lambda one: one.update(format="other"), "holds no results of attacks"),
        (lambda one: one.pop("metrics"), "is damaged: RedTeamResults cannot be made of it: .*'metrics'"),
        (lambda one: one["attacks"][0].update(severity="high"), "is damaged: .*'high' is no number"),
        (lambda one: one["attacks"][0].update(severity=1.5), "has a severity that is not between 0 and 1"),
        (lambda one: one["attacks"][0].update(outcome="won"), 'has the outcome "won", which is none'),
        (lambda one: one["attacks"][0].update(status="lost"), 'ended as "lost"'),
        (lambda one: one["attacks"].append(one["attacks"][0]), "stands in it twice"),
    ],
)
def test_a_damaged_file_is_told(written: Path, edit: Callable[[Any], object], message: str) -> None:
    change(written, edit)
    with pytest.raises(DataError, match=message):
        read_results(written)


def test_a_file_that_is_cut_short_is_told(written: Path) -> None:
    written.write_text(written.read_text()[:-200])
    with pytest.raises(DataError, match="is no JSON, or cut short"):
        read_results(written)


def test_more_fields_are_no_fault(written: Path) -> None:
    before: RedTeamResults = read_results(written)
    change(written, lambda one: one.update(more=1))
    assert read_results(written) == before


def test_a_run_without_attacks_has_no_results(demo_model: Path, tmp_path: Path, engine_script: Any) -> None:
    options = RunOptions(demo_model, ("preference:starter",), tmp_path / "x", limit=2)
    with runner.run(options, Silent()) as stored, pytest.raises(StoreError, match="attacked nothing"):
        collect_results(stored)


def test_a_place_that_cannot_be_written_to_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file.*The attacks are safe"):
        write_results(collect_results(run), tmp_path / "none" / "x.json")
