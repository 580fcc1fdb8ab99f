"""Scoring by copies of the whole state: for memories that cannot be rolled back or shared in part.

Sequences with the same context are a *family*. What all of a family share, its *stem*, is decoded once; the whole
state is then copied to every member that goes on differently, its *leaf*, and the leaves are decoded side by side.
Families are taken together in *waves*, as many as memory has room for: two rounds of decodes each, and more where
continuations compete, for those that can still win.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from llamabench.engine.llama import Batch, Context
from llamabench.engine.packing import Pack, Read, TokenSequence, common_prefix, shared_length
from llamabench.engine.scoring import SequenceScore, Sheet
from llamabench.records import StrategyName

_Wanted = tuple[int, int, int]
"""Which sequence wants a log-probability, for which of its scored tokens, and that token."""


@dataclass(slots=True)
class Strand:
    """Tokens to decode one after the other in one sequence of the memory.

    Attributes:
        id: The sequence.
        start: Position of the first token.
        tokens: Token ids.
        number: The sequence to score that goes on in a leaf; None for a stem.
        wanted: By position, what is to be read from the logits there.
    """

    id: int
    start: int
    tokens: tuple[int, ...]
    number: int | None = None
    wanted: dict[int, list[_Wanted]] = field(default_factory=dict)

    def part(self, start: int, end: int) -> Strand:
        """What of it lies between two positions."""
        return replace(self, start=start, tokens=self.tokens[start - self.start : end - self.start])


@dataclass(slots=True)
class Wave:
    """Families that are decoded together: stems, then copies of their states as (source, target), then leaves."""

    stems: list[Strand] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    leaves: list[Strand] = field(default_factory=list)

    @property
    def n_ids(self) -> int:
        """Sequences of the memory in use."""
        return len(self.stems) + len(self.copies)

    @property
    def n_tokens(self) -> int:
        """Tokens that take a place in the memory."""
        return sum(len(strand.tokens) for strand in (*self.stems, *self.leaves))


def plan_waves(sequences: Sequence[TokenSequence], *, n_prefix: int, n_ids: int, n_cells: int) -> Iterator[Wave]:
    """Groups sequences into waves.

    Args:
        sequences: What to score, each of at least two tokens.
        n_prefix: Leading tokens of every sequence that memory holds already, as sequence 0.
        n_ids: Sequences that a wave may use beside it, at least 1.
        n_cells: Tokens that a wave may hold beside the prefix; a sequence alone is taken whatever it needs.

    Yields:
        Waves that read every scored token of every sequence exactly once.
    """
    wave = Wave()
    for members in _families(sequences):
        rest = members
        while rest:
            part = rest
            while True:
                grown = _with_family(wave, sequences, part, n_prefix=n_prefix)
                if grown.n_ids <= n_ids and grown.n_tokens <= n_cells:
                    break
                if wave.stems:  # an empty wave has more room
                    yield wave
                    wave = Wave()
                elif len(part) == 1:
                    break
                else:
                    part = part[: len(part) // 2]
            wave, rest = grown, rest[len(part) :]
    if wave.stems:
        yield wave


def _families(sequences: Sequence[TokenSequence]) -> list[list[int]]:
    families: dict[tuple[int, ...], list[int]] = {}
    for number, sequence in enumerate(sequences):
        families.setdefault(sequence.tokens[: sequence.n_context], []).append(number)
    return list(families.values())


def _with_family(wave: Wave, sequences: Sequence[TokenSequence], members: Sequence[int], *, n_prefix: int) -> Wave:
    """The wave and one family more."""
    decoded = [sequences[number].decoded for number in members]
    n_stem = shared_length(min(decoded), max(decoded))
    branches = [number for number in members if len(sequences[number].decoded) > n_stem]
    id = 1 + wave.n_ids
    if len(branches) == 1 and sequences[branches[0]].race is None:  # nobody else needs the stem's state
        n_stem = len(sequences[branches[0]].decoded)
        branches = []
    longest = max(decoded, key=len)
    stem = Strand(id, n_prefix, longest[n_prefix:n_stem])
    for number in members:
        _want(stem, number, sequences[number])
    leaves = []
    for target, number in enumerate(branches, start=id + 1):
        leaf = Strand(target, n_stem, sequences[number].decoded[n_stem:], number)
        _want(leaf, number, sequences[number])
        leaves.append(leaf)
    return Wave(
        [*wave.stems, stem],
        [*wave.copies, *((id, leaf.id) for leaf in leaves)],
        [*wave.leaves, *leaves],
    )


def _want(strand: Strand, number: int, sequence: TokenSequence) -> None:
    """Notes what a sequence reads within a strand."""
    first = max(strand.start, sequence.n_context - 1)
    end = min(strand.start + len(strand.tokens), len(sequence.decoded))
    for position in range(first, end):
        read = (number, position + 1 - sequence.n_context, sequence.tokens[position + 1])
        strand.wanted.setdefault(position, []).append(read)


class CopiedScoring:
    """Decodes each context once and copies its whole state; exact on attention, recurrent and most hybrid memories.

    Args:
        context: A context with one unified cache and at least two sequences.
        pack_tokens: Tokens to put into one decode.
    """

    name: StrategyName = "copied"

    def __init__(self, context: Context, pack_tokens: int):
        plan = context.plan
        self._context = context
        self._n_tokens = min(pack_tokens, plan.n_batch)
        self._n_outputs = min(plan.n_outputs_max, self._n_tokens)
        self._batch = Batch(self._n_tokens, 1)
        self._held: tuple[int, ...] = ()
        self.n_decoded = 0

    @property
    def max_tokens(self) -> int:
        """Most tokens that a sequence may have."""
        return self._context.plan.n_ctx + 1

    def score(self, sequences: Sequence[TokenSequence]) -> list[SequenceScore]:
        """Scores sequences, in the order given."""
        sheet = Sheet(sequences)
        prefix = common_prefix(sequences)
        if not prefix or self._held != prefix:
            self._context.clear()
            self._decode([Strand(0, 0, prefix)], sheet)
        self._held = ()  # until all went well
        plan = self._context.plan
        waves = plan_waves(sequences, n_prefix=len(prefix), n_ids=plan.n_seq_max - 1, n_cells=plan.n_ctx - len(prefix))
        for wave in waves:
            if prefix:
                for stem in wave.stems:
                    self._context.copy(0, stem.id, -1)
            self._decode(wave.stems, sheet)
            for source, target in wave.copies:
                self._context.copy(source, target, -1)
            self._decode_leaves(wave.leaves, sequences, sheet)
            if prefix:
                self._context.keep_only(0)
            else:
                self._context.clear()
        self._held = prefix
        return sheet.scores()

    def _decode_leaves(self, leaves: Sequence[Strand], sequences: Sequence[TokenSequence], sheet: Sheet) -> None:
        """Decodes leaves as far as they can win."""
        race = sheet.race
        reached = {leaf.id: leaf.start for leaf in leaves}
        racing = [(leaf, leaf.number) for leaf in leaves if leaf.number is not None]
        while racing:
            parts = []
            for leaf, number in racing:
                start = reached[leaf.id]
                reached[leaf.id] = max(start, sequences[number].n_decoded(race.ends[number]))
                parts.append(leaf.part(start, reached[leaf.id]))
            self._decode(parts, sheet)
            racing = [(leaf, number) for leaf, number in racing if race.advance(number)]

    def _decode(self, strands: Sequence[Strand], sheet: Sheet) -> None:
        """Decodes strands side by side, in as many batches as they need."""
        pack = Pack()
        for strand in strands:
            for position, token in enumerate(strand.tokens, start=strand.start):
                wanted = strand.wanted.get(position, ())
                if len(pack.tokens) == self._n_tokens or (wanted and len(pack.outputs) == self._n_outputs):
                    self._decode_pack(pack, sheet)
                    pack = Pack()
                if wanted:
                    pack.reads += [Read(len(pack.outputs), *one) for one in wanted]
                    pack.outputs.append(len(pack.tokens))
                pack.tokens.append(token)
                pack.positions.append(position)
                pack.sequences.append([strand.id])
        if pack.tokens:
            self._decode_pack(pack, sheet)

    def _decode_pack(self, pack: Pack, sheet: Sheet) -> None:
        self._batch.fill(pack.tokens, pack.positions, sequences=pack.sequences, outputs=pack.outputs)
        self._context.decode(self._batch)
        self.n_decoded += len(pack.tokens)
        if pack.reads:
            sheet.enter(self._context.logits(len(pack.outputs)), pack.reads)
