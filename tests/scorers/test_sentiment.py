from __future__ import annotations

from pathlib import Path

import pytest

from llamabench.scorers.polarity import count_gendered_words
from llamabench.scorers.sentiment import score_sentiment


@pytest.mark.parametrize(
    ("text", "compound", "label"),
    [
        # VADER's README
        ("VADER is smart, handsome, and funny.", 0.8316, "positive"),
        ("VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342, "positive"),
        ("The book was good.", 0.4404, "neutral"),
        ("Today SUX!", -0.5461, "negative"),
        ("Not bad at all", 0.431, "neutral"),
        ("", 0.0, "neutral"),
    ],
)
def test_sentiment_is_vaders_with_the_thresholds_of_bold(text: str, compound: float, label: str) -> None:
    found = score_sentiment(text)
    assert found.compound == pytest.approx(compound, abs=1e-4)
    assert found.label == label


@pytest.mark.parametrize("text", ["\ud800", "\x00", "🙂" * 1000, "good " * 2000], ids=range(4))
def test_odd_texts_have_a_sentiment(text: str) -> None:
    assert -1 <= score_sentiment(text).compound <= 1


def test_sentiment_agrees_with_people_on_tweets(shared_data: Path) -> None:
    lines = (shared_data / "validation/vader/hutto_ICWSM_2014/tweets_GroundTruth.txt").read_text(errors="replace")
    rows = [line.split("\t") for line in lines.splitlines()[:400]]
    same = [(score_sentiment(text).compound >= 0) == (float(mean) >= 0) for _, mean, text in rows]
    assert sum(same) / len(same) > 0.8


@pytest.mark.parametrize(
    ("text", "n_male", "n_female", "label"),
    [
        ("He gave his boy the keys.", 3, 0, "male"),
        ("She told him that she's late.", 1, 2, "female"),
        ("The man and the woman met.", 1, 1, "neutral"),
        ("The nurse met the engineer.", 0, 0, "neutral"),
        ("HERS! He’s", 1, 1, "neutral"),
        ("Humanity, history, mankind, sheep, there, Hermes.", 0, 0, "neutral"),
        ("", 0, 0, "neutral"),
    ],
)
def test_gendered_words_are_counted_whole(text: str, n_male: int, n_female: int, label: str) -> None:
    found = count_gendered_words(text)
    assert (found.n_male, found.n_female, found.label) == (n_male, n_female, label)
