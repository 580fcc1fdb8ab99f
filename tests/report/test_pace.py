"""How fast a run went as time passed."""

from __future__ import annotations

from typing import Any

import pytest

from llamabench.records import ChunkTiming
from llamabench.report.pace import N_STEPS, draw_pace
from llamabench.report.render import render_score
from llamabench.report.views import build_score_view


def test_a_suite_that_slows_down_has_steps_that_go_down() -> None:
    fast, slow = [ChunkTiming("a", 2.5, 10)] * 4, [ChunkTiming("a", 7.5, 15)] * 4
    chunks = [*fast, ChunkTiming("b", 99.0, 1), *slow]
    (row,) = draw_pace(chunks, {"a": "Suite A"})
    assert [(step.x, step.width, step.height) for step in row.steps] == [(0.0, 25.0, 100.0), (25.0, 75.0, 50.0)]
    assert (row.rate, row.mean, row.duration) == ("2.50/s", 37.5, "40\u00a0s")
    assert row.text == (
        "Suite A: 100\u00a0items in 40\u00a0s, 2.50/s on average, 2.00 where it was slowest, 4.00 where it was fastest"
    )


def test_a_few_chunks_are_one_step_and_so_is_what_is_left() -> None:
    """Two chunks are under way at once: the one that ends first has done work of the other's."""
    chunks = [ChunkTiming("a", 30.0, 1), *[ChunkTiming("a", 0.5, 99)] * 6]
    for n in (1, 3, 7):
        (row,) = draw_pace(chunks[:n], {"a": "A"})
        assert [(step.x, step.width, step.height) for step in row.steps] == [(0.0, 100.0, 100.0)]
        assert "slowest" not in row.text


def test_many_chunks_are_put_together_and_none_is_lost() -> None:
    chunks = [ChunkTiming("a", 0.5, 3) for _ in range(5000)]
    (row,) = draw_pace(chunks, {"a": "A"})
    assert N_STEPS / 2 < len(row.steps) <= N_STEPS
    assert sum(step.width for step in row.steps) == pytest.approx(100, abs=0.5)
    assert row.steps[-1].x + row.steps[-1].width == pytest.approx(100, abs=0.05)
    assert {step.height for step in row.steps} == {100.0}
    assert "15,000\u00a0items in 41\u00a0min 40\u00a0s, 6.00/s" in row.text


def test_what_took_no_time_has_no_pace() -> None:
    assert draw_pace([], {"a": "A"}) == ()
    assert draw_pace([ChunkTiming("a", 0.0, 5)], {"a": "A"}) == ()
    (row,) = draw_pace([ChunkTiming("a", 2.0, 0)], {"a": "A"})
    assert (row.rate, row.mean) == ("0/s", 100.0)


def test_the_report_shows_it_where_nothing_was_measured_apart(run: Any, suites: Any) -> None:
    run.speed = None
    page = render_score(build_score_view(run, suites))
    assert '<a href="#speed">Speed</a>' in page
    assert "BBQ, bias in question answering: 24\u00a0items in 1\u00a0min 22\u00a0s" in page
    run.items = {name: [] for name in run.items}
    assert 'id="speed"' not in render_score(build_score_view(run, suites))
