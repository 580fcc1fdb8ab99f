"""In which order a run visits items that it may not get to the end of: wherever it stops, it has a fair sample.

What is drawn is an item with its neighbours of the same template, four at most: they share most of their prompt. Within
a group draws come in random order; the groups take turns so that each has had the same share of its draws, within one.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import pickle  # nosec B403 # for a file of this process's own, below
import tempfile
import weakref
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np

from llamabench.records import Item
from llamabench.suites.base import MeanMetric

MOST_NEIGHBOURS = 4
"""Items of one draw. BBQ has four of each context; more of a template say little that is new."""


class GroupSize(NamedTuple):
    """Draws of a group that hold items which count, and those items."""

    n_draws: int
    n_items: int


@dataclass(frozen=True, slots=True)
class Pool:
    """What there is to draw for one metric.

    Attributes:
        groups: The groups that have items which count, in the order of their names.
        largest: Items of the largest draw that count.
    """

    groups: Mapping[str, GroupSize]
    largest: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An order of all items of a suite.

    Attributes:
        order: Places of the items in the data.
        sizes: Items of each draw, in the same order.
        pools: What there is to draw, by the name of the metric.
    """

    order: tuple[int, ...]
    sizes: tuple[int, ...]
    pools: Mapping[str, Pool]


def arrange_items(items: Iterable[Item], metrics: Sequence[MeanMetric], rng: np.random.Generator) -> Arrangement:
    """Puts the items of a suite in the order in which a run with a budget visits them.

    Args:
        items: All of them, in the suite's order.
        metrics: The suite's metrics that are means.
        rng: Source of randomness.
    """
    groups, clusters, counting = [], [], []
    for item in items:
        groups.append(item.group)
        clusters.append(item.cluster)
        counting.append([metric.counts(item.facts) for metric in metrics])
    draws = arrange_draws(groups, clusters, rng)
    pools = {
        metric.name: _make_pool([(groups[draw[0]], sum(counting[place][number] for place in draw)) for draw in draws])
        for number, metric in enumerate(metrics)
    }
    return Arrangement(tuple(itertools.chain(*draws)), tuple(map(len, draws)), pools)


def _make_pool(draws: Sequence[tuple[str, int]]) -> Pool:
    n_draws: Counter[str] = Counter(group for group, n_items in draws if n_items)
    n_items: Counter[str] = Counter()
    for group, n in draws:
        n_items[group] += n
    sizes = {group: GroupSize(n_draws[group], n_items[group]) for group in sorted(n_draws)}
    return Pool(sizes, max((n for _, n in draws), default=0))


def arrange_draws(groups: Sequence[str], clusters: Sequence[str], rng: np.random.Generator) -> list[range]:
    """Joins neighbours into draws and puts the draws in order.

    After any number of draws, each group has had its share of that number, within one draw.

    Args:
        groups: Group of each item, in the suite's order.
        clusters: Template of each item.
        rng: Source of randomness.

    Returns:
        Places of the items of each draw.

    >>> arrange_draws(["a", "a", "b"], ["1", "1", "2"], np.random.default_rng(0))
    [range(0, 2), range(2, 3)]
    """
    members: defaultdict[str, list[range]] = defaultdict(list)
    for draw in _join_neighbours(groups, clusters):
        members[groups[draw[0]]].append(draw)
    shuffled = {
        group: iter([members[group][number] for number in rng.permutation(len(members[group]))])
        for group in sorted(members)
    }
    return [next(shuffled[group]) for group in take_turns({group: len(draws) for group, draws in members.items()})]


def _join_neighbours(groups: Sequence[str], clusters: Sequence[str]) -> Iterator[range]:
    first = 0
    for place in range(1, len(groups) + 1):
        is_same = place < len(groups) and (groups[place], clusters[place]) == (groups[first], clusters[first])
        if not is_same or place - first == MOST_NEIGHBOURS:
            yield range(first, place)
            first = place


def take_turns(sizes: Mapping[str, int]) -> Iterator[str]:
    """Names each group as often as it is large, such that any first k names have each group's share of k within one.

    The j-th name of a group may come no earlier and no later than its share of the names allows; of those that may
    come, the one that can wait least comes first.

    Source:
        Baruah, Cohen, Plaxton, Varvel 1996, doi:10.1007/BF01940883, for one processor.

    >>> "".join(take_turns({"a": 4, "b": 2}))
    'abaaba'
    """
    total = sum(sizes.values())
    waiting = [(0, group, 0) for group in sizes]
    heapq.heapify(waiting)
    ready: list[tuple[int, str, int]] = []
    for turn in range(total):
        while waiting and waiting[0][0] <= turn:
            _, group, number = heapq.heappop(waiting)
            heapq.heappush(ready, (math.ceil((number + 1) * total / sizes[group]), group, number))
        _, group, number = heapq.heappop(ready)
        yield group
        if number + 1 < sizes[group]:
            heapq.heappush(waiting, ((number + 1) * total // sizes[group], group, number + 1))


class Spool(Sequence[Item]):
    """Items in a file without a name, to be read in any order: those of a suite may be too many for the memory.

    Args:
        items: The items.
    """

    def __init__(self, items: Iterable[Item]):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the items are wanted
        self._close = weakref.finalize(self, _close, self._file)
        self._offsets = array("Q")
        for item in items:
            self._offsets.append(self._file.tell())
            pickle.dump(item, self._file)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, place: int) -> Item:  # type: ignore[override]
        self._file.seek(self._offsets[place])
        item: Item = pickle.load(self._file)  # nosec B301 # written by this object, into a file without a name
        return item


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what found no room on the disk is written once more, and is not wanted
        file.close()
