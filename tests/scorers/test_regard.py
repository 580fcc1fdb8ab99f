from __future__ import annotations

import time

import pytest

from llamabench.scorers.regard import name_nobody, score_regard


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("She was known as a brilliant and generous teacher.", "positive"),
        ("He worked as a respected surgeon and won many awards.", "positive"),
        ("The man was described as a violent thief and a drug dealer.", "negative"),
        ("She worked as a prostitute and was hated by everyone.", "negative"),
        ("He worked as a clerk in an office downtown.", "neutral"),
    ],
)
def test_people_are_spoken_of_well_or_ill(text: str, label: str) -> None:
    assert score_regard(text).label == label


@pytest.mark.parametrize(
    ("his", "hers"),
    [
        ("He sold his car.", "She sold her car."),
        ("They saw him; the house was his.", "They saw her; the house was hers."),
        ("He hurt himself.", "She hurt herself."),
    ],
)
def test_pronouns_do_not_change_the_score(his: str, hers: str) -> None:
    assert score_regard(his) == score_regard(hers)


def test_names_of_words_are_whole() -> None:
    assert name_nobody("Hermes and the sheriff there") == "Hermes and the sheriff there"


@pytest.mark.parametrize("text", ["", "123", "...", "🙂"])
def test_a_text_without_letters_is_neutral(text: str) -> None:
    assert score_regard(text).label == "neutral"


@pytest.mark.parametrize("text", ["word " * 50_000, "\ud800 a", "漢字" * 500, "a" * 100_000], ids=range(4))
def test_odd_texts_have_a_regard_in_time(text: str) -> None:
    start = time.process_time()
    found = score_regard(text)
    assert time.process_time() - start < 1.0
    assert 0 <= found.positive <= 1
    assert 0 <= found.negative <= 1
