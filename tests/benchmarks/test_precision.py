from __future__ import annotations

import numpy as np
import pytest
from precision import CASES, Case, Run, count_for_wilson, draw_values, report, run_once

from llamabench.stats import wilson_interval


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_a_pool_has_the_score_that_is_said() -> None:
    case = Case("", (300, 100), (0.2, 0.8), 0.1, n_counting=2, is_by_group=True)
    draws, score = case.draw(rng())
    means = [float(draws.totals[draws.strata == number].mean()) / 2 for number in (0, 1)]
    assert score == pytest.approx(np.mean(means))
    assert draws.sizes.sum() == 800


def test_items_of_a_draw_go_together() -> None:
    pairs = draw_values(4000, 0.5, 2, rng())
    assert pairs.mean() == pytest.approx(1, abs=0.05)
    assert (pairs == 1).mean() < 0.45, "half of independent pairs are split"


def test_a_run_stops_and_is_looked_at_further() -> None:
    run = run_once(Case("", (2000,), (0.5,), 0.1), rng())
    assert 150 < run.n_items < 300


def test_fewest_items_for_wilson() -> None:
    n = count_for_wilson(0.5, 0.05)
    for n_items, is_enough in ((n, True), (n - 3, False)):
        low, high, _ = wilson_interval(round(n_items / 2), n_items)
        assert low is not None
        assert high is not None
        assert ((high - low) / 2 <= 0.05) == is_enough


def test_what_is_missed_too_often_is_below(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [Run(number > 29, number > 99, 200) for number in range(200)]
    assert not report(CASES[0], runs).is_met
    assert report(CASES[0], runs[20:]).is_met, "10 of 180 may be chance"
    assert "coverage 85.0% (Wilson 50.0%), 200 of 50,000 items" in capsys.readouterr().out
