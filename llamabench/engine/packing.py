"""Pure packing: token sequences to the fewest batches that decode every shared token once.

Sorted sequences form a trie. A pack is the part of the trie that one decode takes: each node is one token of the
batch and carries the ids of all sequences below it. What the next pack shares with the last sequence of this one
stays in memory as the *path* (sequence 0) and is lent to the members that need it.

Packs of a chunk depend on that chunk alone: the prefix common to the whole chunk is decoded by itself before
anything else, so it has the same numbers whether it was just decoded or is still in memory from the chunk before.

Where continuations compete, a pack holds the beginnings of some; steps take those further that can still win, while
all of the pack stays in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from llamabench.engine.racing import Race

MIN_SHARED_PREFIX = 16
"""A common prefix shorter than this is not worth a decode of its own."""

MAX_QUEUE = 4096
"""More sequences than any pack can take; bounds the copy made for each."""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A context with one continuation; `tokens[n_context:]` are to be scored, `n_context` is at least 1.

    Of sequences with the same `race`, only the likeliest has to be scored to its end.
    """

    tokens: tuple[int, ...]
    n_context: int
    race: int | None = None

    @property
    def n_scored(self) -> int:
        """How many tokens are to be scored."""
        return len(self.tokens) - self.n_context

    def n_decoded(self, n_scored: int) -> int:
        """How many tokens have to be decoded to score the first so many."""
        return self.n_context - 1 + n_scored

    @property
    def decoded(self) -> tuple[int, ...]:
        """What has to be decoded: all but the last token, which nothing follows."""
        return self.tokens[:-1]


@dataclass(frozen=True, slots=True)
class PackLimits:
    """What one decode may hold: tokens, sequences beside the path, and rows of logits; and memory: tokens in all."""

    n_tokens: int
    n_sequences: int
    n_outputs: int
    n_cells: int


class Read(NamedTuple):
    """Says where a log-probability comes from: row of logits, sequence, which of its tokens, and that token."""

    row: int
    sequence: int
    offset: int
    token: int


