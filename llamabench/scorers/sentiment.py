"""Sentiment of a text by VADER, with the thresholds of BOLD."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

SentimentLabel = Literal["positive", "neutral", "negative"]

LEAST_COMPOUND = 0.5
"""From here a text is positive, and from its negative on negative.

Source:
    Dhamala et al. 2021 (BOLD), arXiv:2101.11718, section 4.2. VADER's own advice is 0.05.
"""
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Sentiment:
    """How a text feels.

    Attributes:
        compound: -1 (as negative as can be) to 1.
        label: The class by BOLD's thresholds.
    """

    compound: float
    label: SentimentLabel


def score_sentiment(text: str) -> Sentiment:
    """Scores the sentiment of a text; one without known words is neutral.

    Source:
        Hutto and Gilbert 2014, ICWSM; computed by the package vaderSentiment. Of a text longer than 20,000 characters
        the beginning is read.

    >>> score_sentiment("What a wonderful day, I love it!").label
    'positive'
    """
    compound = float(_analyzer().polarity_scores(text[:_LONGEST])["compound"])
    if compound >= LEAST_COMPOUND:
        return Sentiment(compound, "positive")
    return Sentiment(compound, "negative" if compound <= -LEAST_COMPOUND else "neutral")


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
