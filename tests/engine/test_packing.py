"""Packs let every token see exactly its own past, read every score once, and never pass a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llamabench.engine.packing import (
    MIN_SHARED_PREFIX,
    Pack,
    PackLimits,
    TokenSequence,
    common_prefix,
    count_trie_tokens,
    pack_sequences,
)

ROOMY = PackLimits(n_tokens=10_000, n_sequences=1_000, n_outputs=10_000)
PRIMER = tuple(range(100, 100 + MIN_SHARED_PREFIX + 4))


@dataclass
class Cell:
    token: int
    position: int
    ids: set[int]


class Cache:
    """llama.cpp's unified cache, as far as packing relies on it."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    def history(self, id: int, before: int | None = None) -> tuple[int, ...]:
        """The tokens of a sequence before a position; fails where one is missing or stands twice."""
        cells = [c for c in self.cells if id in c.ids and (before is None or c.position < before)]
        cells.sort(key=lambda cell: cell.position)
        assert [cell.position for cell in cells] == list(range(len(cells) if before is None else before))
        return tuple(cell.token for cell in cells)

    def copy(self, source: int, target: int, length: int) -> None:
        for cell in self.cells:
            if source in cell.ids and cell.position < length:
                cell.ids.add(target)

    def forget(self, id: int, start: int = 0) -> None:
        for cell in self.cells:
            if cell.position >= start:
                cell.ids.discard(id)
        self._drop_free()

    def keep_only(self, id: int) -> None:
        for cell in self.cells:
            cell.ids &= {id}
        self._drop_free()

    def _drop_free(self) -> None:
        self.cells = [cell for cell in self.cells if cell.ids]

    def decode(self, pack: Pack) -> list[tuple[int, ...]]:
        """Adds the tokens of a pack; what each of them stands for, itself included."""
        # a cell of one sequence alone may be overwritten once it lies outside a sliding window
        assert all(len(cell.ids) > 1 for cell in self.cells)
        for token, position, ids in zip(pack.tokens, pack.positions, pack.sequences, strict=True):
            assert len(ids) == len(set(ids)) > 0
            self.cells.append(Cell(token, position, set(ids)))
        paths = []
        for position, ids in zip(pack.positions, pack.sequences, strict=True):
            seen = {self.history(id, position + 1) for id in ids}
            assert len(seen) == 1, "a token belongs to sequences with different pasts"
            paths.append(seen.pop())
        return paths


def check_limits(pack: Pack, limits: PackLimits) -> None:
    assert 0 < len(pack.tokens) <= limits.n_tokens
    assert len(pack.outputs) <= limits.n_outputs
    assert pack.outputs == sorted(set(pack.outputs))
    used = {id for ids in pack.sequences for id in ids} | {id for id, _ in pack.loans}
    assert used <= set(range(limits.n_sequences + 1))
    assert all(id != 0 and length > 0 for id, length in pack.loans)
    assert max(Counter(id for id, _ in pack.loans).values(), default=0) <= 1


def run_packs(sequences: Sequence[TokenSequence], limits: PackLimits, *, is_prefix_held: bool = False) -> list[Pack]:
    """Decodes the packs in a simulated cache and checks all that must hold; the packs."""
    cache = Cache()
    prefix = common_prefix(sequences)
    if is_prefix_held:
        cache.cells = [Cell(token, position, {0}) for position, token in enumerate(prefix)]
    n_reads: Counter[tuple[int, int]] = Counter()
    packs = list(pack_sequences(sequences, limits, is_prefix_held=is_prefix_held))
    for pack in packs:
        check_limits(pack, limits)
        for id, length in pack.loans:
            cache.copy(0, id, length)
        paths = cache.decode(pack)
        assert {read.row for read in pack.reads} == set(range(len(pack.outputs)))
        for row, number, offset, token in pack.reads:
            wanted = sequences[number]
            n_past = wanted.n_context + offset
            assert paths[pack.outputs[row]] == wanted.tokens[:n_past]
            assert token == wanted.tokens[n_past]
            n_reads[number, offset] += 1
        if pack.path_source != 0:
            cache.forget(0)
            cache.copy(pack.path_source, 0, pack.path_length)
        cache.keep_only(0)
        assert all(cell.ids == {0} for cell in cache.cells)
        assert len(cache.history(0)) == pack.path_length
    assert n_reads == {(n, k): 1 for n, s in enumerate(sequences) for k in range(len(s.tokens) - s.n_context)}
    assert cache.history(0) == prefix
    return packs


def sequence(text: str, n_context: int, *, primer: tuple[int, ...] = ()) -> TokenSequence:
    """A sequence spelled in letters, a token each, after a primer."""
    return TokenSequence(primer + tuple(map(ord, text)), len(primer) + n_context)


tokens_strategy = st.lists(st.integers(0, 2), max_size=12).map(tuple)


