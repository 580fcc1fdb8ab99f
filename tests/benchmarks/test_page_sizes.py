"""Large runs are made of small ones: as many rows as asked for, each its own, scored as any run is."""

from __future__ import annotations

from pathlib import Path

from page_sizes import multiply
from stored_runs import question_rows, store_run

from llamabench.results.store import Run


def test_a_run_is_multiplied(tmp_path: Path) -> None:
    with store_run(tmp_path / "small", question_rows(7, lambda number: number < 3)):
        folder = multiply(tmp_path / "small", tmp_path / "large", 1_200)
    with Run(folder) as large:
        assert large.is_finished
        assert (large.info.suites[0].n_items, large.counts("truthfulqa_mc")["scored"]) == (1_200, 1_200)
        assert len(large.done_ids("truthfulqa_mc")) == 1_200
        assert [chunk.n_items for chunk in large.chunks()] == [500, 500, 200]
        (mc1,) = [score.metric for score in large.scores() if score.metric.name == "mc1" and score.metric.group is None]
        assert (mc1.n, round(mc1.value or 0, 2)) == (1_200, 0.43)
