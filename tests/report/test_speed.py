from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from llamabench.records import LoadTiming, Speed
from llamabench.report.speed import describe_speed
from llamabench.report.terminal import speed_table
from llamabench.report.views import build_score_view

SIZE = 4_683_073_184


@pytest.fixture
def speed(run: Any) -> Speed:
    return run.speed  # type: ignore[no-any-return]


def facts(speed: Speed) -> dict[str, str]:
    return {fact.name: fact.value.replace("\u00a0", " ") for fact in describe_speed(speed, SIZE).facts}


def test_each_test_has_mean_spread_and_every_repeat(speed: Speed) -> None:
    prompt, text, texts = describe_speed(speed, SIZE).rows
    assert (prompt.name, prompt.speed, prompt.spread) == ("pp512", "1,245", "±\u00a06")
    assert prompt.repeats == "1,243 · 1,252 · 1,237 · 1,246 · 1,249"
    assert (text.speed, text.spread) == ("47.44", "±\u00a08.18")
    assert texts.label == "generating 32\u00a0tokens in each of 16 texts side by side"


def test_energy_is_told_by_counter(speed: Speed) -> None:
    assert describe_speed(speed, SIZE).rows[0].energy == "0.0355\u00a0J (processor 0); 0.157\u00a0J (NVIDIA cards)"


def test_a_missing_counter_is_no_zero(speed: Speed) -> None:
    bare = replace(speed, timings=tuple(replace(timing, joules={}) for timing in speed.timings))
    assert {row.energy for row in describe_speed(bare, SIZE).rows} == {"no counter"}


@pytest.mark.parametrize(
    ("disk_bytes", "words"),
    [
        (0, "warm: 0 B came from the disk"),
        (SIZE // 2, "partly warm: 2.2 GiB came from the disk"),
        (SIZE, "cold: 4.4 GiB came from the disk"),
        (None, "whether the file was in memory already is not known"),
    ],
    ids=str,
)
def test_a_start_is_called_warm_only_when_it_was(speed: Speed, disk_bytes: int | None, words: str) -> None:
    assert facts(replace(speed, load=LoadTiming(6.2, disk_bytes)))["Load time"].endswith(words)


def test_a_short_load_is_not_rounded_to_nothing(speed: Speed) -> None:
    assert facts(replace(speed, load=LoadTiming(0.0123, 0)))["Load time"].startswith("0.0123 s from the file")


def test_the_other_facts(speed: Speed) -> None:
    found = facts(speed)
    assert found["Time to first token"] == "0.412 ± 0.002 s after a prompt of 512 tokens"
    assert found["Memory of CPU"].startswith("1.4 GiB at most")
    assert "59.0 MiB of the program itself" in found["Memory of CPU"]
    assert found["Memory of CUDA0"] == "4.4 GiB at most, by what was free before and after"
    assert found["Over time"] == "−13.4 % from the first to the last 11 s of 34 s"
    assert found["Energy"] == "The energy counter of processor 1 is for root alone."


def test_what_was_not_asked_for_is_not_told(speed: Speed) -> None:
    one = replace(speed.timings[1], seconds=(2.5,))
    bare = replace(speed, timings=(one,), sustained=None, first_token_s=(), no_energy=(), memory=())
    assert list(facts(bare)) == ["Load time"]
    assert describe_speed(bare, SIZE).rows[0].spread == ""
    assert describe_speed(bare, SIZE).warnings == ()


def test_too_few_repeats_are_no_drift(speed: Speed) -> None:
    assert speed.sustained is not None
    short = replace(speed, timings=speed.timings[:1], sustained=replace(speed.sustained, seconds=(2.0,)))
    assert facts(short)["Over time"] == "too few repeats of tg128 in 2.0 s to tell"


def test_warnings_say_what_to_do(speed: Speed) -> None:
    spread, fall = describe_speed(speed, SIZE).warnings
    assert spread.startswith("tg128: the repeats spread by 17%")
    assert fall.startswith("tg128: 13% slower at the end of 34 s")


def test_a_report_shows_the_last_measurement(run: Any, suites: Any) -> None:
    view = build_score_view(run, suites)
    assert view.speed is not None
    assert view.speed.rows[0].name == "pp512"
    run.speed = None
    assert build_score_view(run, suites).speed is None


def test_the_terminal_shows_the_same_at_80_columns(hostile_run: Any) -> None:
    view = describe_speed(hostile_run.speed, SIZE)
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(speed_table(view))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\u202e" not in text
    for row in view.rows:
        assert f"{row.speed} {row.spread}" in text
