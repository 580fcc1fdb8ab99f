"""The scores of preference pairs: agreement, ties, length, several annotators, calibration, a reference model."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from llamabench.records import ItemRow, Json, Metric
from llamabench.stats import FloatArray, Interval, bootstrap_mean_interval, cluster_bootstrap_interval
from llamabench.stats.calibration import (
    bin_confidence,
    brier_losses,
    calibration_error,
    kappa_in_both_orders,
    log_losses,
)
from llamabench.suites.base import Tally

BETA = 0.1
"""Scale of the margin in the probability of a preference, sigmoid(BETA * margin).

The default of huggingface/trl (DPOConfig) and in most of Rafailov et al. 2023, arXiv:2305.18290; it is not fitted.
"""

SIMILAR_LENGTH = 0.1
"""Two answers are of similar length when their token counts differ by less than this share of the longer one."""

BANDS = ("chosen shorter", "similar length", "chosen longer")


def name_length_band(values: Mapping[str, float]) -> str:
    """Says which answer of a scored pair is longer in tokens, with a tenth to spare."""
    longer = max(values["chosen_tokens"], values["rejected_tokens"])
    if abs(values["length_gap_tokens"]) < SIMILAR_LENGTH * longer:
        return "similar length"
    return "chosen longer" if values["length_gap_tokens"] > 0 else "chosen shorter"


# --- agreement ----------------------------------------------------------------------------------

_COUNTED = ("agree_sum", "agree_per_token", "tie_sum", "tie_per_token")


class AgreementCounts:
    """Counts of scored pairs that people have decided, by the part they belong to; None is the whole."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str | None, str]] = Counter()

    def add(self, part: str | None, values: Mapping[str, float]) -> None:
        """Counts a pair in."""
        counts, band = self._counts, name_length_band(values)
        counts[part, "n"] += 1
        for name in _COUNTED:
            counts[part, name] += int(values.get(name, 0))
        if band == "similar length":
            counts[part, "matched"] += 1
            counts[part, "agree_matched"] += int(values["agree_sum"])
            return
        is_chosen = values["agree_sum"] > 0
        counts[part, "unmatched"] += 1
        counts[part, "chosen_shorter"] += int(band == "chosen shorter")
        if not values["tie_sum"]:
            counts[part, "shorter_likelier"] += int(is_chosen == (band == "chosen shorter"))

    def metrics(self, part: str | None, tally: Tally) -> list[Metric]:
        """The metrics of a part."""

        def share(name: str, counted: str, of: str = "n") -> Metric:
            return tally.proportion(name, self._counts[part, counted], self._counts[part, of], part)

        found = [
            share("agreement_sum", "agree_sum"),
            share("agreement_per_token", "agree_per_token"),
            share("agreement_length_matched", "agree_matched", "matched"),
            share("ties_sum", "tie_sum"),
            share("ties_per_token", "tie_per_token"),
        ]
        if part is None:
            found.append(share("shorter_likelier", "shorter_likelier", "unmatched"))
            found.append(share("shorter_preferred", "chosen_shorter", "unmatched"))
        return found


# --- several annotators -------------------------------------------------------------------------


def count_votes(facts: Mapping[str, Json]) -> tuple[int, int, int]:
    """How many people preferred the chosen answer, the rejected one, and neither; one voice where none is stored."""
    votes = facts.get("votes")
    if not isinstance(votes, list):
        return 1, 0, 0
    return votes.count("chosen"), votes.count("rejected"), votes.count("tie")


def is_undecided(facts: Mapping[str, Json]) -> bool:
    """Whether people were even, so that there is nothing to agree with."""
    n_chosen, n_rejected, _ = count_votes(facts)
    return n_chosen == n_rejected


def count_people(row: ItemRow) -> FloatArray:
    """Counts a scored pair for the scores that people share; counts of pairs add up.

    Returns:
        Shape `(6,)`: the pair's weight, and that times the share of people with a preference who have the model's, both
        0 where nobody has one; then 1, and whether model and majority agree, the model is even, people are even.
    """
    n_chosen, n_rejected, _ = count_votes(row.facts)
    weight = row.facts.get("weight", 1.0)
    assert isinstance(weight, int | float)
    agrees, ties, is_even = row.values["agree_sum"], row.values["tie_sum"], n_chosen == n_rejected
    counts, n_voices = np.zeros(6), n_chosen + n_rejected
    if n_voices:
        n_agreeing = 0 if ties else n_chosen if agrees else n_rejected
        counts[:2] = weight, weight * n_agreeing / n_voices
    counts[2:] = 1, ties if is_even else agrees, ties, is_even
    return counts


