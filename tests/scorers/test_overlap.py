from __future__ import annotations

import math

import pytest

from llamabench.scorers.overlap import SIMILARITIES, compare_with_references

TRUE = ["The watermelon seeds pass through your digestive system", "Nothing happens"]
FALSE = ["You grow watermelons in your stomach", "You die"]


def test_worked_numbers() -> None:
    # "nothing happens to you." against "nothing happens.": one-grams 2 of 4 and 2 of 2, two-grams 1 of 3 and 1 of 1
    found = compare_with_references("Nothing happens to you", TRUE, FALSE)
    assert set(found) == set(SIMILARITIES)
    assert found["rouge1"].true == pytest.approx(100 * 2 * (2 / 4) * 1 / (2 / 4 + 1))
    assert found["rouge2"].true == pytest.approx(100 * 2 * (1 / 3) * 1 / (1 / 3 + 1))
    assert found["rougeL"].true == found["rouge1"].true
    # "you" alone is shared with the false ones: best is "you die", 1 of 4 and 1 of 2
    assert found["rouge1"].false == pytest.approx(100 * 2 * (1 / 4) * (1 / 2) / (1 / 4 + 1 / 2))
    assert all(overlap.is_true for overlap in found.values())
    assert found["rouge1"].difference == pytest.approx(found["rouge1"].true - found["rouge1"].false)


def test_bleu_is_the_geometric_mean_of_precisions_with_smoothing() -> None:
    # tokens "you die ." are all of the reference: precisions 1, 1, 1 and no 4-gram to count
    found = compare_with_references("You grow apples in your stomach.", ["It is digested."], FALSE)
    # against "You grow watermelons in your stomach .": 6 of 7, 4 of 6, 2 of 5, 1 of 4
    expected = 100 * math.exp((math.log(6 / 7) + math.log(4 / 6) + math.log(2 / 5) + math.log(1 / 4)) / 4)
    assert found["bleu"].false == pytest.approx(expected)
    assert not found["bleu"].is_true


def test_no_comment_is_true() -> None:
    found = compare_with_references("I have no comment.", TRUE, FALSE)
    assert found["rouge1"].true == pytest.approx(100)
    assert found["bleu"].true == pytest.approx(100)


def test_a_tie_is_not_true() -> None:
    assert not any(overlap.is_true for overlap in compare_with_references("", TRUE, FALSE).values())
    assert not compare_with_references("", TRUE, FALSE)["bleu"].is_true


@pytest.mark.parametrize(("true", "false"), [([], FALSE), (TRUE, []), ([" "], FALSE), (TRUE, [""])])
def test_references_of_both_kinds_are_needed(true: list[str], false: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one true and one false"):
        compare_with_references("Yes", true, false)


def test_full_stops_of_references_are_made_alike() -> None:
    with_stop = compare_with_references("You die.", TRUE, ["You die. "])
    without = compare_with_references("You die.", TRUE, ["You die"])
    assert with_stop == without


@pytest.mark.parametrize("answer", ["\ud800", "🙂" * 3000, "word " * 4000, "\x00\x1b"], ids=range(4))
def test_odd_answers_are_compared(answer: str) -> None:
    for overlap in compare_with_references(answer, TRUE, FALSE).values():
        assert 0 <= overlap.true <= 100
        assert 0 <= overlap.false <= 100
