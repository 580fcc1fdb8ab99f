"""Verdicts on rows whose differences are known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stored_runs import question_rows

from llamabench.measures import Measure, average_groups, ratio
from llamabench.records import Difference, Exchange, ItemRow, SuiteComparison
from llamabench.results.compare import ADAPTIVE, PairedRows, compare_suite, give_verdicts
from llamabench.stats import mcnemar_p
from llamabench.suites import SUITES
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.pair import PAIR

MEASURES = SUITES["truthfulqa_mc"].MEASURES


def compare(first: list[ItemRow], second: list[ItemRow]) -> SuiteComparison:
    pairs = PairedRows("truthfulqa_mc", (first, second), MEASURES)
    (found,) = give_verdicts([compare_suite(pairs, ["mc1", "mc2"])])
    return found


def find(found: SuiteComparison, metric: str, group: str | None = None) -> Difference:
    (one,) = (one for one in found.differences if (one.metric, one.group) == (metric, group))
    return one


def test_a_better_run_has_improved() -> None:
    found = compare(question_rows(200, lambda n: n % 2 == 0), question_rows(200, lambda n: n % 4 != 3))
    one = find(found, "mc1")
    assert (one.first, one.second, one.difference) == (0.5, 0.75, 0.25)
    assert (one.verdict, one.test) == ("improved", "McNemar, exact")
    assert one.p == mcnemar_p(50, 0)
    assert one.flips is not None
    assert (one.flips.n_rose, one.flips.n_fell) == (50, 0)
    assert one.flips.rose[:2] == ("q-1", "q-5")
    assert (one.is_main, one.n_items, one.n_clusters) == (True, 200, 200)
    assert found.n_other_answers == 50


def test_attacks_that_are_made_for_each_model_may_differ() -> None:
    """Items 0 to 9 are such attacks, all others are asked alike; then all differ."""
    first, second = ([replace(row, facts={**row.facts}) for row in question_rows(40, lambda n: True)] for _ in "ab")
    for row in [*first[:10], *second[:10]]:
        row.facts["family"] = ADAPTIVE  # type: ignore[index]
    other = [replace(row, exchanges=(Exchange("other", row.exchanges[0].answers),)) for row in second]
    pairs = PairedRows("truthfulqa_mc", (first, [*other[:10], *second[10:]]), MEASURES)
    assert (pairs.n_paired, pairs.n_adapted, pairs.n_other_prompts) == (40, 10, 0)
    pairs = PairedRows("truthfulqa_mc", (first, other), MEASURES)
    assert (pairs.n_adapted, pairs.n_other_prompts, pairs.other_prompt) == (10, 30, "q-10")


def test_techniques_that_are_made_for_each_model_are_known_by_their_family() -> None:
    found = {technique.name for technique in [*TECHNIQUES.values(), PAIR] if technique.family == ADAPTIVE}
    assert found == {*(name for name, technique in TECHNIQUES.items() if technique.search), PAIR.name}


def test_a_worse_run_has_regressed_where_it_is_worse() -> None:
    """Group 1 loses all, the others nothing."""
    found = compare(question_rows(200, lambda n: True), question_rows(200, lambda n: n % 4 != 1))
    assert find(found, "mc1").verdict == find(found, "mc1", "Group 1").verdict == "regressed"
    for group in ("Group 0", "Group 2", "Group 3"):
        one = find(found, "mc1", group)
        assert (one.verdict, one.difference, one.p) == ("no evidence", 0, 1)


def test_flips_show_where_accuracies_are_equal() -> None:
    found = compare(question_rows(200, lambda n: n % 2 == 0), question_rows(200, lambda n: n % 2 == 1))
    one = find(found, "mc1")
    assert (one.difference, one.verdict) == (0, "no evidence")
    assert one.flips is not None
    assert (one.flips.n_rose, one.flips.n_fell) == (100, 100)
    assert found.n_other_answers == 200


def test_few_items_allow_nothing_to_be_said() -> None:
    found = compare(question_rows(8, lambda n: False, n_groups=1), question_rows(8, lambda n: True, n_groups=1))
    one = find(found, "mc1")
    assert (one.verdict, one.p, one.method) == ("too few items", None, "none: fewer than 10 clusters")
    assert one.difference == 1


def test_no_evidence_of_little_is_too_few() -> None:
    """With 20 items that change sides to and fro, a difference of a quarter would not be seen."""
    found = compare(question_rows(20, lambda n: n % 2 == 0), question_rows(20, lambda n: n % 2 == 1))
    one = find(found, "mc1")
    assert one.detectable is not None
    assert one.detectable > 0.25
    assert one.verdict == "too few items"


def test_many_scores_ask_for_more_evidence() -> None:
    """Six of six that fell are p = 0.03 alone, and nothing among forty."""
    first = question_rows(800, lambda n: True, n_groups=40)
    second = question_rows(800, lambda n: not (n % 40 == 3 and n < 240), n_groups=40)
    one = find(compare(first, second), "mc1", "Group 3")
    assert one.flips is not None
    assert one.flips.n_fell == 6
    assert one.p == pytest.approx(0.03125)
    assert one.adjusted_p == 1
    assert one.verdict != "regressed"


def test_items_are_paired_by_their_ids() -> None:
    first = question_rows(60, lambda n: n % 3 == 0)
    second = question_rows(60, lambda n: n % 3 == 0)[::-1]
    assert find(compare(first, second), "mc1").flips == find(compare(first, first), "mc1").flips
    found = compare(first[5:], second[2:])
    assert (found.n_paired, found.n_first_only, found.n_second_only) == (53, 2, 5)


def test_items_that_failed_once_do_not_count() -> None:
    first, second = question_rows(60, lambda n: True), question_rows(60, lambda n: True)
    second[7] = replace(second[7], outcome="errored", values={}, error="no", exchanges=())
    found = compare(first, second)
    assert (found.n_paired, find(found, "mc1").n_items, found.n_other_answers) == (60, 59, 0)


def test_other_words_are_noticed() -> None:
    rows = question_rows(40, lambda n: True)
    found = compare(rows, question_rows(40, lambda n: True, prompt="Question {}"))
    assert (found.n_other_prompts, found.other_prompt) == (40, "q-0")
    assert compare(rows, rows).n_other_prompts == 0


# --- other measures -----------------------------------------------------------------------------


def number_rows(values: np.ndarray, clusters: int) -> list[ItemRow]:
    return [
        ItemRow("s", str(n), f"g{n % 3}", f"g{n % 3}-{n % clusters}", "scored", {}, {"x": float(value)}, None, ())
        for n, value in enumerate(values)
    ]


def compare_numbers(measure: Measure, first: np.ndarray, second: np.ndarray) -> Difference:
    rows = (number_rows(first, 30), number_rows(second, 30))
    (found,) = give_verdicts([compare_suite(PairedRows("s", rows, [measure]), [measure.name])])
    return find(found, measure.name)


def count_x(row: ItemRow) -> tuple[float, float]:
    return 1.0, row.values["x"]


def test_less_is_better_where_it_is() -> None:
    first = np.random.default_rng(1).random(300)
    one = compare_numbers(Measure("toxicity", "lower", count_x), first, first - 0.1)
    assert (one.verdict, one.difference) == ("improved", pytest.approx(-0.1))
    assert one.n_clusters == 30
    assert compare_numbers(Measure("toxicity", "lower", count_x), first - 0.1, first).verdict == "regressed"


def test_neither_way_is_good_where_nobody_says_so() -> None:
    first = np.random.default_rng(1).random(300)
    assert compare_numbers(Measure("male", None, count_x), first, first - 0.1).verdict == "changed"


def test_a_bias_is_to_go_to_0() -> None:
    """From +0.3 to -0.1 is nearer by 0.2, and from -0.1 to +0.3 farther."""
    noise = np.random.default_rng(1).normal(0, 0.2, 300)
    noise -= noise.mean()
    measure = Measure("bias", "nearer 0", count_x, fold=average_groups)
    one = compare_numbers(measure, noise + 0.3, noise[::-1] - 0.1)
    assert (one.first, one.second) == (pytest.approx(0.3, abs=0.02), pytest.approx(-0.1, abs=0.02))
    assert one.difference == pytest.approx(-0.2, abs=0.03)
    assert one.verdict == "improved"
    assert compare_numbers(measure, noise - 0.1, noise[::-1] + 0.3).verdict == "regressed"
    assert compare_numbers(measure, noise - 0.3, noise[::-1] + 0.3).verdict != "regressed"


def test_what_is_not_defined_is_not_judged() -> None:
    measure = Measure("share", "higher", lambda row: (0.0, 0.0), combine=ratio)
    one = compare_numbers(measure, np.ones(60), np.ones(60))
    assert (one.first, one.difference, one.verdict) == (None, None, "too few items")


def test_the_same_rows_give_the_same_comparison() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random(300), rng.random(300)
    measure = Measure("x", "higher", count_x)
    assert compare_numbers(measure, first, second) == compare_numbers(measure, first, second)
