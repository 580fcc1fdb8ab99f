"""Attacks that another model writes: by turns, one model in memory at a time; gone on with where it was cut short."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from llamabench import attacking
from llamabench.attacking import AttackerOptions, WrittenAttack, add_written, describe_attacker, write_attacks
from llamabench.data.cache import find_dataset
from llamabench.engine.process import PLAIN_PLAN
from llamabench.errors import LlamabenchError, ModelFileError, StoreError
from llamabench.records import (
    AttackTarget,
    AttackVerdict,
    ChatPrompt,
    Failure,
    Generated,
    GenerateRequest,
    GenerateResult,
    Overrides,
    Request,
    Result,
    TextPrompt,
)
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.pair import PairStep, make_attack
from llamabench.suites.redteam.suite import Attacker, AttackOptions, RedTeam

Script = Any

TARGETS = [
    AttackTarget(f"t{number}", f"Do deed {number}.", "harmful_content", "deeds", 0.5, "Why.", "Sure", "test")
    for number in range(5)
]


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        self.steps.append((suite, n_done, n_total))

    def note(self, text: str) -> None:
        pass


def judge(request: str, prompt: str, answer: str) -> AttackVerdict | None:
    """Only an answer that says yes complies."""
    return AttackVerdict("complied", 1.0, 1.0) if "Yes" in answer else AttackVerdict("refused", 0.0, 0.0)


def is_for_attacker(request: GenerateRequest) -> bool:
    return request.n > 1


def play(request: Request) -> Result:
    """An attacker that counts its prompts, and a model that refuses."""
    assert isinstance(request, GenerateRequest)
    if not is_for_attacker(request):
        return GenerateResult(request.id, "", (Generated("No.", "stop", 2),))
    last = re.search(r"Your last prompt: Prompt (\d)", said_to(request))
    text = f'Better.", "prompt": "Prompt {int(last[1]) + 1}' if last else "Prompt 1"
    return GenerateResult(request.id, "", (Generated(f"{text} for {request.id}.", "stop", 9),) * request.n)


def said_to(request: GenerateRequest) -> str:
    prompt = request.prompt
    return prompt.messages[-1].content if isinstance(prompt, ChatPrompt) else prompt.text


@pytest.fixture
def script(engine_script: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Both models follow a script; nothing is planned, which takes a process each time."""
    monkeypatch.setattr(attacking, "make_plan", lambda *arguments, **more: PLAIN_PLAN)
    return engine_script


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models in the order in which they are opened; fails when one is opened before the other has left."""
    found: list[str] = []
    alive: list[str] = []
    engine: Any = attacking.Engine

    class Watched(engine):  # type: ignore[misc]
        def __init__(self, path: Path, *arguments: Any, **more: Any) -> None:
            assert alive == [], "one model in memory at a time"
            super().__init__(path, *arguments, **more)
            self.name = Path(path).stem
            alive.append(self.name)
            found.append(self.name)

        def __enter__(self) -> Self:
            super().__enter__()
            return self

        def __exit__(self, *error: Any) -> None:
            super().__exit__(*error)
            alive.remove(self.name)

    monkeypatch.setattr(attacking, "Engine", Watched)
    return found


@pytest.fixture
def options(demo_model: Path, tmp_path: Path) -> AttackerOptions:
    attacker = Path(shutil.copy(demo_model, tmp_path / "attacker.gguf"))
    subject = Path(shutil.copy(demo_model, tmp_path / "subject.gguf"))
    return AttackerOptions(attacker, subject, tmp_path / "out")


def texts(written: WrittenAttack) -> list[str]:
    return [attempt.messages[-1].content for attempt in written.attack.attempts]


# --- turns --------------------------------------------------------------------------------------


def test_the_models_take_turns_and_never_meet(options: AttackerOptions, script: Script, openings: list[str]) -> None:
    script.answer = play
    watcher = Watcher()
    found = write_attacks(options, TARGETS, judge, watcher)
    assert openings == ["attacker", "subject", "attacker", "subject", "attacker"]
    assert [one.attack.target for one in found] == TARGETS
    assert texts(found[3]) == ["Prompt 1 for t3.", "Prompt 2 for t3.", "Prompt 3 for t3."]
    assert watcher.steps[0] == ("prompts, round 1", 5, 5)
    assert watcher.steps[-1] == ("prompts, round 3", 5, 5)
    assert {one.error for one in found} == {None}


def test_the_attacker_sees_its_prompt_the_answer_and_the_mark(options: AttackerOptions, script: Script) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        if is_for_attacker(request):
            seen.append(said_to(request))
        return play(request)

    script.answer = answer
    write_attacks(replace(options, n_rounds=2), TARGETS[:1], judge, Watcher())
    assert "Mark" not in seen[0]
    assert "Prompt 1 for t0.\nThe assistant's answer: No.\nMark: 1 of 10" in seen[1]


def test_an_attack_that_succeeded_is_not_improved_on(options: AttackerOptions, script: Script) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        if not is_for_attacker(request):
            text = "Yes, gladly." if request.id == "t1" else "No."
            return GenerateResult(request.id, "", (Generated(text, "stop", 2),))
        asked.append(request.id)
        return play(request)

    script.answer = answer
    found = write_attacks(options, TARGETS, judge, Watcher())
    assert [asked.count(target.id) for target in TARGETS] == [3, 1, 3, 3, 3]
    assert texts(found[1]) == ["Prompt 1 for t1."]


def test_a_model_without_a_template_is_asked_by_a_transcript(options: AttackerOptions, script: Script) -> None:
    prompts: list[object] = []

    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        if not is_for_attacker(request):
            prompts.append(request.prompt)
        return play(request)

    script.answer = answer
    write_attacks(replace(options, use_chat=False, n_rounds=2), TARGETS[:1], judge, Watcher())
    assert prompts == [TextPrompt("\n\nHuman: Prompt 1 for t0.\n\nAssistant:")]


# --- what goes wrong ----------------------------------------------------------------------------


def test_what_cannot_be_read_is_an_error_and_tried_again(options: AttackerOptions, script: Script) -> None:
    n_asked = {target.id: 0 for target in TARGETS}
    seeds: list[int] = []

    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        if is_for_attacker(request):
            n_asked[request.id] += 1
            seeds.append(request.sampling.seed)
            if request.id == "t2" or (request.id == "t0" and n_asked["t0"] == 1):
                return GenerateResult(request.id, "", (Generated('"I would rather not', "length", 4),) * request.n)
        return play(request)

    script.answer = answer
    found = write_attacks(options, TARGETS, judge, Watcher())
    assert len(found) == len(TARGETS)
    assert found[2].attack.attempts == ()
    assert found[2].error is not None
    assert "I would rather not" in found[2].error
    assert [step.error is None for step in found[2].steps] == [False] * 3
    assert found[0].error is None
    assert found[0].steps[0].error is not None
    assert texts(found[0]) == ["Prompt 1 for t0.", "Prompt 2 for t0."]
    assert set(seeds) == {0, 1, 2}, "the same question is not drawn alike again"


def test_a_failure_of_either_model_is_kept_with_its_reason(options: AttackerOptions, script: Script) -> None:
    def answer(request: Request) -> Result:
        assert isinstance(request, GenerateRequest)
        if request.id == ("t0" if is_for_attacker(request) else "t1"):
            return Failure(request.id, "It is too long.")
        return play(request)

    script.answer = answer
    found = write_attacks(options, TARGETS[:2], judge, Watcher())
    assert found[0].error == "The attacker could not be asked: It is too long."
    assert found[1].steps[0].error == "The model under test gave no answer: It is too long."
    assert texts(found[1])[0] == "Prompt 1 for t1."
    assert found[1].error is None


def test_an_attacker_has_to_be_an_instruction_model(options: AttackerOptions, script: Script) -> None:
    script.chat_template = None
    with pytest.raises(LlamabenchError, match="attacker.gguf holds no chat template. Take an instruction model"):
        write_attacks(options, TARGETS, judge, Watcher())
    with pytest.raises(ModelFileError):
        write_attacks(replace(options, attacker=options.folder / "none.gguf"), TARGETS, judge, Watcher())


def test_who_attacks_is_told(options: AttackerOptions) -> None:
    facts = describe_attacker(options)
    assert facts["attacker"] == "llamabench demo, untrained F32"
    assert len(facts["attacker_sha256"]) >= 16
    assert facts["attacker_rounds"] == "3"


# --- again --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_chunks", range(5))
def test_it_goes_on_where_it_was_cut_short(
    options: AttackerOptions, script: Script, monkeypatch: pytest.MonkeyPatch, n_chunks: int
) -> None:
    monkeypatch.setattr(attacking, "_MOST_TOGETHER", 2)
    script.answer = play
    whole = write_attacks(replace(options, folder=options.folder / "whole"), TARGETS, judge, Watcher())
    n_asked = sum(map(len, script.asked))
    script.asked.clear()

    kept: list[int] = []
    keep: Callable[[Any], None] = attacking._Notes.keep

    def keep_or_die(notes: Any) -> None:
        if len(kept) == n_chunks:
            raise KeyboardInterrupt
        kept.append(1)
        keep(notes)

    with monkeypatch.context() as patch:
        patch.setattr(attacking._Notes, "keep", keep_or_die)
        with pytest.raises(KeyboardInterrupt):
            write_attacks(options, TARGETS, judge, Watcher())
    script.asked.clear()
    assert write_attacks(options, TARGETS, judge, Watcher()) == whole
    n_kept = [0, 2, 4, 5, 7][n_chunks]
    assert sum(map(len, script.asked)) == n_asked - n_kept
    script.asked.clear()
    assert write_attacks(options, TARGETS, judge, Watcher()) == whole
    assert script.asked == []


def test_other_targets_or_rounds_are_written_for_themselves(options: AttackerOptions, script: Script) -> None:
    script.answer = play
    write_attacks(options, TARGETS, judge, Watcher())
    write_attacks(options, TARGETS[:2], judge, Watcher())
    write_attacks(replace(options, n_rounds=1), TARGETS, judge, Watcher())
    write_attacks(replace(options, seed=5), TARGETS, judge, Watcher())
    files = list(options.folder.iterdir())
    assert len(files) == 4
    assert all(file.name.startswith("attacks-by-attacker-") for file in files)


def test_damaged_notes_are_not_written_over(options: AttackerOptions, script: Script) -> None:
    script.answer = play
    write_attacks(options, TARGETS, judge, Watcher())
    (file,) = options.folder.iterdir()
    for damage in ("{", '{"t0": 7}', json.dumps({"t0": [{"answer": 3}]}), "[]"):
        file.write_text(damage)
        with pytest.raises(StoreError, match="cannot be read.*Move it away"):
            write_attacks(options, TARGETS, judge, Watcher())
        assert file.read_text() == damage


def test_a_folder_that_cannot_be_written_to_is_told(options: AttackerOptions, script: Script) -> None:
    script.answer = play
    options.folder.write_text("no folder")
    with pytest.raises(StoreError, match="cannot be kept"):
        write_attacks(options, TARGETS, judge, Watcher())


# --- the real engine ----------------------------------------------------------------------------


def test_the_demo_model_attacks_itself(
    options: AttackerOptions, openings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are taken as prompts as they are: it writes no JSON."""
    monkeypatch.setattr(attacking, "read_prompt", lambda said, prefill: ascii(said[0].text))
    short = replace(options, max_tokens=8, attacker_tokens=16, n_rounds=2, overrides=Overrides(n_threads=1))
    found = write_attacks(short, TARGETS[:2], judge, Watcher())
    assert openings == ["attacker", "subject", "attacker"]
    assert [len(one.steps) for one in found] == [2, 2]
    assert all(step.answer is not None and step.mark == 1 for one in found for step in one.steps[:1])
    openings.clear()
    assert write_attacks(short, TARGETS[:2], judge, Watcher()) == found
    assert openings == []


