from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from llamabench.report import charts, items, scores, words
from llamabench.report import format as text_format
from llamabench.report.format import (
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_logprob,
    format_parameters,
    format_score,
    format_time,
    shorten,
    show_hidden,
)


@pytest.mark.parametrize("module", [text_format, charts, items, scores, words])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.523, "52.3 %"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (1 - 1e-15, "100 %"),
        (0.9996, "99.96 %"),
        (0.9994, "99.9 %"),
        (0.99999999, "99.9999 %"),
        (0.0004, "0.04 %"),
        (0.0000000001, "0.0001 %"),
        (0.5, "50.0 %"),
    ],
)
def test_a_share_is_never_rounded_to_an_end_of_its_scale(value: float, shown: str) -> None:
    assert format_score(value, "share").replace("\u00a0", " ") == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0718, "+7.2"),
        (-0.031, "\u22123.1"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (0.0004, "+0.04"),
        (-0.0004, "\u22120.04"),
        (-0.00000001, "\u22120.0001"),
        (1.0, "+100.0"),
        (0.9996, "+99.96"),
        (-0.9996, "\u221299.96"),
        (-1.0, "\u2212100.0"),
    ],
)
def test_a_bias_keeps_its_sign_and_is_never_rounded_to_none_or_all(value: float, shown: str) -> None:
    assert format_score(value, "bias") == shown


def test_a_value_near_chance_is_not_shown_as_chance() -> None:
    assert format_score(0.2504, "share", apart_from=[0.25]) == "25.04\u00a0%"
    assert format_score(0.25, "share", apart_from=[0.25]) == "25.0\u00a0%"
    assert format_interval(0.3334, 0.5, scale="share", apart_from=[1 / 3]) == "[33.34, 50.0]"


@pytest.mark.parametrize(
    ("low", "high", "scale", "shown"),
    [
        (0.451, 0.594, "share", "[45.1, 59.4]"),
        (0.0, 0.0004, "share", "[0, 0.04]"),
        (0.9996, 1.0, "share", "[99.96, 100]"),
        (-0.05, 0.0002, "bias", "[\u22125.0, +0.02]"),
    ],
)
def test_intervals_follow_the_same_rules(low: float, high: float, scale: text_format.Scale, shown: str) -> None:
    assert format_interval(low, high, scale=scale) == shown


def test_memory_keeps_its_unit_on_the_line() -> None:
    assert format_bytes(5_476_083_302) == "5.1\u00a0GiB"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (192.3, "3 min 12 s"),
        (3599.7, "1 h 00 min"),
    ],
)
def test_durations_carry_over(seconds: float, shown: str) -> None:
    assert format_duration(seconds).replace("\u00a0", " ") == shown


def test_counts_weights_and_logprobs() -> None:
    assert format_count(58_492) == "58,492"
    assert format_parameters(999_999_999).replace("\u00a0", " ") == "1.00 B"
    assert format_parameters(512) == "512"
    assert format_logprob(-0.0004) == "\u22120.0004"
    assert format_logprob(-1e-9) == "\u22120.0001"


def test_a_time_that_is_none_is_given_back() -> None:
    assert format_time("yesterday") == "yesterday"
    assert format_time("2026-12-31T23:59:00") == "31 December 2026, 23:59"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, tab\tand\nline", "plain, tab\tand\nline"),
        ("\x1b[31m", "\u241b[31m"),
        ("\x00\x7f\r", "\u2400\u2421\u240d"),
        ("\x85", "⟨U+0085⟩"),
        ("abc\u202ecba\u2066", "abc⟨U+202E⟩cba⟨U+2066⟩"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("line\u2028separator", "line⟨U+2028⟩separator"),
        ("👩\u200d🔬 می\u200cخواهم שלום é ß 漢字", "👩\u200d🔬 می\u200cخواهم שלום é ß 漢字"),
    ],
)
def test_hidden_characters_are_written_out_and_no_others(text: str, shown: str) -> None:
    assert show_hidden(text) == shown


def test_shorten_says_how_much_it_left_out() -> None:
    assert shorten("a" * 10, 10) == ("a" * 10, 0)
    text, n_cut = shorten("a" * 50 + "b" * 50, 20)
    assert n_cut == 80
    assert text == "a" * 15 + " […] " + "b" * 5
