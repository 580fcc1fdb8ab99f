"""Which items a run takes, and how they are cut into chunks: the same command always gives the same."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llamabench.arranging import Arrangement, Spool, arrange_items
from llamabench.data.cache import Dataset
from llamabench.engine.packing import shared_length
from llamabench.records import ChatPrompt, Item, Request, ScoreRequest, SuiteChoice
from llamabench.results.rows import request_text
from llamabench.suites.base import Suite

_MOST_KEPT = 1000
"""Chosen items of a suite that are kept in memory; of more than that, each pass reads the data again."""

_LEAST_CHUNKS = 8
"""Chunks of a suite that a budget may end: it can end between them only, and a small suite could be one of them."""
_N_WEIGHED = 256
"""Items whose texts tell how large a suite is."""
_COST_OF_WRITING = 10
"""Tokens that are read in the time that it takes to write one, where many texts are written side by side."""

BYTES_PER_TOKEN = 4
"""Rough size of a token in English text; only chunk sizes depend on it."""


def choose_items(groups: Sequence[str], limit: int | None, rng: np.random.Generator) -> list[int]:
    """Chooses items at random, each group in proportion to its size.

    Args:
        groups: Group of each item, in the suite's order.
        limit: How many to choose; None for all.
        rng: Source of randomness.

    Returns:
        Indices into `groups`, ascending.

    >>> choose_items(["a", "a", "b", "b"], 2, np.random.default_rng(0))
    [1, 3]
    """
    if limit is None or limit >= len(groups):
        return list(range(len(groups)))
    quotas = _apportion(Counter(groups), limit, rng)
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    chosen = [rng.choice(members[group], quota, replace=False) for group, quota in quotas.items()]
    return sorted(int(index) for indices in chosen for index in indices)


def _apportion(sizes: Counter[str], limit: int, rng: np.random.Generator) -> dict[str, int]:
    """Shares `limit` out by largest remainder (Hamilton's method); chance decides between groups of one size."""
    total = sizes.total()
    exact = {group: limit * sizes[group] / total for group in sorted(sizes)}
    quotas = {group: math.floor(share) for group, share in exact.items()}
    drawn = [list(exact)[place] for place in rng.permutation(len(exact))]
    by_remainder = sorted(drawn, key=lambda group: quotas[group] - exact[group])
    for group in by_remainder[: limit - sum(quotas.values())]:
        quotas[group] += 1
    return quotas


def pick(items: Iterable[Item], places: Sequence[int]) -> Iterator[Item]:
    """The items at ascending places."""
    wanted = iter(places)
    place = next(wanted, None)
    for number, item in enumerate(items):
        if number == place:
            yield item
            place = next(wanted, None)
            if place is None:
                return


@dataclass(frozen=True, slots=True)
class Task:
    """A suite with its data and the items chosen of it.

    Attributes:
        suite: The suite.
        dataset: Its data.
        chosen: Places of the items in the data, in the order in which they are asked: ascending, or as arranged.
        use_chat: Whether conversations go through the model's chat template.
        kept: The items themselves by ascending place, where they are few enough to be kept, or not asked in that order.
        winners_only: Whether only the likeliest continuation of each request is asked for.
        arrangement: The order of all items of the data of which `chosen` is the beginning, where a budget may end it.
        system_prompt: System message of its conversations that have none of their own; None for none.
    """

    suite: Suite
    dataset: Dataset
    chosen: tuple[int, ...]
    use_chat: bool
    kept: Sequence[Item] | None = None
    winners_only: bool = False
    arrangement: Arrangement | None = None
    system_prompt: str | None = None

    def items(self) -> Iterator[Item]:
        """The items, in order, as they are to be asked."""
        items = self.read() if self.kept is None else self._visit(self.kept)
        return map(_ask_for_winners, items) if self.winners_only else items

    def read(self) -> Iterator[Item]:
        """Reads the items from the data, by ascending place."""
        return pick(self.suite.items(self.dataset, use_chat=self.use_chat), sorted(self.chosen))

    def _visit(self, kept: Sequence[Item]) -> Iterator[Item]:
        return (kept[number] for number in np.argsort(np.argsort(self.chosen)).tolist())

    def missing_chunks(self, chunk_tokens: int, done: set[str]) -> Iterator[tuple[int, list[Item]]]:
        """Chunks with items that are not stored, and the place of the first. A chunk is stored whole or not at all."""
        first = 0
        most = None if self.arrangement is None else math.ceil(len(self.chosen) / _LEAST_CHUNKS)
        for items in cut_chunks(self.items(), chunk_tokens, most_items=most):
            if any(item.id not in done for item in items):
                yield first, items
            first += len(items)

    def parts(self, chunk_tokens: int, done: set[str]) -> Iterator[str]:
        """Ids of stored items of which others of their chunk are not stored: so a damaged file leaves them."""
        for _, items in self.missing_chunks(chunk_tokens, done):
            yield from (item.id for item in items if item.id in done)

    def estimate_cost(self) -> float:
        """How much work the items are, about, in tokens to read: tells small suites from large ones."""
        requests = [one for item in itertools.islice(self.items(), _N_WEIGHED) for one in item.requests]
        cost = sum(request_size(one) / BYTES_PER_TOKEN + generated_tokens(one) * _COST_OF_WRITING for one in requests)
        return cost * max(len(self.chosen) / _N_WEIGHED, 1)

    def with_system(self, prompt: str | None) -> Task:
        """The same with a system prompt, where it asks conversations at all."""
        if prompt is None or not any(
            isinstance(one.prompt, ChatPrompt) for item in self.items() for one in item.requests
        ):
            return self
        return replace(self, system_prompt=prompt)

    @property
    def choice(self) -> SuiteChoice:
        """What is to be stored of it."""
        return SuiteChoice(
            name=self.suite.NAME,
            version=self.suite.VERSION,
            edition=self.dataset.edition,
            n_items=len(self.chosen),
            n_available=self.dataset.n_items,
            data_sha256=self.dataset.sha256,
            winners_only=self.winners_only,
            scorers=tuple(self.suite.scorers()),
            settings=dict(self.suite.settings(self.dataset)),
            system_prompt=self.system_prompt,
        )


def _ask_for_winners(item: Item) -> Item:
    requests = (replace(one, wants_winner=True) if isinstance(one, ScoreRequest) else one for one in item.requests)
    return replace(item, requests=tuple(requests))


def choose_task(suite: Suite, dataset: Dataset, *, limit: int | None, rng: np.random.Generator, use_chat: bool) -> Task:
    """Chooses items of a suite at random, each group in proportion to its size; few are kept in memory.

    Args:
        suite: The suite.
        dataset: Its data.
        limit: How many to choose; None for all.
        rng: Source of randomness.
        use_chat: Whether conversations go through the model's chat template.

    Raises:
        DataError: A row of the data is not as it should be.
    """
    groups = [item.group for item in suite.items(dataset, use_chat=use_chat)]
    dataset = replace(dataset, n_items=len(groups))  # what a suite makes of tests of a person's own, it alone knows
    task = Task(suite, dataset, tuple(choose_items(groups, limit, rng)), use_chat)
    # to read a large data set again for a few of its items takes seconds
    return replace(task, kept=tuple(task.read())) if len(task.chosen) <= _MOST_KEPT else task


def arrange_task(
    suite: Suite, dataset: Dataset, *, limit: int | None, rng: np.random.Generator, use_chat: bool
) -> Task:
    """Chooses items of a suite as `choose_task` does, in an order in which they may end anywhere.

    Args:
        suite: The suite.
        dataset: Its data.
        limit: How many to choose; None for all.
        rng: Source of randomness.
        use_chat: Whether conversations go through the model's chat template.

    Raises:
        DataError: A row of the data is not as it should be.
    """
    arrangement = arrange_items(suite.items(dataset, use_chat=use_chat), suite.MEAN_METRICS, rng)
    task = Task(suite, dataset, arrangement.order[:limit], use_chat, arrangement=arrangement)
    kept = tuple(task.read()) if len(task.chosen) <= _MOST_KEPT else Spool(task.read())
    return replace(task, kept=kept)


def request_size(request: Request) -> int:
    """Bytes of a request's prompt with its longest continuation, or with all that it may generate."""
    size = len(request_text(request).encode(errors="surrogatepass"))
    if isinstance(request, ScoreRequest):
        return size + max((len(text.encode(errors="surrogatepass")) for text in request.continuations), default=0)
    return size + request.sampling.max_tokens * BYTES_PER_TOKEN


def cut_chunks(items: Iterable[Item], chunk_tokens: int, *, most_items: int | None = None) -> Iterator[list[Item]]:
    """Cuts a stream of items into chunks of about `chunk_tokens` tokens to decode, or `most_items`; none is empty."""
    chunk: list[Item] = []
    size, previous = 0.0, ""
    for item in items:
        for request in item.requests:
            size += new_tokens(request, previous) + generated_tokens(request)
            previous = request_text(request)
        chunk.append(item)
        if size >= chunk_tokens or len(chunk) == most_items:
            yield chunk
            chunk, size = [], 0.0
    if chunk:
        yield chunk


def new_tokens(request: Request, previous: str) -> float:
    """Tokens to read for a request that comes after the prompt `previous`, roughly."""
    text = request_text(request)
    n_new = len(text) - shared_length(text, previous)
    if isinstance(request, ScoreRequest):
        n_new += sum(map(len, request.continuations))
    return n_new / BYTES_PER_TOKEN


def generated_tokens(request: Request) -> int:
    """Tokens that a request may generate, over all its texts."""
    return 0 if isinstance(request, ScoreRequest) else request.n * request.sampling.max_tokens
