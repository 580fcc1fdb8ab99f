"""A system prompt: who reads it, what it changes, and where it is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llamabench import runner
from llamabench.comparing import Named, open_runs
from llamabench.errors import LlamabenchError
from llamabench.evaluating import Settings, evaluate
from llamabench.report.settings import describe_settings
from llamabench.results.export import run_document
from llamabench.results.red_team import collect_results
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites.redteam.suite import AttackOptions, RedTeam

Script = Any
TEXT = "You are a clerk. Be brief."


class Watcher:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, run: Run) -> None: ...
    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...
    def stand(self, standing: object) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def options(demo_model: Path, tmp_path: Path) -> RunOptions:
    return RunOptions(demo_model, ("preference:starter", "bbq:starter"), tmp_path / "out", limit=4)


def finish(options: RunOptions, watcher: Watcher | None = None) -> Run:
    return runner.run(options, watcher or Watcher())


def prompts(run: Run) -> list[str]:
    found = [
        exchange.prompt for choice in run.info.suites for row in run.rows(choice.name) for exchange in row.exchanges
    ]
    assert found
    return found


# --- what it changes ----------------------------------------------------------------------------


def test_it_makes_another_run_whose_scores_say_so(options: RunOptions, engine_script: Script) -> None:
    with finish(options) as without, finish(replace(options, system_prompt=TEXT)) as run:
        assert run.info.id != without.info.id
        assert engine_script.system_prompts == [None, TEXT]
        assert (without.info.system_prompt, run.info.system_prompt) == (None, TEXT)
        assert {choice.name: choice.system_prompt for choice in run.info.suites} == {"preference": TEXT, "bbq": None}
        for score, other in zip(run.scores(), without.scores(), strict=True):
            digest = "|system:16e26834" if score.suite == "preference" else ""
            assert score.signature == re.sub(r"(\|chat:\w+)", rf"\1{digest}", other.signature)
    with finish(replace(options, system_prompt=TEXT)) as again, finish(replace(options, system_prompt="No.")) as third:
        assert again.info.id == run.info.id
        assert third.info.id not in (run.info.id, without.info.id)


def test_documents_and_reports_show_it(options: RunOptions, engine_script: Script) -> None:
    with finish(replace(options, system_prompt=TEXT)) as run:
        document: Any = run_document(run)
        assert [one["system_prompt"] for one in document["run"]["suites"]] == [TEXT, None]
        (pair,) = [pair for pair in describe_settings(run.info)[0].pairs if pair.name == "System prompt"]
        assert pair.value == TEXT


def test_suites_without_conversations_do_not_change(options: RunOptions, engine_script: Script) -> None:
    options, watcher = replace(options, suites=("bbq:starter", "realtoxicity:starter")), Watcher()
    with finish(options) as without, finish(replace(options, system_prompt=TEXT), watcher) as run:
        assert run.info.id == without.info.id
        assert [one.signature for one in run.scores()] == [one.signature for one in without.scores()]
        assert watcher.notes[0] == "The system prompt plays no part: these suites ask no conversations."


def test_the_reference_reads_the_same(options: RunOptions, engine_script: Script, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(options.model.read_bytes().replace(b"demo, untrained", b"demo, reference"))
    options = replace(options, suites=("preference:starter",), reference=other)
    finish(replace(options, system_prompt=TEXT)).close()
    assert engine_script.system_prompts == [TEXT, TEXT]
    finish(options).close()
    assert engine_script.system_prompts == [TEXT, TEXT, None, None], "a reference that read another is not taken"


def test_a_reference_that_read_another_is_refused(options: RunOptions, engine_script: Script) -> None:
    options = replace(options, suites=("preference:starter",))
    with finish(options) as without, pytest.raises(LlamabenchError, match="began with another system prompt"):
        finish(replace(options, system_prompt=TEXT, reference=without.folder))


def test_models_that_are_compared_read_what_the_first_reads(options: RunOptions, engine_script: Script) -> None:
    named = [Named(options.model, system_prompt=TEXT), Named(options.model, system_prompt="Another.")]
    runs = open_runs(named, options, Watcher())
    assert [run.info.system_prompt for run in runs] == [TEXT, TEXT]
    again = open_runs([Named(options.model)], options, Watcher())
    assert again[0].info.system_prompt is None
    for run in (*runs, *again):
        run.close()


# --- where it is refused, and where it comes from -----------------------------------------------


def test_without_chat_it_is_refused(options: RunOptions, engine_script: Script) -> None:
    with pytest.raises(LlamabenchError, match="run without --no-chat"):
        finish(replace(options, system_prompt=TEXT, use_chat=False))
    assert not options.out.exists()


def test_python_takes_one(options: RunOptions, engine_script: Script) -> None:
    settings = Settings(system_prompt=TEXT)
    with evaluate(options.model, ["preference"], limit=4, out=options.out, settings=settings) as found:
        assert found.info.system_prompt == TEXT


# --- with a real model --------------------------------------------------------------------------


@pytest.mark.model
def test_a_model_reads_it_in_every_turn(options: RunOptions) -> None:
    attacks = RedTeam(AttackOptions(count=4, techniques=("crescendo", "likeliest_prefill"), max_tokens=4))
    options = replace(options, suites=("redteam",), limit=None, system_prompt=TEXT, configured={"redteam": attacks})
    with finish(options) as run:
        found = prompts(run)
        assert len(found) > len(list(run.rows("redteam"))), "some talk goes on"
        assert all(prompt.count(TEXT) == 1 and prompt.index(TEXT) < 40 for prompt in found)
        results = collect_results(run)
        assert results.settings["system_prompt"] == TEXT
        assert all(TEXT not in turn.content for one in results.attacks for part in one.attempts for turn in part.turns)


@pytest.mark.model
def test_a_model_whose_template_leaves_users_out_runs_without_it_only(options: RunOptions, tmp_path: Path) -> None:
    whole = options.model.read_bytes()
    message = b"message.content"
    assert message in whole
    model = tmp_path / "deaf.gguf"
    model.write_bytes(whole.replace(message, b"'" + b"x" * (len(message) - 2) + b"'"))
    with pytest.raises(LlamabenchError, match="leaves the user's message out"):
        finish(replace(options, model=model))
    assert not options.out.exists()
    finish(replace(options, model=model, use_chat=False))


@pytest.mark.model
def test_a_template_that_leaves_it_out_ends_a_run_before_it_began(options: RunOptions) -> None:
    deaf = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"
    with pytest.raises(LlamabenchError, match="would not read the system prompt"):
        finish(replace(options, chat_template=deaf, system_prompt=TEXT))
    assert not options.out.exists()