@st.composite
def trees(draw: st.DrawFn) -> list[TokenSequence]:
    """Sequences that share much: each is a cut of an earlier one, or of the primer, with something new behind it."""
    start = draw(st.sampled_from([(7,), PRIMER]))
    stems = [start]
    found = []
    for _ in range(draw(st.integers(1, 9))):
        stem = draw(st.sampled_from(stems))
        tokens = stem[: draw(st.integers(len(start), len(stem)))] + draw(tokens_strategy)
        stems.append(tokens)
        if len(tokens) >= 2:
            n_scored = draw(st.integers(1, len(tokens) - 1) | st.just(1))
            found.append(TokenSequence(tokens, len(tokens) - n_scored))
    return found


limits_strategy = st.builds(
    PackLimits, n_tokens=st.integers(1, 40), n_sequences=st.integers(1, 6), n_outputs=st.integers(1, 12)
)
TIGHT = PackLimits(n_tokens=1, n_sequences=1, n_outputs=1)
MIXED = [
    sequence("abcdef", 3, primer=PRIMER),
    sequence("abcdef", 3, primer=PRIMER),
    sequence("abc", 2, primer=PRIMER),
    sequence("abcdefgh", 1, primer=PRIMER),
    sequence("abx", 2, primer=PRIMER),
    sequence("b", 0, primer=PRIMER),
]


@given(trees(), limits_strategy)
@example(MIXED, TIGHT)
@example(MIXED, PackLimits(n_tokens=7, n_sequences=2, n_outputs=3))
@example(MIXED, ROOMY)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_every_token_sees_its_own_past(sequences: list[TokenSequence], limits: PackLimits) -> None:
    fresh = run_packs(sequences, limits)
    held = run_packs(sequences, limits, is_prefix_held=True)
    n_prefix_packs = -(-len(common_prefix(sequences)) // limits.n_tokens)
    assert held == fresh[n_prefix_packs:]


@given(trees())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_shared_tokens_are_decoded_once(sequences: list[TokenSequence]) -> None:
    prefixes = {s.decoded[:end] for s in sequences for end in range(1, len(s.tokens))}
    assert count_trie_tokens(sequences) == len(prefixes)
    packs = run_packs(sequences, ROOMY)
    assert sum(len(pack.tokens) for pack in packs) == len(prefixes)
    assert len(packs) <= 2, "the common prefix and one pack"


@pytest.mark.parametrize(
    "sequences",
    [
        pytest.param([sequence("ab", 1)], id="two_tokens"),
        pytest.param([sequence("abcd", 3)] * 5, id="duplicates"),
        pytest.param([sequence("ab", 1), sequence("abc", 2), sequence("abcd", 3)], id="each_a_prefix_of_the_next"),
        pytest.param([sequence("abcd", 1), sequence("abcd", 3)], id="same_tokens_split_twice"),
        pytest.param([sequence("question" + c, 8, primer=PRIMER) for c in "ABCD"], id="one_token_choices"),
        pytest.param([sequence("x" * 90, 1), sequence("x" * 90, 89)], id="longer_than_a_pack"),
        pytest.param([sequence("x" * 40 + c * 30, 35) for c in "abc"], id="scored_tokens_shared"),
        pytest.param([sequence("a", 0, primer=PRIMER)] * 2, id="prefix_is_all_that_is_decoded_but_one"),
    ],
)
@pytest.mark.parametrize(
    "limits",
    [
        TIGHT,
        PackLimits(n_tokens=8, n_sequences=3, n_outputs=1),
        PackLimits(n_tokens=8, n_sequences=1, n_outputs=8),
        PackLimits(n_tokens=64, n_sequences=4, n_outputs=5),
        ROOMY,
    ],
    ids=["tight", "one_output", "one_sequence", "medium", "roomy"],
)
def test_shapes_of_trees(sequences: list[TokenSequence], limits: PackLimits) -> None:
    run_packs(sequences, limits)


def test_one_token_choices_need_one_row() -> None:
    pack = run_packs([sequence("question" + choice, 8) for choice in "ABCD"], ROOMY)[0]
    assert len(pack.outputs) == 1
    assert len(pack.reads) == 4


def test_duplicates_need_one_sequence() -> None:
    limits = PackLimits(n_tokens=64, n_sequences=1, n_outputs=64)
    assert len(run_packs([sequence("question", 5)] * 9, limits)) == 1


def test_nothing_to_pack() -> None:
    assert list(pack_sequences([], ROOMY)) == []
    assert common_prefix([]) == ()
    assert count_trie_tokens([]) == 0


def test_common_prefix_ends_before_the_first_score() -> None:
    shared = tuple(range(40))
    assert common_prefix([TokenSequence(shared, 30), TokenSequence(shared, 25)]) == shared[:24]


def test_short_common_prefix_is_not_kept() -> None:
    tokens = tuple(range(MIN_SHARED_PREFIX + 1))
    assert common_prefix([TokenSequence((*tokens, 99), MIN_SHARED_PREFIX)]) == ()
    assert common_prefix([TokenSequence((*tokens, 99), MIN_SHARED_PREFIX + 1)]) == tokens[:MIN_SHARED_PREFIX]
