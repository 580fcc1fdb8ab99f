"""Packs let every token see exactly its own past, read every score once, and never pass a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
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
from llamabench.engine.racing import MARGIN, Race

ROOMY = PackLimits(n_tokens=10_000, n_sequences=1_000, n_outputs=10_000, n_cells=100_000)
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
        needed = [cell for cell in self.cells if 0 in cell.ids or not pack.is_step]
        assert all(len(cell.ids) > 1 for cell in needed)
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
    assert not (pack.is_step and (pack.loans or pack.path_source))
    assert max(Counter(id for id, _ in pack.loans).values(), default=0) <= 1


class Readings:
    """Log-probabilities as a model might give them: functions of a token and its past."""

    def __init__(self, sequences: Sequence[TokenSequence]) -> None:
        self.sequences = sequences
        self.read: list[list[float]] = [[] for _ in sequences]
        self.race = Race([s.n_scored for s in sequences], [s.race for s in sequences], self.sum_of)

    def logprob(self, number: int, offset: int) -> float:
        wanted = self.sequences[number]
        return -(hash(wanted.tokens[: wanted.n_context + offset + 1]) % 997) / 997

    def whole_sum(self, number: int) -> float:
        return sum(self.logprob(number, offset) for offset in range(self.sequences[number].n_scored))

    def enter(self, number: int, offset: int) -> None:
        assert offset == len(self.read[number]), "each once, in order"
        self.read[number].append(self.logprob(number, offset))

    def sum_of(self, number: int, n_tokens: int) -> float:
        read = self.read[number]
        return sum(read[:n_tokens]) if len(read) >= n_tokens else np.nan


def run_packs(
    sequences: Sequence[TokenSequence], limits: PackLimits, *, is_prefix_held: bool = False
) -> tuple[list[Pack], Readings]:
    """Decodes the packs in a simulated cache and checks all that must hold; the packs, and what was read."""
    cache = Cache()
    readings = Readings(sequences)
    prefix = common_prefix(sequences)
    if is_prefix_held:
        cache.cells = [Cell(token, position, {0}) for position, token in enumerate(prefix)]
    packs = []
    for pack in pack_sequences(sequences, limits, readings.race, is_prefix_held=is_prefix_held):
        packs.append(pack)
        check_limits(pack, limits)
        if not pack.is_step:
            cache.keep_only(0)
        for id, length in pack.loans:
            cache.copy(0, id, length)
        paths = cache.decode(pack)
        assert len(cache.cells) <= limits.n_cells
        assert {read.row for read in pack.reads} == set(range(len(pack.outputs)))
        for row, number, offset, token in sorted(pack.reads, key=lambda read: (read.sequence, read.offset)):
            wanted = sequences[number]
            n_past = wanted.n_context + offset
            assert paths[pack.outputs[row]] == wanted.tokens[:n_past]
            assert token == wanted.tokens[n_past]
            readings.enter(number, offset)
        if pack.path_source != 0:
            cache.forget(0)
            cache.copy(pack.path_source, 0, pack.path_length)
        if not pack.is_step:
            assert len(cache.history(0)) == pack.path_length
    cache.keep_only(0)
    assert cache.history(0) == prefix
    assert [len(read) for read in readings.read] == readings.race.ends
    return packs, readings


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


MOST_TOKENS = 200
limits_strategy = st.builds(
    PackLimits,
    n_tokens=st.integers(1, 40),
    n_sequences=st.integers(1, 6),
    n_outputs=st.integers(1, 12),
    n_cells=st.integers(MOST_TOKENS, 2 * MOST_TOKENS),
)
TIGHT = PackLimits(n_tokens=1, n_sequences=1, n_outputs=1, n_cells=MOST_TOKENS)
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
@example(MIXED, PackLimits(n_tokens=7, n_sequences=2, n_outputs=3, n_cells=MOST_TOKENS))
@example(MIXED, ROOMY)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_every_token_sees_its_own_past(sequences: list[TokenSequence], limits: PackLimits) -> None:
    fresh, readings = run_packs(sequences, limits)
    held, _ = run_packs(sequences, limits, is_prefix_held=True)
    assert not any(map(readings.race.n_left, range(len(sequences)))), "nobody competes"
    n_prefix_packs = -(-len(common_prefix(sequences)) // limits.n_tokens)
    assert held == fresh[n_prefix_packs:]


@given(trees())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_shared_tokens_are_decoded_once(sequences: list[TokenSequence]) -> None:
    prefixes = {s.decoded[:end] for s in sequences for end in range(1, len(s.tokens))}
    assert count_trie_tokens(sequences) == len(prefixes)
    packs, _ = run_packs(sequences, ROOMY)
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
        PackLimits(n_tokens=8, n_sequences=3, n_outputs=1, n_cells=MOST_TOKENS),
        PackLimits(n_tokens=8, n_sequences=1, n_outputs=8, n_cells=MOST_TOKENS),
        PackLimits(n_tokens=64, n_sequences=4, n_outputs=5, n_cells=MOST_TOKENS),
        ROOMY,
    ],
    ids=["tight", "one_output", "one_sequence", "medium", "roomy"],
)
def test_shapes_of_trees(sequences: list[TokenSequence], limits: PackLimits) -> None:
    run_packs(sequences, limits)


def test_one_token_choices_need_one_row() -> None:
    pack = run_packs([sequence("question" + choice, 8) for choice in "ABCD"], ROOMY)[0][0]
    assert len(pack.outputs) == 1
    assert len(pack.reads) == 4


def test_duplicates_need_one_sequence() -> None:
    limits = PackLimits(n_tokens=64, n_sequences=1, n_outputs=64, n_cells=MOST_TOKENS)
    packs, _ = run_packs([sequence("question", 5)] * 9, limits)
    assert len(packs) == 1


def test_nothing_to_pack() -> None:
    assert run_packs([], ROOMY)[0] == []
    assert common_prefix([]) == ()
    assert count_trie_tokens([]) == 0


def test_common_prefix_ends_before_the_first_score() -> None:
    shared = tuple(range(40))
    assert common_prefix([TokenSequence(shared, 30), TokenSequence(shared, 25)]) == shared[:24]


def test_short_common_prefix_is_not_kept() -> None:
    tokens = tuple(range(MIN_SHARED_PREFIX + 1))
    assert common_prefix([TokenSequence((*tokens, 99), MIN_SHARED_PREFIX)]) == ()
    assert common_prefix([TokenSequence((*tokens, 99), MIN_SHARED_PREFIX + 1)]) == tokens[:MIN_SHARED_PREFIX]


# --- races --------------------------------------------------------------------------------------


@st.composite
def races(draw: st.DrawFn) -> list[TokenSequence]:
    """Sequences of which many compete, most of them with the same context, some longer than a pack."""
    found = draw(trees())
    for race in range(draw(st.integers(1, 3))):
        context = draw(st.sampled_from([sequence.tokens for sequence in found] or [(7,)]))
        for length in draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)):
            begin = draw(tokens_strategy)
            tokens = (context + begin + tuple(range(length)))[:MOST_TOKENS]
            n_context = draw(st.sampled_from([len(context), len(tokens) - 1, 1]))
            found.append(TokenSequence(tokens, max(1, min(n_context, len(tokens) - 1)), race))
    return [sequence for sequence in found if len(sequence.tokens) > 1]


@given(races(), limits_strategy, st.integers(1, 9))
@example([replace(s, race=0) for s in MIXED], TIGHT, 1)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_the_winner_of_a_race_is_the_one_without_it(
    sequences: list[TokenSequence], limits: PackLimits, step: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llamabench.engine.racing.STEP", step)
        fresh, readings = run_packs(sequences, limits)
        held, _ = run_packs(sequences, limits, is_prefix_held=True)
    assert held == fresh[-(-len(common_prefix(sequences)) // limits.n_tokens) :]
    for number, sequence in enumerate(sequences):
        rivals = [n for n, other in enumerate(sequences) if other.race == sequence.race is not None]
        best = max((readings.whole_sum(n) for n in rivals), default=np.nan)
        if readings.race.n_left(number):
            assert readings.sum_of(number, len(readings.read[number])) < best - MARGIN


@pytest.mark.parametrize(
    ("logprob", "reached"),
    [
        pytest.param(-1.1, [0, 40], id="lost_where_the_rival_ends"),
        pytest.param(-0.5, [0, 40, 56, 72, 88], id="lost_after_three_steps"),
        pytest.param(-0.9, [0, 40, 56], id="lost_after_one"),
        pytest.param(-0.1, [0, 40, 56, 72, 88, 104, 120, 140], id="won"),
        pytest.param(np.nan, [0, 40, 56, 72, 88, 104, 120, 140], id="no_number"),
    ],
)
def test_a_step_takes_on_what_can_win(logprob: float, reached: list[int]) -> None:
    """The rival has 40 tokens of one nat each."""
    context = tuple(range(1000, 1020))
    pair = [TokenSequence(context + tuple(range(n, 2 * n)), len(context), race=0) for n in (40, 140)]
    readings = Readings(pair)
    readings.logprob = lambda number, offset: (-1.0, logprob)[number]  # type: ignore[method-assign]
    found = []
    n_decoded = 0
    for pack in pack_sequences(pair, ROOMY, readings.race):
        n_decoded += len(pack.tokens)
        for read in sorted(pack.reads, key=lambda read: (read.sequence, read.offset)):
            readings.enter(read.sequence, read.offset)
        found.append(len(readings.read[1]))
    assert found == reached
    assert n_decoded == count_trie_tokens(pair) - (140 - reached[-1]), "nothing twice"
