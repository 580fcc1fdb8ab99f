from __future__ import annotations

import math

import numpy as np
import pytest

from llamabench.engine.watchdog import Watchdog


def look_until(
    watchdog: Watchdog, now_s: float, *, since_s: float, n_decodes: int = 0, is_decoding: bool = True
) -> bool:
    """Looks every second up to a moment; whether the process was found to hang by then."""
    times = [*np.arange(since_s + 1, now_s), now_s]
    return any([watchdog.is_hung(n_decodes, is_decoding=is_decoding, now_s=time) for time in times])


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
    assert not look_until(watchdog, 7199, since_s=0, n_decodes=5, is_decoding=False)
    assert watchdog.is_hung(5, is_decoding=False, now_s=7201)


def test_the_time_for_a_decode_begins_after_loading() -> None:
    watchdog = Watchdog(2)
    watchdog.begin(5, is_decoding=False, now_s=0)
    assert not look_until(watchdog, 1000, since_s=0, n_decodes=5, is_decoding=False)
    assert not watchdog.is_hung(5, is_decoding=True, now_s=1001)
    assert not watchdog.is_hung(5, is_decoding=True, now_s=1002.9)
    assert watchdog.is_hung(5, is_decoding=True, now_s=1003.1)


def test_zero_watches_nothing() -> None:
    watchdog = Watchdog(0)
    assert watchdog.look_every_s is None
    watchdog.begin(0, is_decoding=True, now_s=0)
    assert watchdog.limit_s == math.inf
    assert not watchdog.is_hung(0, is_decoding=True, now_s=1e9)


@pytest.mark.parametrize("sleep_s", [7.0, 3600.0, 1e6])
def test_time_in_which_this_process_stood_still_is_not_held_against_the_other(sleep_s: float) -> None:
    watchdog = Watchdog(30)
    watchdog.begin(0, is_decoding=True, now_s=0)
    assert not look_until(watchdog, 20, since_s=0)
    for number in range(1, 4):
        assert not watchdog.is_hung(0, is_decoding=True, now_s=20 + number * sleep_s)
    woken_s = 20 + 3 * sleep_s
    assert not look_until(watchdog, woken_s + 6, since_s=woken_s)
    assert look_until(watchdog, woken_s + 11, since_s=woken_s + 6)


def test_a_sleep_teaches_nothing_about_decodes() -> None:
    watchdog = Watchdog()
    watchdog.begin(0, is_decoding=True, now_s=0)
    assert not watchdog.is_hung(1, is_decoding=True, now_s=0.5)
    assert not watchdog.is_hung(2, is_decoding=True, now_s=50_000)
    assert watchdog.limit_s == 120


@pytest.mark.parametrize(("decode_s", "limit_s"), [(0.001, 120), (2, 120), (30, 1500)])
def test_what_is_allowed_follows_from_what_was_seen(decode_s: float, limit_s: float) -> None:
    watchdog = Watchdog()
    assert watchdog.limit_s == 1200
    watchdog.begin(0, is_decoding=True, now_s=0)
    for number in range(1, 11):
        for now_s in np.linspace((number - 1) * decode_s, number * decode_s, 20)[:-1]:
            assert not watchdog.is_hung(number - 1, is_decoding=True, now_s=now_s)
        assert not watchdog.is_hung(number, is_decoding=True, now_s=number * decode_s)
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
