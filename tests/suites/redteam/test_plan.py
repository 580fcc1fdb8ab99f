"""The list of attacks is balanced, reproducible, and has harmless twins on top."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamabench.data.cache import find_dataset
from llamabench.errors import DataError, UnknownNameError
from llamabench.records import Attack
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.plan import LIGHT_TECHNIQUES, N_TWINS, balance, plan_attacks, spell_attacks

TARGETS = list(read_targets(find_dataset(("redteam",))))
ALL = list(TECHNIQUES.values())
SOME = [TECHNIQUES[name] for name in ("direct", "prefill", "base64", "crescendo", "best_of_n")]
ONE = [TECHNIQUES["prefill"]]
COUNTS = (1, 7, 60, 500, 1000)


def harmful(attacks: Iterable[Attack]) -> list[Attack]:
    return [attack for attack in attacks if not attack.target.is_benign]


def twins(attacks: Iterable[Attack]) -> list[Attack]:
    return [attack for attack in attacks if attack.target.is_benign]


def spread(attacks: Sequence[Attack], key: Callable[[Attack], Hashable], n_kinds: int) -> int:
    """By how much the numbers of attacks of any two kinds differ at most."""
    counts = Counter(map(key, attacks))
    least = min(counts.values()) if len(counts) == n_kinds else 0
    return max(counts.values()) - least


def check_balance(attacks: Sequence[Attack], n_techniques: int, n_categories: int) -> None:
    assert spread(attacks, lambda attack: attack.target.category, n_categories) <= 1
    assert spread(attacks, lambda attack: attack.technique, n_techniques) <= 1
    pairs = n_techniques * n_categories
    assert spread(attacks, lambda attack: (attack.technique, attack.target.category), pairs) <= 1


# --- balance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("techniques", [ALL, SOME, ONE], ids=["all", "some", "one"])
def test_attacks_are_balanced(count: int, techniques: list) -> None:
    attacks = plan_attacks(TARGETS, count=count, techniques=techniques, seed=3)
    assert len(harmful(attacks)) == count
    assert len({attack.id for attack in attacks}) == len(attacks)
    check_balance(harmful(attacks), len(techniques), 3)
    for category in ("jailbreak", "social_engineering", "harmful_content"):
        own = [attack for attack in harmful(attacks) if attack.target.category == category]
        n_targets = sum(target.category == category and not target.is_benign for target in TARGETS)
        if own:
            assert spread(own, lambda attack: attack.target.id, n_targets) <= 1


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 300))
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_a_walk_is_balanced_wherever_it_ends(n_rows: int, n_columns: int, count: int) -> None:
    cells = list(balance(n_rows, n_columns, count))
    assert len(cells) == count
    rows, columns = Counter(row for row, _ in cells), Counter(column for _, column in cells)
    for counts, n in ((rows, n_rows), (columns, n_columns), (Counter(cells), n_rows * n_columns)):
        seen = list(counts.values()) + [0] * (n - len(counts))
        assert max(seen) - min(seen) <= 1


def test_the_beginning_of_a_list_is_balanced_too() -> None:
    attacks = harmful(plan_attacks(TARGETS, count=500, techniques=ALL))
    for length in (1, 10, 50, 129, 250):
        check_balance(attacks[:length], len(ALL), 3)


@pytest.mark.parametrize(
    ("techniques", "count", "most"), [(ALL, 1000, 1), (SOME, 900, 1), (SOME, 901, 2), (SOME, 1800, 2)]
)
def test_no_target_meets_a_technique_twice_while_others_have_not(techniques: list, count: int, most: int) -> None:
    attacks = harmful(plan_attacks(TARGETS, count=count, techniques=techniques))
    met = Counter((attack.target.id, attack.technique) for attack in attacks)
    assert max(met.values()) == most


@pytest.mark.parametrize("categories", [("jailbreak",), ("harmful_content", "jailbreak")])
def test_categories_can_be_chosen(categories: tuple[str, ...]) -> None:
    attacks = plan_attacks(TARGETS, count=61, techniques=SOME, categories=categories)
    assert {attack.target.category for attack in attacks} == set(categories)
    check_balance(harmful(attacks), len(SOME), len(categories))


# --- the same again -----------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_bytes() -> None:
    first = spell_attacks(plan_attacks(TARGETS, count=500, techniques=ALL, seed=11))
    assert spell_attacks(plan_attacks(TARGETS, count=500, techniques=ALL, seed=11)) == first
    assert spell_attacks(plan_attacks(TARGETS, count=500, techniques=ALL, seed=12)) != first
    rows = [json.loads(line) for line in first.decode("ascii").splitlines()]
    assert len(rows) == 500 + N_TWINS
    assert rows[0]["target"]["text"] in {target.text for target in TARGETS}


def test_the_order_of_what_is_given_does_not_matter() -> None:
    mixed, names = list(TARGETS), list(TECHNIQUES)
    random.Random(1).shuffle(mixed)
    random.Random(2).shuffle(names)
    again = plan_attacks(mixed, count=200, techniques=[TECHNIQUES[name] for name in names], seed=5)
    assert spell_attacks(again) == spell_attacks(plan_attacks(TARGETS, count=200, techniques=ALL, seed=5))


def test_another_process_makes_the_same_bytes() -> None:
    script = (
        "import hashlib\n"
        "from llamabench.data.cache import find_dataset\n"
        "from llamabench.suites.redteam.behaviours import read_targets\n"
        "from llamabench.suites.redteam.mutators import TECHNIQUES\n"
        "from llamabench.suites.redteam.plan import plan_attacks, spell_attacks\n"
        "found = read_targets(find_dataset(('redteam',)))\n"
        "attacks = plan_attacks(found, count=90, techniques=list(TECHNIQUES.values()), seed=4)\n"
        "print(hashlib.sha256(spell_attacks(attacks)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "123")
    }
    assert len(digests) == 1


def test_a_longer_list_asks_in_the_same_words() -> None:
    short = {attack.id: attack for attack in plan_attacks(TARGETS, count=300, techniques=ALL, seed=2)}
    long = {attack.id: attack for attack in plan_attacks(TARGETS, count=900, techniques=ALL, seed=2)}
    shared = set(short) & set(long)
    assert len(shared) > 200
    assert all(short[name] == long[name] for name in shared)


# --- twins --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_sixty_different_twins_come_on_top(count: int) -> None:
    found = twins(plan_attacks(TARGETS, count=count, techniques=ALL))
    assert len(found) == len({attack.target.id for attack in found}) == N_TWINS
    check_balance(found, len(LIGHT_TECHNIQUES), 3)
    assert {attack.technique for attack in found} == set(LIGHT_TECHNIQUES)


def test_twins_are_asked_plainly_where_no_light_technique_is_wanted() -> None:
    assert {attack.technique for attack in twins(plan_attacks(TARGETS, count=9, techniques=ONE))} == {"direct"}


def test_where_there_are_few_twins_each_is_asked_by_each_light_technique() -> None:
    few = [target for target in TARGETS if not target.is_benign or target.id in ("rt-002", "rt-004")]
    found = twins(plan_attacks(few, count=9, techniques=ALL))
    assert len({(attack.target.id, attack.technique) for attack in found}) == len(found) == 2 * len(LIGHT_TECHNIQUES)
    assert twins(plan_attacks(harmful_targets(), count=9, techniques=ALL)) == []


def harmful_targets() -> list:
    return [target for target in TARGETS if not target.is_benign]


# --- faults -------------------------------------------------------------------------------------


def test_unknown_categories_are_named_with_a_near_match() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean jailbreak"):
        plan_attacks(TARGETS, count=3, techniques=SOME, categories=["jailbreaks"])


def test_a_category_without_targets_is_an_error() -> None:
    only = [target for target in TARGETS if target.category == "jailbreak"]
    with pytest.raises(DataError, match="nothing of the category harmful_content, only of jailbreak"):
        plan_attacks(only, count=3, techniques=SOME, categories=["jailbreak", "harmful_content"])


def test_nothing_to_attack_or_to_attack_with_is_an_error() -> None:
    with pytest.raises(DataError, match="no behaviours"):
        plan_attacks([], count=3, techniques=SOME)
    for count, techniques in ((0, SOME), (3, [])):
        with pytest.raises(DataError, match="at least one of each"):
            plan_attacks(TARGETS, count=count, techniques=techniques)


def test_a_single_target_is_attacked_again_and_again() -> None:
    attacks = plan_attacks([replace(TARGETS[0], id="x")], count=12, techniques=SOME)
    assert spread(attacks, lambda attack: attack.technique, len(SOME)) <= 1
    assert len({attack.id for attack in attacks}) == 12
