from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stored_runs import INFO, MODEL, question_rows, store_run

from llamabench.diverging import draw_prompts, measure_divergence, sum_up_gaps
from llamabench.errors import LlamabenchError
from llamabench.records import Gaps


def gaps(divergences: list[float], first: float, second: float) -> Gaps:
    n = len(divergences)
    return Gaps(
        np.array(divergences),
        np.arange(n) % 2 == 0,
        np.log(np.full(n, first)),
        np.log(np.full(n, second)),
        np.full(n, 0.125),
    )


def test_figures_are_of_all_places_of_all_texts() -> None:
    found = sum_up_gaps([gaps([0.0, 1.0, 2.0, 3.0], 0.5, 0.25), gaps([4.0, 5.0], 0.5, 0.25)], 1024)
    assert (found.n_prompts, found.n_tokens, found.mean) == (2, 6, 2.5)
    assert (found.percentiles["0 %"], found.percentiles["50 %"], found.percentiles["100 %"]) == (0, 2.5, 5)
    assert found.agreement == 0.5
    assert found.mean_change == pytest.approx(-0.25)
    assert found.root_mean_square_change == pytest.approx(0.25)
    assert found.log_perplexity_ratio == pytest.approx(np.log(2))
    assert (found.n_kept, found.mean_rest) == (1024, 0.125)
    # two texts whose sums are off the mean by -4 and +4: sqrt(2 * (16 + 16)) / 6
    assert found.mean_error == pytest.approx(8 / 6)


def test_one_text_has_no_error() -> None:
    assert sum_up_gaps([gaps([1.0, 2.0], 0.5, 0.5)], 10).mean_error is None


def test_prompts_are_drawn_by_the_seed(tmp_path: Path) -> None:
    rows = question_rows(50, lambda n: True)
    with store_run(tmp_path / "a", rows) as one, store_run(tmp_path / "b", rows, replace(INFO, seed=8)) as other:
        drawn = draw_prompts(one, 10)
        assert len(set(drawn)) == 10
        assert drawn == draw_prompts(one, 10) != draw_prompts(other, 10)
        assert set(drawn) < {row.exchanges[0].prompt for row in rows}
        assert len(draw_prompts(one, 100)) == 50


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    rows = question_rows(5, lambda n: True)
    larger = replace(INFO, model=replace(MODEL, n_vocab=400))
    runs = [store_run(tmp_path / "a", rows), store_run(tmp_path / "b", rows, larger)]
    with pytest.raises(LlamabenchError, match="300 and 400 tokens"):
        measure_divergence(runs[0], runs[1], 3, say=print)
