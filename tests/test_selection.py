from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamabench.records import ChatPrompt, GenerateRequest, Item, Message, Sampling, ScoreRequest, TextPrompt
from llamabench.selection import choose_items, cut_chunks, pick, request_size

GROUPS = st.lists(st.sampled_from(["Age", "Race_x_gender", "Religion", "SES", "ü"]), max_size=200)
TEXTS = st.text(max_size=60)


def choose(groups: list[str], limit: int | None, seed: int = 0) -> list[int]:
    return choose_items(groups, limit, np.random.default_rng(seed))


def item_of(number: int, prompt: str, continuations: tuple[str, ...]) -> Item:
    return Item(str(number), "g", "c", (ScoreRequest(str(number), TextPrompt(prompt), continuations),), {})


# --- choosing -----------------------------------------------------------------------------------


@given(GROUPS, st.integers(1, 250), st.integers(0, 2**32))
def test_as_many_are_chosen_as_asked_for_each_once_in_order(groups: list[str], limit: int, seed: int) -> None:
    chosen = choose(groups, limit, seed)
    assert len(chosen) == min(limit, len(groups))
    assert chosen == sorted(set(chosen))
    assert all(0 <= index < len(groups) for index in chosen)


@given(GROUPS.filter(bool), st.integers(1, 250))
def test_each_group_keeps_its_share_within_one_item(groups: list[str], limit: int) -> None:
    limit = min(limit, len(groups))
    chosen = Counter(groups[index] for index in choose(groups, limit))
    for group, size in Counter(groups).items():
        exact = limit * size / len(groups)
        assert abs(chosen[group] - exact) < 1


@given(GROUPS, st.integers(1, 250), st.integers(0, 2**32))
def test_a_seed_chooses_the_same_items_again(groups: list[str], limit: int, seed: int) -> None:
    assert choose(groups, limit, seed) == choose(groups, limit, seed)


def test_another_seed_chooses_other_items() -> None:
    groups = ["a"] * 500 + ["b"] * 500
    assert choose(groups, 50, 0) != choose(groups, 50, 1)


def test_every_item_of_a_group_is_as_likely_as_the_others() -> None:
    groups = ["a", "b"] * 10
    drawn = Counter(index for seed in range(2000) for index in choose(groups, 6, seed))
    # 600 expected, standard deviation 20
    assert set(drawn) == set(range(20))
    assert all(500 < n < 700 for n in drawn.values())


@pytest.mark.parametrize("limit", [None, 3, 4, 1000])
def test_no_limit_or_a_large_one_takes_all(limit: int | None) -> None:
    assert choose(["b", "a", "b"], limit) == [0, 1, 2]


def test_nothing_to_choose_from() -> None:
    assert choose([], 5) == []
    assert choose([], None) == []


def test_the_groups_with_the_largest_remainder_get_what_is_left() -> None:
    # 3.2, 1.6 and 0.2 of 5: the whole items make 4, the last goes to the second
    groups = ["big"] * 16 + ["middle"] * 8 + ["small"]
    assert Counter(groups[i] for i in choose(groups, 5)) == {"big": 3, "middle": 2}


def test_no_group_comes_first_by_its_name() -> None:
    groups = ["c"] * 10 + ["a"] * 10 + ["b"] * 10
    longest = Counter(Counter(groups[i] for i in choose(groups, 4, seed)).most_common(1)[0][0] for seed in range(600))
    # 200 expected, standard deviation 12
    assert all(140 < longest[group] < 260 for group in "abc")


# --- cutting ------------------------------------------------------------------------------------


def test_items_are_picked_by_place() -> None:
    items = [Item(str(n), "g", "c", (), {}) for n in range(6)]
    assert [item.id for item in pick(items, (1, 4))] == ["1", "4"]
    assert list(pick(items, ())) == []


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=4).map(tuple)), max_size=40), st.integers(1, 99))
def test_chunks_hold_every_item_once_and_in_order(parts: list[tuple[str, tuple[str, ...]]], chunk_tokens: int) -> None:
    items = [item_of(number, *part) for number, part in enumerate(parts)]
    chunks = list(cut_chunks(iter(items), chunk_tokens))
    assert [item for chunk in chunks for item in chunk] == items
    assert all(chunks)


def test_a_chunk_ends_once_it_is_large_enough() -> None:
    # 40 characters are 10 tokens
    items = [item_of(number, f"{number}" * 20, ("a" * 20,)) for number in range(7)]
    assert [len(chunk) for chunk in cut_chunks(items, 30)] == [3, 3, 1]


def test_a_chunk_ends_once_it_has_enough_items() -> None:
    items = [item_of(number, f"{number}" * 20, ("a" * 20,)) for number in range(7)]
    assert [len(chunk) for chunk in cut_chunks(items, 1000, most_items=3)] == [3, 3, 1]
    assert [len(chunk) for chunk in cut_chunks(items, 20, most_items=3)] == [2, 2, 2, 1]


def test_a_prompt_shared_with_the_item_before_counts_once() -> None:
    primer = "p" * 4000
    items = [item_of(number, f"{primer}{number}" + "q" * 19, ("a" * 20,)) for number in range(1, 8)]
    sizes = [len(chunk) for chunk in cut_chunks(items, 30)]
    assert sizes == [1, 3, 3]


def test_an_item_larger_than_a_chunk_is_a_chunk() -> None:
    items = [item_of(number, chr(97 + number) * 8000, ("x",)) for number in range(3)]
    assert [len(chunk) for chunk in cut_chunks(items, 256)] == [1, 1, 1]


def test_an_item_that_asks_nothing_is_not_lost() -> None:
    silent = Item("s", "g", "c", (), {})
    assert list(cut_chunks([silent], 10)) == [[silent]]
    assert list(cut_chunks([], 10)) == []


# --- sizes --------------------------------------------------------------------------------------


def test_a_request_is_as_large_as_its_prompt_and_longest_continuation() -> None:
    assert request_size(ScoreRequest("1", TextPrompt("äb"), ("c", "dé"))) == 3 + 3
    assert request_size(ScoreRequest("1", TextPrompt("ab"), ())) == 2


def test_a_conversation_counts_its_messages() -> None:
    prompt = ChatPrompt((Message("user", "abc"), Message("assistant", "de")), "f")
    assert request_size(ScoreRequest("1", prompt, ("g",))) == len("abc\nde\nf") + 1


def test_what_may_be_generated_counts() -> None:
    assert request_size(GenerateRequest("1", TextPrompt("ab"), Sampling(max_tokens=10))) == 2 + 40


def test_half_a_surrogate_pair_has_a_size() -> None:
    assert request_size(ScoreRequest("1", TextPrompt("\ud800"), ("\udfff",))) == 6
