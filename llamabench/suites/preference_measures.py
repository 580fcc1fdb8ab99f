"""How the scores of preference pairs come of single pairs, so that two runs can be compared pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from llamabench.measures import Measure
from llamabench.records import ItemRow
from llamabench.stats import FloatArray
from llamabench.stats.calibration import brier_losses, kappa_in_both_orders, log_losses
from llamabench.suites.preference_summary import BETA, count_people, is_undecided, name_length_band

_Loss = Callable[[FloatArray], FloatArray]
_LOSSES: Mapping[str, _Loss] = {"log_loss": log_losses, "brier": brier_losses}


def _is_decided(row: ItemRow) -> bool:
    return row.outcome == "scored" and not is_undecided(row.facts)


def _count_matched(row: ItemRow) -> tuple[float, float] | None:
    """A pair of similar length, and whether the model agrees."""
    if not _is_decided(row) or name_length_band(row.values) != "similar length":
        return None
    return 1.0, row.values["agree_sum"]


def _count_shorter(row: ItemRow) -> tuple[float, float] | None:
    """A pair whose lengths differ, and whether the model finds the shorter answer the likelier."""
    band = name_length_band(row.values) if _is_decided(row) else "similar length"
    if band == "similar length":
        return None
    is_shorter = (row.values["agree_sum"] > 0) == (band == "chosen shorter")
    return 1.0, float(is_shorter and not row.values["tie_sum"])


def _count_voices(row: ItemRow) -> tuple[float, float] | None:
    """The weight of a pair, and that weight times the share of people with a preference who have the model's."""
    people = count_people(row) if row.outcome == "scored" else None
    return None if people is None or not people[0] else (float(people[0]), float(people[1]))


def _count_majority(row: ItemRow) -> FloatArray | None:
    """A pair, whether model and majority agree, and the ties of either."""
    return count_people(row)[2:] if row.outcome == "scored" else None


def _find_logit(row: ItemRow, *, has_reference: bool) -> float | None:
    """Log-odds of what people chose, None where there are none."""
    names = ("margin_sum", "reference_margin_sum") if has_reference else ("margin_sum",)
    if not _is_decided(row) or not all(name in row.values for name in names):
        return None
    margin = row.values["margin_sum"]
    return BETA * (margin - row.values["reference_margin_sum"] if has_reference else margin)


def _count_loss(loss: _Loss, has_reference: bool, row: ItemRow) -> tuple[float, float] | None:
    logit = _find_logit(row, has_reference=has_reference)
    return None if logit is None else (1.0, float(loss(np.array([logit]))[0]))


def _count_reward(holds: Callable[[float], bool], row: ItemRow) -> tuple[float, float] | None:
    reward = _find_logit(row, has_reference=True)
    return None if reward is None else (1.0, float(holds(reward)))


def _is_gain(reward: float) -> bool:
    return reward > 0


def _is_tie(reward: float) -> bool:
    return reward == 0


def _name_nothing(row: ItemRow) -> tuple[str, ...]:
    """The parts of measures that only the whole suite has."""
    return ()


PAIR_MEASURES: tuple[Measure, ...] = (
    Measure("agreement_length_matched", "higher", _count_matched),
    Measure("shorter_likelier", None, _count_shorter, parts=_name_nothing),
    Measure("agreement_weighted", "higher", _count_voices, parts=_name_nothing),
    Measure("kappa", "higher", _count_majority, combine=kappa_in_both_orders, parts=_name_nothing),
    Measure("agreement_reward", "higher", partial(_count_reward, _is_gain), parts=_name_nothing),
    Measure("ties_reward", None, partial(_count_reward, _is_tie), parts=_name_nothing),
    *(
        Measure(f"{name}{suffix}", "lower", partial(_count_loss, loss, bool(suffix)), parts=_name_nothing)
        for suffix in ("", "_reward")
        for name, loss in _LOSSES.items()
    ),
)
"""Measures beside those that are plain means over pairs."""
