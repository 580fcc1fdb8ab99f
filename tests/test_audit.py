from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamabench import runner
from llamabench.audit import compare_rows, draw_places
from llamabench.records import Exchange, ItemRow, OutcomeKind, ScoreRequest, ScoreResult, Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions


def row(
    id: str, logprobs: tuple[float, ...], *, values: dict[str, float] | None = None, outcome: OutcomeKind = "scored"
) -> ItemRow:
    answers = tuple({"text": "x", "logprob": logprob, "n_tokens": 4} for logprob in logprobs)
    return ItemRow("bbq", id, "g", "c", outcome, {}, values or {}, None, (Exchange("p", answers),))


def test_the_largest_difference_is_named() -> None:
    audit = compare_rows(
        "bbq", [(row("a", (-3.0, -4.0)), row("a", (-3.0, -4.1))), (row("b", (-8.0,)), row("b", (-7.6,)))]
    )
    assert (audit.n_items, audit.n_failed, audit.n_continuations, audit.n_changed) == (2, 0, 3, 0)
    assert audit.largest_difference == pytest.approx(0.4)
    assert audit.largest_per_token == pytest.approx(0.1)
    assert audit.worst_item == "b"


@pytest.mark.parametrize(
    ("before", "after", "n_changed"),
    [(1.0, 0.0, 1), (2.0, -1.0, 1), (0.5, 1.0, 1), (1.0, 1.0, 0), (0.31, 0.32, 0), (1.0, 0.9999, 0)],
)
def test_an_answer_changes_where_a_decision_does(before: float, after: float, n_changed: int) -> None:
    stored, exact = row("a", (-1.0,), values={"pick": before}), row("a", (-1.0,), values={"pick": after})
    audit = compare_rows("bbq", [(stored, exact)])
    assert audit.n_changed == n_changed
    assert audit.changed_items == ("a",) * n_changed


def test_a_bound_is_no_number_to_compare() -> None:
    pruned = Exchange("p", ({"text": "x", "logprob": -3.0, "n_tokens": 4}, {"text": "y", "logprob_at_most": -9.0}))
    stored = dataclasses.replace(row("a", (), values={"agree_sum": 1.0}), exchanges=(pruned,))
    audit = compare_rows("bbq", [(stored, row("a", (-3.5, -12.0), values={"agree_sum": 0.0, "margin": -1.0}))])
    assert (audit.n_continuations, audit.largest_difference, audit.n_changed) == (1, 0.5, 1)


def test_failures_are_counted_and_compared_with_nothing() -> None:
    failed = dataclasses.replace(row("a", ()), outcome="errored")
    audit = compare_rows("bbq", [(failed, failed), (row("b", (-1.0,)), dataclasses.replace(failed, id="b"))])
    assert (audit.n_items, audit.n_failed, audit.n_changed) == (2, 2, 1)
    assert audit.largest_difference is None
    assert audit.worst_item is None


def test_places_are_drawn_without_repeats_in_order() -> None:
    places = draw_places(50, 20, np.random.default_rng(0))
    assert len(set(places)) == 20
    assert list(places) == sorted(places)
    assert max(places) < 50
    assert draw_places(3, 20, np.random.default_rng(0)) == (0, 1, 2)


# --- in a run -----------------------------------------------------------------------------------


class Quiet:
    """Progress that says nothing."""

    def begin(self, run: Run) -> None: ...

    def stand(self, standing: Standing) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...

    def note(self, text: str) -> None: ...


def test_an_audit_asks_again_and_finds_what_differs(demo_model: Path, tmp_path: Path, engine_script: Any) -> None:
    asked: set[str] = set()
    first_answer = engine_script.answer

    def answer(request: ScoreRequest) -> ScoreResult:
        """The second time somebody asks, the last continuation is likelier by one nat."""
        result = first_answer(request)
        assert isinstance(result, ScoreResult)
        if request.id not in asked:
            asked.add(request.id)
            return result
        *others, last = result.continuations
        return dataclasses.replace(result, continuations=(*others, dataclasses.replace(last, logprob_sum=0.0)))

    engine_script.answer = answer
    options = RunOptions(demo_model, ("bbq:starter",), tmp_path, n_audited=15)
    with runner.run(options, Quiet()) as stored:
        (audit,) = stored.audits()
        rows = {row.id: row for row in stored.rows("bbq")}
        assert stored.info.plan.strategy == "packed"
    assert (audit.suite, audit.n_items, audit.n_continuations) == ("bbq", 15, 45)
    assert audit.worst_item is not None
    worst = rows[audit.worst_item].exchanges[0].answers[-1]
    assert audit.largest_difference == pytest.approx(-float(str(worst["logprob"])))
    picks = {name: [value for key, value in row.values.items() if key.startswith("pick")] for name, row in rows.items()}
    assert 0 < audit.n_changed <= 15
    assert all(set(picks[name]) != {2} for name in audit.changed_items), "who chose the last before does so again"


def test_a_run_that_fails_in_its_audit_goes_on_with_it(demo_model: Path, tmp_path: Path, engine_script: Any) -> None:
    options = RunOptions(demo_model, ("preference:starter",), tmp_path, n_audited=5)
    with runner.run(dataclasses.replace(options, n_audited=0), Quiet()):
        n_chunks = len(engine_script.asked)
    engine_script.fail_after, engine_script.failure = n_chunks + 2, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        runner.run(options, Quiet())
    engine_script.fail_after = None
    engine_script.asked.clear()
    with runner.run(options, Quiet()) as stored:
        assert [audit.n_items for audit in stored.audits()] == [5]
    assert len(engine_script.asked) == 5, "nothing but the audit is asked again"


def test_an_exact_run_says_so(demo_model: Path, tmp_path: Path, engine_script: Any) -> None:
    with runner.run(RunOptions(demo_model, ("preference:starter",), tmp_path, is_exact=True), Quiet()) as stored:
        assert any("scored by itself, as asked for" in reason for reason in stored.info.plan.reasons)
        assert {"how:single"} <= set(stored.scores()[0].signature.split("|"))


@pytest.mark.model
def test_a_real_audit_stays_within_noise(demo_model: Path, tmp_path: Path) -> None:
    options = RunOptions(demo_model, ("truthfulqa_mc:starter",), tmp_path, limit=30, n_audited=10)
    with runner.run(options, Quiet()) as stored:
        (audit,) = stored.audits()
    assert (audit.n_items, audit.n_failed) == (10, 0)
    assert audit.largest_per_token is not None
    assert audit.largest_per_token < 0.01


@pytest.mark.model
def test_winners_are_those_of_a_run_to_the_end(demo_model: Path, tmp_path: Path) -> None:
    options = RunOptions(demo_model, ("preference:starter",), tmp_path, winners_only=True, n_audited=1000)
    with runner.run(options, Quiet()) as stored:
        (audit,) = stored.audits()
        rows = list(stored.rows("preference"))
    bounds = [one for row in rows for exchange in row.exchanges for one in exchange.answers if "logprob" not in one]
    assert 0 < len(bounds) < len(rows), "some were left early, and at most one of a pair"
    assert audit.n_continuations == 2 * len(rows) - len(bounds)
    assert audit.n_changed == 0
