from __future__ import annotations

import pytest

from llamabench.records import LoadTiming, Speed, SpeedTest, Timing
from llamabench.repeats import Summary, find_doubts, find_drift, find_warnings, measure_drift, summarise, warn_of_drift

TG = SpeedTest("generation", 128)


def speed(*repeats: float, sustained: tuple[float, ...] | None = None) -> Speed:
    return Speed(
        measured="",
        load=LoadTiming(1.0, 0),
        timings=(Timing(SpeedTest("prompt", 512), (1.0, 1.0)), Timing(TG, repeats)),
        sustained=None if sustained is None else Timing(TG, sustained),
        first_token_s=(),
        memory=(),
    )


class TestSummary:
    def test_it_is_over_speeds_as_in_llama_bench(self) -> None:
        # avg and stdev of llama-bench over 100, 110 and 120 tokens/s, with Bessel's correction
        assert summarise([100.0, 110.0, 120.0]) == Summary(110.0, 10.0, 3)

    def test_one_repeat_has_no_spread(self) -> None:
        assert summarise([7.0]) == Summary(7.0, None, 1)

    def test_nothing_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no repeats"):
            summarise([])


class TestDoubts:
    @pytest.mark.parametrize("repeats", [[1.0], [100.0, 101.0, 99.0], [100.0, 118.0, 100.0, 100.0, 100.0]], ids=str)
    def test_steady_repeats_are_not_doubted(self, repeats: list[float]) -> None:
        assert find_doubts("pp512", repeats) == []

    def test_a_spread_is_told_with_what_to_do(self) -> None:
        (doubt,) = find_doubts("pp512", [100.0, 120.0, 90.0])
        assert doubt == ("pp512: the repeats spread by 15% of their mean. Quieten the machine, or take more repeats.")

    def test_an_outlier_is_told_beside_the_spread(self) -> None:
        doubts = find_doubts("tg128", [100.0, 100.0, 100.0, 30.0])
        assert len(doubts) == 2
        assert "one repeat is 64% off the mean" in doubts[1]

    def test_the_limits_belong_to_the_doubtful_side(self) -> None:
        assert len(find_doubts("x", [1.5, 0.5])) == 2
        assert find_doubts("x", [0.94, 1.0, 1.06]) == []


class TestDrift:
    def test_steady_work_has_none(self) -> None:
        drift = measure_drift([2.0] * 6)
        assert drift is not None
        assert drift.change == pytest.approx(0)
        assert (drift.seconds, drift.window_s) == (12.0, 4.0)
        assert warn_of_drift("tg128", drift) is None

    def test_three_repeats_are_enough_and_two_are_not(self) -> None:
        drift = measure_drift([0.1, 0.1, 0.1])
        assert drift is not None
        assert drift.change == pytest.approx(0)
        assert measure_drift([1.0, 1.0]) is None
        assert measure_drift([]) is None

    def test_a_slow_down_is_told(self) -> None:
        drift = measure_drift([1.0] * 10 + [1.25] * 10)
        assert drift is not None
        assert drift.change == pytest.approx(-0.2)
        warning = warn_of_drift("tg128", drift)
        assert warning is not None
        assert warning.startswith("tg128: 20% slower at the end of 22 s")
        assert "expect the lower speed" in warning

    def test_a_speed_up_is_no_warning(self) -> None:
        drift = measure_drift([1.5] * 5 + [1.0] * 5)
        assert drift is not None
        assert drift.change > 0.4
        assert warn_of_drift("tg128", drift) is None

    def test_minutes_are_compared_where_there_are_minutes(self) -> None:
        drift = measure_drift([10.0] * 6 + [100.0] * 5 + [20.0] * 3)
        assert drift is not None
        assert drift.window_s == 60
        assert drift.change == pytest.approx(-0.5), "what lies between does not count"

    def test_a_single_disturbance_is_no_drift(self) -> None:
        drift = measure_drift([1.0] * 9 + [9.0] + [1.0] * 9)
        assert drift is not None
        assert drift.change == 0

    def test_long_repeats_do_not_count_twice(self) -> None:
        assert measure_drift([1.0, 10.0, 1.0]) is None


class TestWarnings:
    def test_the_test_and_what_followed_are_one_series(self) -> None:
        drift = find_drift(speed(1.0, 1.0, sustained=(1.0, 1.25, 1.25, 1.25)))
        assert drift is not None
        assert drift.seconds == pytest.approx(6.75)
        assert drift.change == pytest.approx(-0.2)

    def test_without_sustained_work_there_is_no_drift(self) -> None:
        assert find_drift(speed(1.0, 1.0, 9.0)) is None

    def test_all_are_found(self) -> None:
        assert find_warnings(speed(1.0, 1.0, sustained=(1.0, 1.0))) == []
        found = find_warnings(speed(1.0, 1.0, 1.5, sustained=(1.5, 1.5, 1.5)))
        assert ["spread" in found[0], "slower at the end" in found[1]] == [True, True]
        assert len(found) == 2
