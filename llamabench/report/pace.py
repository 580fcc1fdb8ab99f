"""The picture of how fast a run went as time passed: one strip for each suite, from its first chunk to its last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llamabench.records import ChunkTiming
from llamabench.report.format import format_duration, format_things

N_STEPS = 60
"""Most steps of a strip; more chunks are put together, by time."""

_LEAST_CHUNKS = 4
"""Chunks of a step at least: two are under way at once, so the time between two ends says little of either."""
_LEAST_HEIGHT = 2.0
"""A step is drawn at least this high (per cent), so that a slow one is no gap."""


@dataclass(frozen=True, slots=True)
class PaceStep:
    """A stretch of time, `x`, `width` and `height` in per cent of the strip, and what was done in it."""

    x: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class PaceRow:
    """The pace of one suite.

    Attributes:
        label: The suite's title.
        steps: Stretches of its time, the fastest as high as the strip.
        mean: Where the mean stands, in per cent from the top.
        rate: The mean, as text.
        duration: How long the suite took, as text.
        text: All of it in words.
    """

    label: str
    steps: tuple[PaceStep, ...]
    mean: float
    rate: str
    duration: str
    text: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Items that were finished between two times, in seconds from the suite's first item."""

    start_s: float
    end_s: float
    n_items: int

    @property
    def rate(self) -> float:
        return self.n_items / (self.end_s - self.start_s)


def draw_pace(chunks: Sequence[ChunkTiming], titles: Mapping[str, str]) -> tuple[PaceRow, ...]:
    """Draw the items a second of each suite that took some time.

    Args:
        chunks: All chunks of a run, in the order they were stored; what lies between two sessions is in none.
        titles: The suites by name, in the order to show them.
    """
    rows = []
    for name, title in titles.items():
        stretches = _gather([chunk for chunk in chunks if chunk.suite == name])
        if stretches:
            rows.append(_draw(title, stretches))
    return tuple(rows)


def _gather(chunks: Sequence[ChunkTiming]) -> list[_Stretch]:
    """Put neighbouring chunks together until each stretch has its share of the time, and chunks enough."""
    total_s = sum(chunk.seconds for chunk in chunks)
    if total_s <= 0:
        return []
    stretches = []
    start_s = end_s = 0.0
    n_items = n_chunks = 0
    for chunk in chunks:
        end_s, n_items, n_chunks = end_s + chunk.seconds, n_items + chunk.n_items, n_chunks + 1
        if n_chunks >= _LEAST_CHUNKS and end_s - start_s >= total_s / N_STEPS:
            stretches.append(_Stretch(start_s, end_s, n_items))
            start_s, n_items, n_chunks = end_s, 0, 0
    if n_chunks:
        # what is left is too little for itself
        last = stretches.pop() if stretches else _Stretch(0.0, 0.0, 0)
        stretches.append(_Stretch(last.start_s, end_s, last.n_items + n_items))
    return stretches


def _draw(title: str, stretches: Sequence[_Stretch]) -> PaceRow:
    total_s, n_items = stretches[-1].end_s, sum(one.n_items for one in stretches)
    slowest, fastest = min(one.rate for one in stretches), max(one.rate for one in stretches)
    mean = n_items / total_s
    rate, duration = f"{format_rate(mean)}/s", format_duration(total_s)
    text = f"{title}: {format_things(n_items, 'item', 'items')} in {duration}, {rate} on average"
    if len(stretches) > 1:
        text += f", {format_rate(slowest)} where it was slowest, {format_rate(fastest)} where it was fastest"
    steps = (
        PaceStep(
            x=round(one.start_s / total_s * 100, 2),
            width=round((one.end_s - one.start_s) / total_s * 100, 2),
            height=round(max(one.rate / fastest * 100, _LEAST_HEIGHT), 2) if fastest else _LEAST_HEIGHT,
            label=f"after {format_duration(one.start_s)}: {format_rate(one.rate)}/s",
        )
        for one in stretches
    )
    place = round(100 - mean / fastest * 100, 2) if fastest else 100.0
    return PaceRow(title, tuple(steps), place, rate, duration, text)


def format_rate(per_s: float) -> str:
    """Format items a second to three digits.

    >>> format_rate(1234.5), format_rate(87.25), format_rate(5.1234), format_rate(0.01234)
    ('1,234', '87.2', '5.12', '0.0123')
    """
    return f"{per_s:,.0f}" if per_s >= 100 or per_s == 0 else f"{per_s:#.3g}"
