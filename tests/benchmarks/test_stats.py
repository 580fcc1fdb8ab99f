from __future__ import annotations

import numpy as np
import pytest
from stats import CASES, Drawn, draw_rows, find_verdicts, measure_coverage, measure_power

from llamabench.stats import Interval


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", CASES)
def test_a_case_gives_an_interval_about_its_truth(name: str) -> None:
    (low, high, _), truth = CASES[name](rng())
    assert low is not None
    assert high is not None
    assert low < high
    assert low - (high - low) < truth < high + (high - low)


def test_intervals_that_miss_are_below(capsys: pytest.CaptureFixture[str]) -> None:
    rngs = [rng(seed) for seed in range(200)]
    too_low = measure_coverage("half", lambda one: Drawn(Interval(0, 1, ""), 2 * one.random()), rngs)
    always = measure_coverage("all", lambda one: Drawn(Interval(0, 1, ""), 0.5), rngs)
    assert [target.is_met for target in too_low] == [False, True]
    assert [target.is_met for target in always] == [True, True], "200 of 200 may be 97 % and luck"
    assert "all: coverage 100.0% of 200" in capsys.readouterr().out


def test_models_that_do_not_differ_are_drawn_alike() -> None:
    first, second = draw_rows("templates", rng())
    assert [row.id for row in first] == [row.id for row in second]
    means = [np.mean([row.values["right"] for row in rows]) for rows in (first, second)]
    assert means[0] == pytest.approx(means[1], abs=0.1)
    assert find_verdicts(rng()) <= {"no evidence", "too few items"}


def test_the_power_table_holds_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(target.is_met for target in measure_power())
    assert "250\t4.0 points\t5.6 points" in capsys.readouterr().out
