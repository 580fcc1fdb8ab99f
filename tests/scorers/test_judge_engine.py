"""Judges are asked by the real engine; the demo model knows nothing, so only the form of its verdicts is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llamabench.engine.process import PLAIN_PLAN
from llamabench.engine.session import Session
from llamabench.records import ContextPlan, ModelSpec, ScoreRequest, ScoreResult
from llamabench.scorers.guard_formats import GUARD_FORMATS
from llamabench.scorers.judge import RUBRICS, ask_guard, ask_pair, ask_rubric, read_guard, read_pair, read_rubric

pytestmark = pytest.mark.model

SCORING = ContextPlan(8192, n_seq_max=8, n_batch=512, n_ubatch=512, n_outputs_max=512, kv_unified=True)


@pytest.fixture
def score(demo_model: Path) -> Iterator[Callable[..., list[ScoreResult]]]:
    """Asks the demo model, with a chat template of its own or the one given."""
    opened: list[Session] = []

    def ask(requests: list[ScoreRequest], template: str | None = None) -> list[ScoreResult]:
        plan = dataclasses.replace(PLAIN_PLAN, n_threads=1, scoring=SCORING, strategy="packed")
        opened.append(Session(ModelSpec(str(demo_model), plan, template)))
        results = opened[-1].score(requests).results
        assert all(isinstance(result, ScoreResult) for result in results), results
        return [result for result in results if isinstance(result, ScoreResult)]

    yield ask
    for session in opened:
        session.close()


@pytest.mark.parametrize("name", ["llama-guard-3-1b", "shieldgemma", "granite-guardian", "qwen3guard"])
def test_guards_are_asked_by_the_engine(name: str, score: Callable[..., list[ScoreResult]]) -> None:
    guard = GUARD_FORMATS[name]
    results = score(list(ask_guard(guard, "item", "How?", "Like this. <|eot_id|>")), guard.chat_template)
    verdict = read_guard(guard, results)
    assert 0 <= verdict.value <= 1
    assert 0 < verdict.mass < 1
    if guard.chat_template:
        assert "Like this. <|eot_id|>" in results[0].prompt


def test_rubrics_and_pairs_are_asked_by_the_engine(score: Callable[..., list[ScoreResult]]) -> None:
    rubric = RUBRICS["helpful"]
    requests = [ask_rubric(rubric, "rubric", "Say hello.", "Hello!"), ask_pair("pair", "Say hello.", "Hello!", "No.")]
    results = score(requests)
    assert 0 <= read_rubric(rubric, results[0]).value <= 1
    assert 0 <= read_pair(results[1]).value <= 1