class AnnotatorSums:
    """Sums over pairs and their annotators, by conversation."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, FloatArray] = defaultdict(lambda: np.zeros(6))
        self._is_needed = False
        self._n_even = 0
        self._n_voiced = 0

    def add(self, row: ItemRow) -> None:
        """Counts a scored pair in."""
        counted, is_even = count_people(row), is_undecided(row.facts)
        self._is_needed |= sum(count_votes(row.facts)) > 1 or is_even or row.facts.get("weight", 1.0) != 1.0
        self._n_even += is_even
        self._n_voiced += any(count_votes(row.facts)[:2])
        self._sums[row.cluster] += counted

    def metrics(self, tally: Tally, rng: np.random.Generator) -> list[Metric]:
        """Weighted agreement, kappa with the majority and the share of even pairs; nothing where one voice is all."""
        if not self._is_needed:
            return []
        sums = np.array([counts for _, counts in sorted(self._sums.items())])
        n = int(sums[:, 2].sum())
        return [
            _ratio_metric("agreement_weighted", sums[:, :2], self._n_voiced, tally=tally, rng=rng),
            _kappa_metric(sums[:, 2:], n, tally=tally, rng=rng),
            tally.proportion("people_even", self._n_even, n, None),
        ]


def _ratio_metric(name: str, sums: FloatArray, n: int, *, tally: Tally, rng: np.random.Generator) -> Metric:
    def ratio(totals: FloatArray) -> FloatArray:
        whole, part = totals.T
        share: FloatArray = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
        return share

    value = float(ratio(sums.sum(axis=0, keepdims=True))[0])
    interval = cluster_bootstrap_interval(sums, ratio, rng)
    return tally.metric(name, None if math.isnan(value) else value, n, interval, None)


def _kappa_metric(sums: FloatArray, n: int, *, tally: Tally, rng: np.random.Generator) -> Metric:
    value = float(kappa_in_both_orders(sums.sum(axis=0, keepdims=True))[0])
    interval = cluster_bootstrap_interval(sums, kappa_in_both_orders, rng)
    return tally.metric("kappa", None if math.isnan(value) else value, n, interval, None)


# --- calibration, and a reference model ---------------------------------------------------------


@dataclass(slots=True)
class Margins:
    """Margins of decided pairs in nats, of the model and, where there is one, of the reference model."""

    own: list[float] = field(default_factory=list)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    n_scored: int = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Takes a pair's margins, as far as they are known."""
        self.n_scored += 1
        if "margin_sum" in values:
            self.own.append(values["margin_sum"])
            if "reference_margin_sum" in values:
                self.pairs.append((values["margin_sum"], values["reference_margin_sum"]))

    def metrics(self, tally: Tally, rng: np.random.Generator) -> list[Metric]:
        """How far sigmoid(BETA * margin) can be believed, for the margin itself and for DPO's implicit reward."""
        own = calibrate(BETA * np.sort(np.array(self.own)), "", tally=tally, rng=rng)
        if not self.pairs:
            return own
        model, reference = np.array(sorted(self.pairs)).T
        rewards = np.sort(model - reference)
        n = len(rewards)
        found = [
            tally.proportion("agreement_reward", int((rewards > 0).sum()), n, None),
            tally.proportion("ties_reward", int((rewards == 0).sum()), n, None),
            tally.proportion("agreement_reference", int((reference > 0).sum()), n, None),
            *calibrate(BETA * rewards, "_reward", tally=tally, rng=rng),
        ]
        n_lost = self.n_scored - n
        return own + [replace(metric, errored=metric.errored + n_lost) for metric in found]


def calibrate(logits: FloatArray, suffix: str, *, tally: Tally, rng: np.random.Generator) -> list[Metric]:
    """Losses and reliability of predicted preferences; nothing where there are none.

    Args:
        logits: Log-odds of what people chose, ascending.
        suffix: What the metrics' names end with.
        tally: Counts of what has no score.
        rng: Source of the resamples.

    Returns:
        `log_loss`, `brier` and `calibration_error` of the whole; then `confidence` and `confirmed` by confidence.
    """
    if not logits.size:
        return []
    found = []
    for name, losses in (("log_loss", log_losses(logits)), ("brier", brier_losses(logits))):
        mean = math.fsum(losses) / losses.size
        found.append(tally.metric(f"{name}{suffix}", mean, losses.size, bootstrap_mean_interval(losses, rng), None))
    bins = bin_confidence(logits)
    none = Interval(None, None, f"none: over {len(bins)} bins, and biased upwards where there are few pairs")
    n_chosen = sum(one.n for one in bins)
    found.append(tally.metric(f"calibration_error{suffix}", calibration_error(bins), n_chosen, none, None))
    for one in bins:
        group = f"confidence {one.low:.1f} to {one.high:.1f}"
        mean_of = Interval(None, None, "none: the mean of what was predicted")
        found.append(tally.metric(f"confidence{suffix}", one.confidence, one.n, mean_of, group))
        found.append(tally.proportion(f"confirmed{suffix}", one.n_right, one.n, group))
    return found


def split_whole(metrics: Sequence[Metric]) -> tuple[list[Metric], list[Metric]]:
    """Parts metrics of the whole from those of groups."""
    return [one for one in metrics if one.group is None], [one for one in metrics if one.group is not None]