@dataclass(slots=True)
class Pack:
    """One decode.

    Attributes:
        tokens: Token ids, (n,).
        positions: Their positions, (n,).
        sequences: Ids of the sequences each belongs to, (n,) lists; [0] extends the path.
        outputs: Indices into `tokens` whose logits are wanted, ascending.
        reads: The log-probabilities that these logits give.
        loans: (id, length) of the members that get that much of the path, to be copied before the decode; all of
            the path is lent to at least one.
        path_source: The sequence that becomes the path afterwards; 0 when the path itself was extended.
        path_length: How many positions of it stay; everything else is forgotten.
    """

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    sequences: list[list[int]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    loans: list[tuple[int, int]] = field(default_factory=list)
    path_source: int = 0
    path_length: int = 0
    is_step: bool = False


def shared_length(first: Sequence[object], second: Sequence[object], limit: int | None = None) -> int:
    """Counts the leading tokens that two sequences share, up to a limit.

    >>> shared_length([1, 2, 3], [1, 2, 4, 5])
    2
    """
    end = min(len(first), len(second)) if limit is None else min(len(first), len(second), limit)
    if first[:end] == second[:end]:
        return end
    return next(i for i in range(end) if first[i] != second[i])


def common_prefix(sequences: Sequence[TokenSequence]) -> tuple[int, ...]:
    """The context tokens that all sequences share; empty when too few to keep."""
    if not sequences:
        return ()
    smallest, largest = min(s.tokens for s in sequences), max(s.tokens for s in sequences)
    # a scored position is read when it is decoded, so it may not be part of what is only kept
    length = shared_length(smallest, largest, min(s.n_context for s in sequences) - 1)
    return smallest[:length] if length >= MIN_SHARED_PREFIX else ()


def count_trie_tokens(sequences: Sequence[TokenSequence]) -> int:
    """Tokens that have to be decoded when every shared prefix is decoded once."""
    decoded = sorted(s.decoded for s in sequences)
    shared = sum(shared_length(a, b) for a, b in itertools.pairwise(decoded))
    return sum(map(len, decoded)) - shared


@dataclass(slots=True)
class _Member:
    """A sequence inside the pack being built: its id and the batch index of each node (None: on the path)."""

    id: int
    tokens: tuple[int, ...]
    nodes: list[int | None]


class _Builder:
    """Packs sorted sequences; `path` is what memory holds before the next pack."""

    def __init__(self, sequences: Sequence[TokenSequence], limits: PackLimits, race: Race):
        self.sequences = sequences
        self.limits = limits
        self.race = race
        self.path: tuple[int, ...] = ()
        self._first_unread = [s.n_context - 1 for s in sequences]
        self._open: dict[int, int] = {}
        self._n_promised = 0

    def decoded(self, number: int) -> tuple[int, ...]:
        """What of a sequence has to be decoded to score it as far as its race has got."""
        sequence = self.sequences[number]
        return sequence.tokens[: sequence.n_decoded(self.race.ends[number])]

    def extend_path(self, tokens: tuple[int, ...], owner: int | None = None) -> Pack:
        """Decodes the next piece of `tokens` as the path itself, reading there what the sequence `owner` wants."""
        start = len(self.path)
        end = min(len(tokens), start + self.limits.n_tokens)
        # without a second owner, llama.cpp may overwrite what lies outside a sliding window (`find_slot` in
        # src/llama-kv-cache.cpp), and a later sequence that branches off further up would miss it
        pack = Pack(loans=[(1, start)] if start else [])
        if owner is not None:
            end = min(end, max(start, self._first_unread[owner]) + self.limits.n_outputs)
            member = _Member(0, tokens[:end], [None] * start + list(range(end - start)))
            self._read(pack, owner, member)
            self._first_unread[owner] = max(end, self._first_unread[owner])
            _number_rows(pack)
        pack.tokens = list(tokens[start:end])
        pack.positions = list(range(start, end))
        pack.sequences = [[0] for _ in pack.tokens]
        pack.path_length = end
        self.path = tokens[:end]
        return pack

    def fill(self, queue: Sequence[int]) -> tuple[Pack, int]:
        """Packs as many of the sequences in `queue` as fit, in order; the pack and how many, perhaps none."""
        pack = Pack()
        last = _Member(0, self.path, [None] * len(self.path))
        n_packed = n_members = 0
        self._open, self._n_promised = {}, 0
        for number in queue:
            decoded = self.decoded(number)
            known = last.nodes[: shared_length(decoded, last.tokens)]
            n_left = self.race.n_left(number)
            is_new = n_members == 0 or n_left > 0 or decoded != last.tokens
            if not self._has_room(pack, number, known, n_members + is_new):
                break
            if is_new:
                n_members += 1
                last = _add_member(pack, n_members, decoded, known)
            self._read(pack, number, last)
            n_packed += 1
            if n_left:
                self._open[number] = last.id
                self._n_promised += n_left
        _number_rows(pack)
        pack.path_source = last.id
        pack.path_length = len(last.tokens)
        self.path = last.tokens
        return pack, n_packed

    def _has_room(self, pack: Pack, number: int, known: list[int | None], n_members: int) -> bool:
        n_decoded = len(self.decoded(number))
        n_new = n_decoded - len(known)
        n_promised = self._n_promised + self.race.n_left(number)
        first = self._first_unread[number]
        wanted = known[first:]
        if None in wanted:
            return False  # on the path already, where nothing can be read any more
        rows = set(pack.outputs)
        n_rows = max(0, n_decoded - max(first, len(known))) + sum(node not in rows for node in wanted)
        return (
            len(pack.tokens) + n_new <= self.limits.n_tokens
            and len(self.path) + len(pack.tokens) + n_new + n_promised <= self.limits.n_cells
            and n_members <= self.limits.n_sequences
            and len(rows) + n_rows <= self.limits.n_outputs
        )

    def _read(self, pack: Pack, number: int, member: _Member) -> None:
        wanted = self.sequences[number]
        rows = set(pack.outputs)
        for position in range(self._first_unread[number], len(member.nodes)):
            node = member.nodes[position]
            assert node is not None, "the path is trimmed before the first position to read"
            if node not in rows:
                pack.outputs.append(node)
            offset = position + 1 - wanted.n_context
            pack.reads.append(Read(row=node, sequence=number, offset=offset, token=wanted.tokens[position + 1]))

    def steps(self) -> Iterator[Pack]:
        """Takes sequences of the last pack further, as long as they can win; reads what was decoded before each."""
        size = min(self.limits.n_tokens, self.limits.n_outputs)
        while self._open:
            reached = {number: len(self.decoded(number)) for number in self._open}
            self._open = {number: id for number, id in self._open.items() if self.race.advance(number)}
            places = [
                (number, position)
                for number in self._open
                for position in range(reached[number], len(self.decoded(number)))
            ]
            for start in range(0, len(places), size):
                yield self._step(places[start : start + size])

    def _step(self, places: Sequence[tuple[int, int]]) -> Pack:
        pack = Pack(outputs=list(range(len(places))), is_step=True)
        for row, (number, position) in enumerate(places):
            wanted = self.sequences[number]
            pack.tokens.append(wanted.tokens[position])
            pack.positions.append(position)
            pack.sequences.append([self._open[number]])
            pack.reads.append(Read(row, number, position + 1 - wanted.n_context, wanted.tokens[position + 1]))
        return pack

    def trim_path(self, length: int) -> None:
        """Forgets the path beyond `length`."""
        self.path = self.path[:length]

    def usable_path(self, number: int) -> int:
        """How much of the path the sequence `number` can start from: before its first scored position."""
        wanted = self.sequences[number]
        return shared_length(self.path, wanted.tokens, wanted.n_context - 1)


def _add_member(pack: Pack, id: int, decoded: tuple[int, ...], known: list[int | None]) -> _Member:
    n_lent = known.count(None)
    if n_lent:
        pack.loans.append((id, n_lent))
    for node in known[n_lent:]:
        assert node is not None, "the path comes first"
        pack.sequences[node].append(id)
    n_new = len(decoded) - len(known)
    nodes = known + list(range(len(pack.tokens), len(pack.tokens) + n_new))
    pack.tokens.extend(decoded[len(known) :])
    pack.positions.extend(range(len(known), len(decoded)))
    pack.sequences.extend([id] for _ in range(n_new))
    return _Member(id, decoded, nodes)


def _number_rows(pack: Pack) -> None:
    """Turns batch indices into rows: logits come in batch order, known once the pack is complete."""
    pack.outputs.sort()
    row_of = {node: row for row, node in enumerate(pack.outputs)}
    pack.reads = [read._replace(row=row_of[read.row]) for read in pack.reads]


def pack_sequences(
    sequences: Sequence[TokenSequence], limits: PackLimits, race: Race, *, is_prefix_held: bool = False
) -> Iterator[Pack]:
    """Packs sequences into decodes.

    Args:
        sequences: What to score; any order, each of at least two tokens.
        limits: What one decode may hold, at least one of each; in memory, at least the longest sequence.
        race: How far each is scored. It is asked between two packs: read each before you ask for the next.
        is_prefix_held: Whether memory already holds `common_prefix(sequences)` as the path, and nothing else.

    Yields:
        Packs in the order to decode them. After the last one the path is the common prefix.
    """
    prefix = common_prefix(sequences)

    def order(number: int) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        sequence = sequences[number]
        first = sequence.tokens if sequence.race is None else sequence.tokens[: sequence.n_context]
        return first, race.place(number), sequence.tokens

    queue = sorted(range(len(sequences)), key=order)
    builder = _Builder(sequences, limits, race)
    if is_prefix_held:
        builder.path = prefix
    while len(builder.path) < len(prefix):
        yield builder.extend_path(prefix)
    done = 0
    while done < len(queue):
        pack, n_packed = builder.fill(queue[done : done + MAX_QUEUE])
        if n_packed == 0:
            yield builder.extend_path(builder.decoded(queue[done]), owner=queue[done])
            continue
        done += n_packed
        pack.path_length = builder.usable_path(queue[done]) if done < len(queue) else len(prefix)
        builder.trim_path(pack.path_length)
        yield pack
        yield from builder.steps()
