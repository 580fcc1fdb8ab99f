from __future__ import annotations

import math

import pytest

from llamabench.engine.watchdog import Watchdog


def test_a_limit_given_holds_from_the_first_decode() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(0, is_decoding=True, now_s=100)
    assert not watchdog.is_hung(0, is_decoding=True, now_s=101.9)
    assert watchdog.is_hung(0, is_decoding=True, now_s=102.1)


def test_every_decode_has_its_own_time() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(0, is_decoding=True, now_s=0)
    for second in range(1, 60):
        assert not watchdog.is_hung(second, is_decoding=True, now_s=second * 1.5)


def test_loading_may_take_long() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(5, is_decoding=False, now_s=0)
    assert not watchdog.is_hung(5, is_decoding=False, now_s=7199)
    assert watchdog.is_hung(5, is_decoding=False, now_s=7201)


def test_the_time_for_a_decode_begins_after_loading() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(5, is_decoding=False, now_s=0)
    assert not watchdog.is_hung(5, is_decoding=True, now_s=1001)
    assert not watchdog.is_hung(5, is_decoding=True, now_s=1002.9)
    assert watchdog.is_hung(5, is_decoding=True, now_s=1003.1)


def test_zero_watches_nothing() -> None:
    watchdog = Watchdog(0)
    assert watchdog.look_every_s is None
    watchdog.begin(0, is_decoding=True, now_s=0)
    assert watchdog.limit_s == math.inf
    assert not watchdog.is_hung(0, is_decoding=True, now_s=1e9)


@pytest.mark.parametrize(("decode_s", "limit_s"), [(0.001, 120), (2, 120), (30, 1500)])
def test_what_is_allowed_follows_from_what_was_seen(decode_s: float, limit_s: float) -> None:
    watchdog = Watchdog()
    assert watchdog.limit_s == 1200
    watchdog.begin(0, is_decoding=True, now_s=0)
    assert not watchdog.is_hung(10, is_decoding=True, now_s=10 * decode_s)
    assert watchdog.limit_s == pytest.approx(limit_s)


def test_a_process_that_starts_again_counts_from_nothing() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(7, is_decoding=True, now_s=0)
    assert not watchdog.is_hung(0, is_decoding=False, now_s=1)
    assert not watchdog.is_hung(0, is_decoding=True, now_s=3), "loading is another thing than decoding"
    assert not watchdog.is_hung(0, is_decoding=True, now_s=4.9)
    assert watchdog.is_hung(0, is_decoding=True, now_s=5.1)


@pytest.mark.parametrize("limit_s", [None, 0.01, 1, 120, 1e9])
def test_looks_cost_nothing_and_come_in_time(limit_s: float | None) -> None:
    every_s = Watchdog(limit_s).look_every_s
    assert every_s is not None
    assert 0.02 <= every_s <= 1
