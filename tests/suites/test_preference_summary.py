"""Several annotators, length, calibration and a reference model: tables by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from llamabench.records import ItemRow, Metric
from llamabench.suites import preference
from llamabench.suites.preference_summary import BETA

Found = dict[tuple[str | None, str], Metric]


def row(number: int, margin: float, **more: Any) -> ItemRow:
    """A scored pair of answers of the same length; votes and weight go to the facts, other numbers to the values."""
    facts = {name: more.pop(name) for name in ("votes", "weight") if name in more}
    values = {
        "agree_sum": float(margin > 0),
        "tie_sum": float(margin == 0),
        "agree_per_token": float(margin > 0),
        "tie_per_token": float(margin == 0),
        "chosen_tokens": 20.0,
        "rejected_tokens": 20.0,
        "length_gap_tokens": 0.0,
        "margin_sum": margin,
        **more,
    }
    return ItemRow("preference", str(number), "g", f"c{number}", "scored", facts, values, None, ())


def summarise(rows: list[ItemRow]) -> Found:
    metrics = preference.summarise(rows, np.random.default_rng(1))
    assert metrics == preference.summarise(rows[::-1], np.random.default_rng(1))
    return {(metric.group, metric.name): metric for metric in metrics}


def value(found: Found, name: str, group: str | None = None) -> float:
    number = found[group, name].value
    assert number is not None
    return number


# --- several annotators -------------------------------------------------------------------------

CHOSEN, REJECTED, TIE = "chosen", "rejected", "tie"


def test_people_are_agreed_with_one_by_one_and_as_a_majority() -> None:
    found = summarise(
        [
            row(1, 1.0, votes=[CHOSEN, CHOSEN, REJECTED]),  # with the majority: 2 of 3 people
            row(2, -1.0, votes=[CHOSEN, CHOSEN, TIE]),  # against it: 0 of 2 with a preference
            row(3, -1.0, votes=[CHOSEN, REJECTED, TIE]),  # people are even: 1 of 2
            row(4, 2.0, votes=[TIE, TIE, TIE]),  # nobody has a preference
            row(5, 0.0, votes=[CHOSEN, CHOSEN, CHOSEN]),  # the model has none: 0 of 3
        ]
    )
    assert (value(found, "agreement_sum"), found[None, "agreement_sum"].n) == (1 / 3, 3)
    assert value(found, "agreement_weighted") == pytest.approx((2 / 3 + 0 + 1 / 2 + 0) / 4)
    assert found[None, "agreement_weighted"].n == 4
    assert value(found, "people_even") == 2 / 5
    # agreed 1 of 5; people even on 2 of 5, the model on 1 of 5: by chance 0.6 * 0.8 / 2 + 0.4 * 0.2
    by_chance = 0.6 * 0.8 / 2 + 0.4 * 0.2
    assert value(found, "kappa") == pytest.approx((0.2 - by_chance) / (1 - by_chance))
    kappa = found[None, "kappa"]
    assert kappa.low is not None
    assert kappa.high is not None
    assert kappa.low <= value(found, "kappa") <= kappa.high


def test_weights_count() -> None:
    found = summarise([row(1, 1.0, weight=3.0), row(2, -1.0, weight=1.0), row(3, -1.0, weight=0.0)])
    assert value(found, "agreement_weighted") == 3 / 4
    assert value(found, "agreement_sum") == 1 / 3
    assert value(found, "kappa") == pytest.approx(-1 / 3)


def test_where_one_voice_is_all_there_is_nothing_to_weigh() -> None:
    found = summarise([row(1, 1.0, votes=[CHOSEN], weight=1.0), row(2, -1.0)])
    assert not {"agreement_weighted", "kappa", "people_even"} & {name for _, name in found}


def test_only_even_pairs_are_an_agreement_with_nobody() -> None:
    found = summarise([row(1, 1.0, votes=[TIE]), row(2, 0.0, votes=[TIE])])
    assert (found[None, "agreement_sum"].value, found[None, "agreement_sum"].n) == (None, 0)
    assert found[None, "agreement_weighted"].value is None
    assert value(found, "people_even") == 1
    # by chance: 0 for the first two verdicts, 1 * 0.5 for even; agreed on 1 of 2
    assert value(found, "kappa") == pytest.approx(0)


# --- length -------------------------------------------------------------------------------------


def test_the_shorter_answer() -> None:
    shorter = {"chosen_tokens": 10.0, "rejected_tokens": 20.0, "length_gap_tokens": -10.0}
    longer = {"chosen_tokens": 20.0, "rejected_tokens": 10.0, "length_gap_tokens": 10.0}
    found = summarise(
        [
            row(1, 1.0, **shorter),  # the shorter one is likelier, and preferred
            row(2, -1.0, **longer),  # the shorter one is likelier, not preferred
            row(3, 1.0, **longer),  # the longer one is likelier, and preferred
            row(4, 0.0, **longer),  # neither is likelier
            row(5, 1.0),  # as long
        ]
    )
    assert (value(found, "shorter_likelier"), found[None, "shorter_likelier"].n) == (2 / 4, 4)
    assert value(found, "shorter_preferred") == 1 / 4
    assert value(found, "agreement_sum", "chosen shorter") == 1
    assert value(found, "agreement_sum", "chosen longer") == 1 / 3


# --- calibration --------------------------------------------------------------------------------


def test_margins_are_predictions() -> None:
    """p = sigmoid(0.1 * margin): margins of 10 ln 3, -10 ln 3 and 0 say 3/4, 1/4 and 1/2 of what people chose."""
    far = math.log(3) / BETA
    found = summarise([row(1, far), row(2, -far), row(3, 0.0)])
    assert BETA == 0.1
    assert value(found, "log_loss") == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4) + math.log(1 / 2)) / 3)
    assert value(found, "brier") == pytest.approx((1 / 16 + 9 / 16 + 1 / 4) / 3)
    assert value(found, "calibration_error") == pytest.approx(abs(2 * 0.75 - 1) / 2)
    surest, no_choice = "confidence 0.7 to 0.8", "confidence 0.5 to 0.6"
    assert (value(found, "confirmed", surest), found[surest, "confirmed"].n) == (1 / 2, 2)
    assert value(found, "confidence", surest) == pytest.approx(0.75)
    assert (found[no_choice, "confirmed"].value, found[no_choice, "confirmed"].n) == (None, 0)
    assert found["confidence 0.9 to 1.0", "confirmed"].value is None


# --- a reference model --------------------------------------------------------------------------


def test_the_reward_is_the_margin_less_the_references() -> None:
    far = math.log(3) / BETA
    rows = [
        row(1, far, reference_margin_sum=0.0),  # reward 10 ln 3
        row(2, 5.0, reference_margin_sum=5.0 + far),  # -10 ln 3, though the model alone agrees
        row(3, -2.0, reference_margin_sum=-2.0),  # tie
        row(4, -7.0, reference_margin_sum=-7.0 - far),  # 10 ln 3, though the model alone disagrees
        row(5, 3.0),  # the reference model failed
    ]
    found = summarise(rows)
    assert value(found, "agreement_sum") == 3 / 5
    assert (value(found, "agreement_reward"), found[None, "agreement_reward"].n) == (2 / 4, 4)
    assert (found[None, "agreement_reward"].errored, found[None, "agreement_sum"].errored) == (1, 0)
    assert value(found, "ties_reward") == 1 / 4
    assert value(found, "agreement_reference") == 1 / 4
    losses = [-math.log(3 / 4), -math.log(1 / 4), -math.log(1 / 2), -math.log(3 / 4)]
    assert value(found, "log_loss_reward") == pytest.approx(sum(losses) / 4)
    assert value(found, "brier_reward") == pytest.approx((1 / 16 + 9 / 16 + 1 / 4 + 1 / 16) / 4)
    assert {name for _, name in found if "reference" in name or "reward" in name} == set(preference.REFERENCE_METRICS)


def test_without_a_reference_there_is_no_reward() -> None:
    found = summarise([row(1, 1.0), row(2, -1.0)])
    assert not {name for _, name in found} & set(preference.REFERENCE_METRICS)
