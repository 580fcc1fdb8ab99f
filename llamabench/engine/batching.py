"""Continuous batching: many texts in the streams of one cache, each stream refilled as soon as its text ends.

A prompt is decoded once, however many texts follow it, and so is what prompts have in common: a prompt waits while
another is being decoded that brings it further. Streams at work are kept next to each other, because llama.cpp splits
a batch wherever a stream between them is idle: 16 texts in every other stream take three times as long as 16 in a
row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.random import PCG64

from llamabench.engine.llama import Batch, Context, Tokens
from llamabench.engine.packing import shared_length
from llamabench.engine.sampling import Logits, Sampler, log_probability
from llamabench.engine.streams import Streams
from llamabench.records import Generated, GenerateRequest

NO_NUMBER = "The model gave no number (NaN): its file is damaged, or this machine computes it wrongly."

_LEAST_BASE = 32
"""Tokens that all prompts of a model without roll-back must share for a stream to be set aside for them."""

_LEAST_LEFT = 4
"""Tokens that a text must still have to draw for a move to another stream to be worth its copy."""

_Reason = Literal["stop", "length"]


class Text:
    """A text under way: which request and which of its texts, and what has been drawn."""

    def __init__(self, request: int, asked: GenerateRequest, *, number: int, seed: int):
        self.request = request
        self.number = number
        self.sampling = asked.sampling
        self.rng = np.random.Generator(PCG64(seed))
        self.n_drawn = 0
        self._raw = b""
        self._stops = [stop.encode(errors="surrogatepass") for stop in asked.sampling.stop if stop]
        self._longest_stop = max(map(len, self._stops), default=0)
        self._wants_tokens = asked.wants_tokens
        self._tokens: list[int] = []
        self._logprobs: list[float] = []

    @property
    def n_left(self) -> int:
        """Most tokens that are still to be drawn."""
        return self.sampling.max_tokens - self.n_drawn

    def take(self, token: int, logits: Logits, *, piece: bytes | None) -> _Reason | None:
        """Adds a drawn token, `piece` None for an end token; why the text ends with it, or None when it goes on."""
        self.n_drawn += 1
        if self._wants_tokens:
            self._tokens.append(token)
            self._logprobs.append(log_probability(logits, token))
        if piece is None:
            return "stop"
        # a stop string that lies in the text before this piece has ended it already
        start = max(len(self._raw) - self._longest_stop + 1, 0)
        self._raw += piece
        cuts = [cut for cut in (self._raw.find(stop, start) for stop in self._stops) if cut >= 0]
        if cuts:
            self._raw = self._raw[: min(cuts)]
            return "stop"
        return "length" if self.n_left <= 0 else None

    def result(self, reason: _Reason) -> Generated:
        """The text so far; bytes that are no UTF-8 show as replacement characters."""
        text = self._raw.decode(errors="replace")
        return Generated(text, reason, self.n_drawn, tuple(self._tokens), tuple(self._logprobs))


@dataclass(slots=True, eq=False)
class SharedPrompt:
    """A prompt with the texts that wait for it, and the logits after its last token once it is decoded."""

    tokens: Tokens
    waiting: deque[Text] = field(default_factory=deque)
    logits: Logits | None = None
    is_begun: bool = False


@dataclass(slots=True, eq=False)
class _Work:
    """What a stream is at: a prompt to decode or a text to draw, and the tokens to decode next."""

    task: SharedPrompt | Text
    pending: Tokens


class Finished(NamedTuple):
    """Texts by request and number, and the requests that failed, with the reason."""

    texts: dict[tuple[int, int], Generated]
    failures: dict[int, str]


class Batching:
    """Draws texts in a context with separate streams.

    Args:
        context: A context with `kv_unified` off.
        shares_prefixes: Whether a shared prefix is decoded once; None for wherever that is exact.
    """

    def __init__(self, context: Context, *, shares_prefixes: bool | None = None):
        model = context.model
        self._context = context
        self._streams = Streams(context, shares_prefixes=shares_prefixes)
        self._sampler = Sampler(model.n_vocab)
        self._batch = Batch(context.plan.n_batch, 1)
        self._piece = cache(lambda token: None if model.is_end(token) else model.piece(token))
        self._poisoned: set[int] = set()
        self._start([])

    def _start(self, prompts: Sequence[SharedPrompt]) -> None:
        self._queue = deque(prompts)
        self._work: dict[int, _Work] = {}
        self._finished = Finished({}, {})
        self._reserved: int | None = None
        self._clear()

    def _clear(self) -> None:
        """Empties all streams. What a NaN left in one would reach texts that come after it there."""
        self._streams.clear(data=bool(self._poisoned))
        self._poisoned.clear()
        self._reserved = None

    def run(self, prompts: Sequence[SharedPrompt]) -> Finished:
        """Draws all texts that wait for the prompts.

        Raises:
            EngineError: llama.cpp could not decode.
        """
        self._start(prompts)
        self._reserve_base()
        while self._queue or self._work:
            if not self._work and self._poisoned:
                self._clear()
            self._refill()
            self._close_gaps()
            if self._work:
                self._step()
        return self._finished

    # --- who works where ------------------------------------------------------------------------

    def _free(self) -> list[int]:
        taken = self._poisoned | self._work.keys() | {self._reserved}
        return [stream for stream in range(len(self._streams.held)) if stream not in taken]

    def _reserve_base(self) -> None:
        """Without roll-back, sets the last stream aside for what all prompts begin with."""
        streams = self._streams
        if streams.rolls_back or not streams.shares_prefixes or len(streams.held) < 3 or len(self._queue) < 2:
            return
        sorted_tokens = sorted(prompt.tokens[:-1] for prompt in self._queue)
        base = sorted_tokens[0][: shared_length(sorted_tokens[0], sorted_tokens[-1])]
        if len(base) >= max(_LEAST_BASE, streams.least_shared):
            self._reserved = len(streams.held) - 1
            self._work[self._reserved] = _Work(SharedPrompt(base), base)

    def _refill(self) -> None:
        """Gives free streams to prompts and texts, in the order of the queue."""
        n_claimed = 0
        for prompt in tuple(self._queue):
            if prompt.is_begun:
                n_claimed += len(prompt.waiting) - 1
            elif prompt.logits is None:
                if len(self._free()) <= n_claimed or not self._begin(prompt):
                    return
                n_claimed += len(prompt.waiting) - 1
            else:
                self._start_texts(prompt, prompt.logits)
                if prompt.waiting:
                    return
                self._queue.remove(prompt)

    def _begin(self, prompt: SharedPrompt) -> bool:
        """Puts a prompt into a free stream; not while another is being decoded that would save more."""
        streams, tokens = self._streams, prompt.tokens[:-1]
        _, n_known = streams.find_best(tokens, range(len(streams.held)))
        decoding = [work.task.tokens for work in self._work.values() if isinstance(work.task, SharedPrompt)]
        n_promised = max((streams.count_usable(other, tokens) for other in decoding), default=0)
        if n_promised - n_known >= streams.least_shared:
            return False
        stream = streams.prepare(tokens, self._free())
        self._work[stream] = _Work(prompt, prompt.tokens[len(streams.held[stream]) :])
        prompt.is_begun = True
        return True

    def _start_texts(self, prompt: SharedPrompt, logits: Logits) -> None:
        """Draws the first token of as many texts as there are free streams, until none is free or none waits."""
        streams = self._streams
        while prompt.waiting and (n_texts := self._count_startable(prompt)):
            texts = [prompt.waiting.popleft() for _ in range(n_texts)]
            for text, token in zip(texts, self._draw([logits] * n_texts, texts), strict=True):
                following = self._take(text, token, logits)
                if following is not None:
                    is_last = text is texts[-1] and not prompt.waiting
                    stream = streams.prepare(prompt.tokens, self._free(), keeps_source=not is_last)
                    self._work[stream] = _Work(text, prompt.tokens[len(streams.held[stream]) :] + following)

    def _count_startable(self, prompt: SharedPrompt) -> int:
        """How many texts can start; without roll-back, the stream that holds the prompt is kept for the last."""
        free, n_waiting = self._free(), len(prompt.waiting)
        if len(free) >= n_waiting or self._streams.rolls_back:
            return min(len(free), n_waiting)
        is_held = any(self._streams.held[stream] == prompt.tokens for stream in free)
        return max(len(free) - is_held, 0 if self._work else 1)

    def _close_gaps(self) -> None:
        """Moves texts from the last streams to idle ones between the first."""
        if max(self._work, default=-1) < len(self._work):
            return
        if not self._streams.shares_prefixes or (self._queue and not self._streams.rolls_back):
            return
        active = sorted(self._work.keys() - {self._reserved})
        gaps = [stream for stream in self._free() if stream < len(active)]
        for gap, last in zip(gaps, reversed(active), strict=False):
            task = self._work[last].task
            if not isinstance(task, Text) or task.n_left < _LEAST_LEFT:
                return
            self._streams.copy(last, gap)
            self._work[gap] = self._work.pop(last)

    # --- one decode -----------------------------------------------------------------------------

    def _step(self) -> None:
        """Decodes the next token of every text, and prompts in pieces where they do not fit."""
        tokens: Tokens = []
        positions: list[int] = []
        sequences: list[tuple[int, ...]] = []
        ready: dict[int, int] = {}
        room = self._context.plan.n_batch
        # texts come first, so that a long prompt cannot starve them
        for stream, work in sorted(self._work.items(), key=lambda item: (len(item[1].pending) > 1, item[0])):
            piece = work.pending[: room - len(tokens)]
            if not piece or len(ready) == self._context.plan.n_outputs_max:
                continue
            held = self._streams.held[stream]
            positions += range(len(held), len(held) + len(piece))
            sequences += [(stream,)] * len(piece)
            tokens += piece
            held += piece
            work.pending = work.pending[len(piece) :]
            if not work.pending:
                ready[stream] = len(tokens) - 1
        self._batch.fill(tokens, positions, sequences=sequences, outputs=list(ready.values()))
        self._context.decode(self._batch)
        if ready:
            self._read(dict(zip(ready, self._context.logits(len(ready)), strict=True)))

    def _read(self, rows: dict[int, Logits]) -> None:
        """Takes the logits of streams whose pending tokens are all decoded."""
        texts: dict[int, Text] = {}
        for stream, row in rows.items():
            task = self._work[stream].task
            if isinstance(task, Text):
                texts[stream] = task
                continue
            task.logits, task.is_begun = row.copy(), False
            del self._work[stream]
            if not np.isfinite(row.max()):
                self._poison(stream)
        tokens = self._draw([rows[stream] for stream in texts], list(texts.values()))
        for (stream, text), token in zip(texts.items(), tokens, strict=True):
            if token is None:
                self._poison(stream)
            following = self._take(text, token, rows[stream])
            if following is None:
                self._work.pop(stream, None)
            else:
                self._work[stream].pending = following

    def _poison(self, stream: int) -> None:
        """Keeps a stream out of use until its memory has been overwritten."""
        self._poisoned.add(stream)
        self._streams.drop(stream)

    def _draw(self, rows: Sequence[Logits], texts: Sequence[Text]) -> list[int | None]:
        return [self._sampler.draw(row, text.sampling, text.rng) for row, text in zip(rows, texts, strict=True)]

    def _take(self, text: Text, token: int | None, logits: Logits) -> Tokens | None:
        """Adds a drawn token to a text, or fails its request where there is none; what is to be decoded next."""
        if token is None:
            self._finished.failures[text.request] = NO_NUMBER
        if token is None or text.request in self._finished.failures:
            return None
        reason = text.take(token, logits, piece=self._piece(token))
        if reason is None:
            return [token]
        self._finished.texts[text.request, text.number] = text.result(reason)
        return None
