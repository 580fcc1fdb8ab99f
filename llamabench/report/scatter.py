"""Geometry of pictures that set quality against what it costs: size or speed across, a score upwards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llamabench.records import Better
from llamabench.report.charts import Axis, Tick
from llamabench.report.format import format_score

_MARGIN = 0.08
"""Share of the picture that is left free at each end, so that dots and names have room."""


class Spot(NamedTuple):
    """One thing to place: its name, what it costs, and its score."""

    label: str
    cost: float
    value: float


class Cost(NamedTuple):
    """What stands across: its name, whether less of it is better, and how it is written."""

    name: str
    is_less_better: bool
    write: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Point:
    """A dot, in per cent of the picture; `is_best` where nothing else is better for the same cost or less."""

    label: str
    text: str
    x: float
    y: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class Scatter:
    """A picture with dots; ticks across in per cent of its width, `axis` upwards."""

    title: str
    across: str
    ticks: tuple[Tick, ...]
    axis: Axis
    points: tuple[Point, ...]


def draw_scatter(title: str, spots: Sequence[Spot], axis: Axis, *, better: Better, cost: Cost) -> Scatter:
    """Place models by cost and score, the cost on a logarithmic scale.

    Args:
        title: What the score is.
        spots: What to place, one or more; costs above 0.
        axis: Axis of the score.
        better: Which way the score is to go.
        cost: What is across.
    """
    low, high = math.log(min(spot.cost for spot in spots)), math.log(max(spot.cost for spot in spots))
    if high - low < math.log(1.5):
        low, high = low - math.log(1.25), high + math.log(1.25)

    def place(amount: float) -> float:
        share = (math.log(amount) - low) / (high - low)
        return round((_MARGIN + share * (1 - 2 * _MARGIN)) * 100, 2)

    def draw(spot: Spot, *, is_best: bool) -> Point:
        text = f"{spot.label}: {format_score(spot.value, axis.scale)}, {cost.write(spot.cost)}"
        return Point(spot.label, text, place(spot.cost), round(100 - axis.place(spot.value), 2), is_best)

    best = find_best(spots, better=better, is_less_better=cost.is_less_better)
    ends = (math.exp(low), math.exp((low + high) / 2), math.exp(high))
    return Scatter(
        title=title,
        across=cost.name,
        ticks=tuple(Tick(place(amount), cost.write(amount)) for amount in ends),
        axis=axis,
        points=tuple(draw(spot, is_best=number in best) for number, spot in enumerate(spots)),
    )


def find_best(spots: Sequence[Spot], *, better: Better, is_less_better: bool) -> set[int]:
    """Find the Pareto front: those that nothing beats in one respect without losing in the other.

    >>> spots = [Spot("a", 1, 0.5), Spot("b", 2, 0.4), Spot("c", 3, 0.9)]
    >>> sorted(find_best(spots, better="higher", is_less_better=True))
    [0, 2]
    """
    points = [(spot.cost if is_less_better else -spot.cost, _loss(spot.value, better)) for spot in spots]
    return {
        number
        for number, (cost, loss) in enumerate(points)
        if not any(other != (cost, loss) and other[0] <= cost and other[1] <= loss for other in points)
    }


def _loss(value: float, better: Better) -> float:
    return {"higher": -value, "lower": value, "nearer 0": abs(value)}[better]