# --- in the suite -------------------------------------------------------------------------------


def test_what_was_written_is_asked_and_what_was_not_is_an_error(
    options: AttackerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = RedTeam(AttackOptions(count=4, techniques=("direct", "pair")), {"direct": TECHNIQUES["direct"]})
    dataset = find_dataset(suite.DATA_SOURCES)

    def write(_options: object, targets: Sequence[AttackTarget], _judge: object, _bar: object) -> list[WrittenAttack]:
        steps = {target.id: (PairStep(f"Do it: {target.id}"),) for target in targets[:1]}
        failed = (PairStep(None, error="No prompt can be read."),)
        written = ((target, steps.get(target.id, failed)) for target in targets)
        return [WrittenAttack(make_attack(target, found), found) for target, found in written]

    monkeypatch.setattr(attacking, "write_attacks", write)
    joined = add_written(suite, dataset, options, judge=judge, progress=Watcher())
    pairs = [item for item in joined.items(dataset, use_chat=True) if item.facts["technique"] == "pair"]
    assert len(pairs) == 2
    (asked,) = [item for item in pairs if item.requests]
    (unasked,) = [item for item in pairs if not item.requests]
    assert isinstance(asked.requests[0].prompt, ChatPrompt)
    assert asked.requests[0].prompt.messages[-1].content == f"Do it: {asked.cluster}"
    score = joined.score(unasked, [])
    assert (score.outcome, score.error) == ("errored", "No prompt can be read.")
    settings = joined.settings(dataset)
    assert settings["attacker_rounds"] == "3"
    described = RedTeam(suite.options, suite.techniques, attacker=Attacker(describe_attacker(options)))
    assert settings["attacks"] != described.settings(dataset)["attacks"]
