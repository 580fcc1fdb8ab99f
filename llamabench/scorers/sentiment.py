"""Sentiment of a text by VADER, with the thresholds of BOLD."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from llamabench.records import ScorerFacts

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

SentimentLabel = Literal["positive", "neutral", "negative"]

LEAST_COMPOUND = 0.5
"""From here a text is positive, and from its negative on negative.

Source:
    Dhamala et al. 2021 (BOLD), arXiv:2101.11718, section 4.2. VADER's own advice is 0.05.
"""
AGREEMENT = (
    "VADER, with BOLD's thresholds: ranks tweets as people do with a Spearman correlation of 0.84, and tells good film "
    "reviews from bad ones with an AUC of 0.76."
)
"""What `benchmarks/scorers/measure.py` found."""

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
def describe_scorer() -> ScorerFacts:
    """The scorer as signatures and reports name it; the digest is that of VADER's words."""
    words = resources.files("vaderSentiment").joinpath("vader_lexicon.txt").read_bytes()
    return ScorerFacts("sentiment", hashlib.sha256(words).hexdigest(), AGREEMENT)


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
