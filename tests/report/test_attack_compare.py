"""Two red-team runs side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from red_team import TITLES, change_attack, make_results

from llamabench.errors import StoreError
from llamabench.records import RedTeamResults
from llamabench.report.attack_compare import compare_attacks, view_comparison
from llamabench.report.attack_document import attacks_document
from llamabench.report.attack_names import Names
from llamabench.report.attack_views import ReportOptions, build_attacks_view

NAMES = Names(TITLES)


def harmful_numbers(results: RedTeamResults, *, has_succeeded: bool) -> list[int]:
    return [
        number
        for number, attack in enumerate(results.attacks)
        if not attack.target.is_benign and attack.outcome and attack.has_succeeded is has_succeeded
    ]


def test_attacks_that_change_are_told_apart_by_their_direction() -> None:
    other = make_results(120)
    refused, answered = (harmful_numbers(other, has_succeeded=has)[0] for has in (False, True))
    mine = change_attack(other, refused, outcome="complied", severity=0.81)
    mine = change_attack(mine, answered, outcome="refused", severity=0.0)
    comparison = compare_attacks(mine, other, 0.7)
    assert [pair.mine.id for pair in comparison.changed(has_gained=True)] == [other.attacks[refused].id]
    assert [pair.mine.id for pair in comparison.changed(has_gained=False)] == [other.attacks[answered].id]
    view = view_comparison(comparison, NAMES)
    first, *_ = view.rows
    assert (first.label, first.gained, first.lost, first.difference) == ("Attacks that succeed", "1", "1", "0.0")
    assert (first.verdict, first.p) == ("no difference shown", "1.000")
    assert [part.title for part in view.lists] == ["Newly succeed (1)", "No longer succeed (1)"]
    (change,) = view.lists[0].changes
    assert change.after == "complied 0.810"


def test_a_run_beside_itself_differs_in_nothing() -> None:
    results = make_results(120)
    comparison = compare_attacks(results, results, 0.7)
    assert comparison.changed(has_gained=True) == comparison.changed(has_gained=False) == []
    for found in comparison.differences(NAMES):
        assert found.mine == found.other
        assert (found.low, found.high, found.is_shown) == (None, None, False)


def test_a_bolder_model_is_found_to_be_one() -> None:
    mine, other = make_results(500, boldness=1.5), make_results(500, seed=2, boldness=0.4)
    first, *_ = compare_attacks(mine, other, 0.7).differences(NAMES)
    assert first.mine > first.other
    assert first.is_shown
    assert first.low is not None
    assert first.high is not None
    assert first.low < first.mine - first.other < first.high
    assert first.gained - first.lost == round((first.mine - first.other) * first.n)


def test_many_small_tests_are_adjusted_for_their_number() -> None:
    found = compare_attacks(make_results(500, boldness=1.5), make_results(500, seed=2), 0.7).differences(NAMES)
    assert [row.label for row in found[:3]] == ["Attacks that succeed", "At or over 0.7", "Harmless twins refused"]
    assert ["Holm" in row.test for row in found] == [False] * 3 + [True] * (len(found) - 3)
    assert len(found) == 3 + 3 + 14


def test_a_difference_is_shown_only_where_interval_and_test_agree() -> None:
    (first, *_) = compare_attacks(make_results(120), make_results(120, seed=2), 0.7).differences(NAMES)
    assert replace(first, low=0.01, high=0.2, p=0.01).is_shown
    assert not replace(first, low=0.01, high=0.2, p=0.2).is_shown
    assert not replace(first, low=-0.01, high=0.2, p=0.01).is_shown
    assert not replace(first, low=0.01, high=0.2, p=None).is_shown


def test_only_the_same_attack_with_a_verdict_in_both_is_compared() -> None:
    mine = make_results(60)
    other = change_attack(mine, 0, outcome=None, status="errored", error="It died.")
    other = change_attack(other, 1, target=replace(mine.attacks[1].target, text="Something else."))
    other = change_attack(other, 2, technique="another")
    pairs = compare_attacks(mine, replace(other, attacks=other.attacks[:50]), 0.7).pairs
    compared = {pair.mine.id for pair in pairs}
    assert compared == {attack.id for attack in mine.attacks[3:50] if attack.outcome}


def test_what_differs_beside_the_model_is_told() -> None:
    mine = make_results(60)
    settings = {**mine.settings, "techniques": "direct, fiction", "max tokens": "99"}
    other = replace(mine, behaviours="advbench", seed=8, judge="A guard", scorers=("another",), settings=settings)
    told = " ".join(compare_attacks(mine, other, 0.7).warnings())
    for words in (
        "Editions of the behaviours differ: builtin here, advbench there.",
        "Seeds differ: 7 here, 8 there.",
        "Judges differ: none here, A guard there.",
        "Settings of techniques differ: all here only; direct, fiction there only.",
        "Settings of max tokens differ: none here, 99 there.",
    ):
        assert words in told
    assert "Scorers differ" in told


def warn_of(mine: dict[str, str], other: dict[str, str]) -> list[str]:
    made = make_results(20)
    return list(compare_attacks(replace(made, settings=mine), replace(made, settings=other), 0.7).warnings())


def test_of_long_lists_only_what_differs_is_told() -> None:
    names = [f"technique_{number}" for number in range(40)]
    assert warn_of({"techniques": ",".join(names)}, {"techniques": ",".join(names[1:])}) == [
        "Settings of techniques differ: technique_0 here only."
    ]
    assert warn_of({"techniques": "technique_39"}, {"techniques": ",".join(names)}) == [
        "Settings of techniques differ: technique_0, technique_1, technique_2, technique_3, technique_4 and 34 more "
        "there only."
    ]


def test_a_digest_of_the_attacks_says_nothing_and_is_not_told() -> None:
    assert warn_of({"attacks": "ab" * 32, "count": "5"}, {"attacks": "cd" * 32, "count": "6"}) == [
        "Settings of count differ: 5 here, 6 there."
    ]


def test_a_sentence_with_commas_is_no_list() -> None:
    (told,) = warn_of({"system_prompt": "Be brief, and kind."}, {"system_prompt": "Be " + "very " * 99 + "brief."})
    assert told.startswith("Settings of system_prompt differ: Be brief, and kind. here, Be very")
    assert len(told) < 200


def test_runs_without_a_common_attack_are_refused() -> None:
    mine = make_results(20)
    other = replace(mine, run_id="other", attacks=tuple(replace(attack, id=f"x{attack.id}") for attack in mine.attacks))
    with pytest.raises(StoreError, match=r"5c0ffee1 and other have no attack in common .* same behaviours, count"):
        build_attacks_view(mine, ReportOptions(0.7, TITLES, other=other))


def test_the_document_has_the_same_facts_and_no_text() -> None:
    mine, other = make_results(120), make_results(120, seed=2)
    options = ReportOptions(0.6, TITLES, other=other)
    document, view = attacks_document(mine, options), build_attacks_view(mine, options)
    success, severe, comparison = (document[name] for name in ("success", "severe", "comparison"))
    assert isinstance(success, dict)
    assert isinstance(severe, dict)
    assert isinstance(comparison, dict)
    assert f"{success['n_counted']} of {success['n']}" == view.success.count
    assert f"{severe['n_counted']} of {severe['n']}" == view.severe.count
    assert isinstance(document["attacks"], list)
    assert len(document["attacks"]) == severe["n_counted"]
    assert view.comparison is not None
    assert f"Newly succeed ({len(comparison['newly_succeed'])})" == view.comparison.lists[0].title  # type: ignore[arg-type]
    text = repr(document)
    assert "one would go about it" not in text
    assert "Tell me about" not in text
    assert attacks_document(mine, ReportOptions(0.6, TITLES))["comparison"] is None
