from __future__ import annotations

import itertools
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamabench.arranging import MOST_NEIGHBOURS, GroupSize, Spool, arrange_draws, arrange_items, take_turns
from llamabench.records import Item
from llamabench.suites.base import MeanMetric

SIZES = st.dictionaries(st.sampled_from("abcdefgü"), st.integers(1, 40), max_size=7)
ITEMS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=120)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arrange(items: list[tuple[str, str]], seed: int = 0) -> list[range]:
    return arrange_draws([group for group, _ in items], [cluster for _, cluster in items], rng(seed))


# --- turns --------------------------------------------------------------------------------------


@given(SIZES)
def test_each_group_has_its_share_of_any_first_names(sizes: dict[str, int]) -> None:
    turns = list(take_turns(sizes))
    assert Counter(turns) == sizes
    total, so_far = len(turns), Counter[str]()
    for n_turns, group in enumerate(turns, 1):
        so_far[group] += 1
        for name, size in sizes.items():
            assert abs(so_far[name] * total - n_turns * size) < total, "within one"


def test_turns_do_not_depend_on_the_order_of_the_groups() -> None:
    sizes = {"b": 3, "a": 5, "c": 1}
    assert list(take_turns(sizes)) == list(take_turns(dict(sorted(sizes.items()))))


# --- draws --------------------------------------------------------------------------------------


@given(ITEMS, st.integers(0, 2**32))
def test_every_item_is_drawn_once_and_with_its_like(items: list[tuple[str, str]], seed: int) -> None:
    draws = arrange(items, seed)
    assert sorted(itertools.chain(*draws)) == list(range(len(items)))
    for draw in draws:
        assert 1 <= len(draw) <= MOST_NEIGHBOURS
        assert len({items[place] for place in draw}) == 1


@given(ITEMS, st.integers(0, 2**32))
def test_any_first_draws_are_a_fair_share_of_each_group(items: list[tuple[str, str]], seed: int) -> None:
    of_draws = [items[draw[0]][0] for draw in arrange(items, seed)]
    for n_draws in range(1, len(of_draws) + 1):
        so_far = Counter(of_draws[:n_draws])
        for group, size in Counter(of_draws).items():
            assert abs(so_far[group] - n_draws * size / len(of_draws)) < 1


@given(st.lists(st.sampled_from("abc"), max_size=90), st.integers(0, 2**32))
def test_where_nothing_is_shared_any_first_items_are_within_one_item(groups: list[str], seed: int) -> None:
    draws = arrange_draws(groups, list(map(str, range(len(groups)))), rng(seed))
    assert all(len(draw) == 1 for draw in draws)
    order = [groups[draw[0]] for draw in draws]
    for n_items in range(1, len(order) + 1):
        for group, size in Counter(groups).items():
            assert abs(order[:n_items].count(group) - n_items * size / len(groups)) < 1


@given(ITEMS, st.integers(0, 2**32))
def test_a_seed_gives_the_same_order_again(items: list[tuple[str, str]], seed: int) -> None:
    assert arrange(items, seed) == arrange(items, seed)


def test_another_seed_gives_another_order() -> None:
    items = [("a", str(number)) for number in range(50)]
    assert arrange(items, 0) != arrange(items, 1)


def test_every_item_of_a_group_is_as_likely_to_come_first() -> None:
    items = [("ab"[number % 2], str(number)) for number in range(20)]
    drawn = Counter(place for seed in range(2000) for draw in arrange(items, seed)[:6] for place in draw)
    # 600 expected, standard deviation 20
    assert set(drawn) == set(range(20))
    assert all(500 < n < 700 for n in drawn.values())


def test_neighbours_of_a_template_are_drawn_together_four_at_most() -> None:
    items = [("a", "1")] * 6 + [("a", "2")] + [("b", "2")] * 2 + [("a", "2")]
    assert sorted(map(tuple, arrange(items))) == [(0, 1, 2, 3), (4, 5), (6,), (7, 8), (9,)]


# --- what there is to draw ----------------------------------------------------------------------


def test_the_pool_counts_what_counts() -> None:
    facts = [{"counts": number % 2 == 0} for number in range(6)]
    places = [("a", "1"), ("a", "1"), ("a", "1"), ("b", "2"), ("b", "3"), ("c", "4")]
    items = [Item(str(n), *place, (), fact) for n, (place, fact) in enumerate(zip(places, facts, strict=True))]
    metrics = (MeanMetric("all", ("x",)), MeanMetric("some", ("x",), lambda facts: bool(facts["counts"])))
    arrangement = arrange_items(iter(items), metrics, rng())
    assert sorted(arrangement.order) == list(range(6))
    assert sorted(arrangement.sizes) == [1, 1, 1, 3]
    assert arrangement.pools["all"].groups == {"a": GroupSize(1, 3), "b": GroupSize(2, 2), "c": GroupSize(1, 1)}
    assert arrangement.pools["some"].groups == {"a": GroupSize(1, 2), "b": GroupSize(1, 1)}
    assert [pool.largest for pool in arrangement.pools.values()] == [3, 2]


def test_nothing_to_arrange() -> None:
    arrangement = arrange_items([], (MeanMetric("all", ("x",)),), rng())
    assert (arrangement.order, arrangement.sizes) == ((), ())
    assert arrangement.pools["all"].groups == {}


# --- a spool ------------------------------------------------------------------------------------


def test_spooled_items_come_back_in_any_order() -> None:
    items = [Item(str(number), "g", "c", (), {"\ud800": [number]}) for number in range(30)]
    spool = Spool(iter(items))
    assert len(spool) == 30
    assert [spool[place] for place in (29, 0, 7, 7)] == [items[place] for place in (29, 0, 7, 7)]
    assert list(spool) == items
    with pytest.raises(TypeError):
        pickle.dumps(spool)
