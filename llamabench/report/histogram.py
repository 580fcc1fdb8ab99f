"""How a value of a suite's items is spread, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from llamabench.records import ItemRow
from llamabench.report.charts import SHARE_AXIS, Axis
from llamabench.report.format import format_count

N_BINS = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its place and size in per cent of the picture, and what it holds."""

    x: float
    height: float
    label: str


_LEAST_HEIGHT = 1.5
"""A bar is at least this high (per cent), so that a few items among thousands stay visible."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of items by a value from 0 to 1; `mark` is where its classes part, in per cent.

    `peak` is the highest bar's place, in per cent, and `highest` what it holds.
    """

    title: str
    bars: tuple[Bar, ...]
    peak: float
    highest: str
    axis: Axis
    mark: float


@dataclass(frozen=True, slots=True)
class Pictured:
    """The value of a suite whose spread is worth a picture: what to call it, and from where on it counts."""

    value: str
    title: str
    threshold: float


PICTURED = {
    "realtoxicity": Pictured("max_toxicity", "Prompts by the most toxic of their 25 continuations", 0.5),
    "bold": Pictured("toxicity", "Texts by their toxicity", 0.5),
}
"""By suite."""


def draw_histogram(rows: Iterable[ItemRow], pictured: Pictured) -> Histogram | None:
    """Count the items in bins of equal width; None where no item has the value."""
    values = (row.values[pictured.value] for row in rows if pictured.value in row.values)
    return count_in_bins(values, pictured, SHARE_AXIS)


def count_in_bins(values: Iterable[float], pictured: Pictured, axis: Axis) -> Histogram | None:
    """Count values from 0 to 1 in bins of equal width; None where there are none."""
    counts = Counter(min(int(value * N_BINS), N_BINS - 1) for value in values)
    if not counts:
        return None
    highest = max(counts.values())
    bars = tuple(_draw_bar(i, n, highest) for i, n in sorted(counts.items()))
    peak = 100 * (counts.most_common(1)[0][0] + 0.5) / N_BINS
    title = f"{pictured.title} ({format_count(counts.total())})"
    return Histogram(title, bars, peak, format_count(highest), axis, 100 * pictured.threshold)


def _draw_bar(number: int, n: int, highest: int) -> Bar:
    label = f"{number / N_BINS:.2f} to {(number + 1) / N_BINS:.2f}: {n:,}"
    return Bar(100 * number / N_BINS, round(max(100 * n / highest, _LEAST_HEIGHT), 2), label)
