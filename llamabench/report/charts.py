"""Geometry of the pictures in a report: numbers to places on an axis, in per cent of its length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llamabench.records import Machine, Metric, OutcomeKind
from llamabench.report.format import MINUS, Scale, format_bytes

_BIAS_REACHES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_LEAST_WIDTH = 0.6
"""A part of a bar is drawn at least this wide (per cent), so that a few errors among thousands stay visible."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place in per cent and what is written there."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from 0 to 1 for shares, from minus to plus `reach` for biases."""

    scale: Scale
    reach: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Return where a value stands, 0 to 100."""
        share = value if self.scale == "share" else (value / self.reach + 1) / 2
        return round(min(max(share, 0.0), 1.0) * 100, 2)


@dataclass(frozen=True, slots=True)
class Mark:
    """A number on an axis, in per cent of its length.

    Attributes:
        value: Where the number stands.
        low: Lower end of its interval, None where it has none.
        high: Upper end.
        reference: Where chance stands, for a bias 0; None where there is no such thing.
    """

    value: float
    low: float | None
    high: float | None
    reference: float | None


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of an outcome bar, `x` and `width` in per cent."""

    outcome: str
    n: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """What a plan expects to take of a device's memory.

    Attributes:
        device: Name, with what it is.
        expected: Bytes expected, as text.
        available: Bytes that were free, and in all, as text; None where that is unknown.
        fill: Expected share of all memory, in per cent.
        free: Where the free memory ends, in per cent; None where that is unknown.
    """

    device: str
    expected: str
    available: str | None
    fill: float
    free: float | None


SHARE_AXIS = Axis("share", 1.0, tuple(Tick(x, f"{x:.0f}") for x in (0.0, 25.0, 50.0, 75.0, 100.0)))


def make_bias_axis(metrics: Iterable[Metric]) -> Axis:
    """Make an axis centred on 0 that reaches as far as the widest interval needs, and no further.

    >>> make_bias_axis([Metric("bias", 0.03, 90, -0.02, 0.08, "")]).reach
    0.1
    """
    numbers = [abs(x) for metric in metrics for x in (metric.value, metric.low, metric.high) if x is not None]
    widest = max(numbers, default=0.0)
    reach = next((reach for reach in _BIAS_REACHES if widest <= reach), 1.0)
    end = f"{reach * 100:.0f}"
    half = f"{reach * 50:g}"
    labels = (f"{MINUS}{end}", f"{MINUS}{half}", "0", f"+{half}", f"+{end}")
    return Axis("bias", reach, tuple(Tick(25.0 * i, label) for i, label in enumerate(labels)))


def place_metric(metric: Metric, axis: Axis, *, chance: float | None) -> Mark | None:
    """Place a metric on an axis; None where it has no value."""
    if metric.value is None:
        return None
    has_interval = metric.low is not None and metric.high is not None
    reference = 0.0 if axis.scale == "bias" else chance
    return Mark(
        axis.place(metric.value),
        axis.place(metric.low) if has_interval and metric.low is not None else None,
        axis.place(metric.high) if has_interval and metric.high is not None else None,
        None if reference is None else axis.place(reference),
    )


def stack_outcomes(counts: Mapping[OutcomeKind, int], n_missing: int = 0) -> tuple[Segment, ...]:
    """Lay the outcomes of a suite's items end to end; what is left of 100 per cent are the items still missing."""
    kinds: Sequence[OutcomeKind] = ("scored", "unparsed", "errored")
    return stack_parts([(kind, counts.get(kind, 0)) for kind in kinds], n_missing)


def stack_parts(parts: Sequence[tuple[str, int]], n_missing: int = 0) -> tuple[Segment, ...]:
    """Lay named counts end to end; none of those that are not 0 vanishes.

    >>> [(part.outcome, part.x, part.width) for part in stack_parts([("yes", 30), ("maybe", 0), ("no", 10)])]
    [('yes', 0.0, 75.0), ('no', 75.0, 25.0)]
    """
    present = [(kind, n) for kind, n in parts if n]
    total = sum(n for _, n in present) + n_missing
    widths = [max(n / total * 100, _LEAST_WIDTH) for _, n in present]
    room = 100.0 if not n_missing else max(100 - n_missing / total * 100, _LEAST_WIDTH * len(present))
    shrink = min(1.0, room / sum(widths)) if widths else 1.0
    segments, x = [], 0.0
    for (kind, n), width in zip(present, widths, strict=True):
        segments.append(Segment(kind, n, round(x, 2), round(width * shrink, 2)))
        x += width * shrink
    return tuple(segments)


def draw_memory(expected_bytes: Mapping[str, int], machine: Machine) -> tuple[MemoryBar, ...]:
    """Set the memory that a plan expects to take against what each device has."""
    devices = {device.name: device for device in machine.devices}
    bars = []
    for name, expected in expected_bytes.items():
        device = devices.get(name)
        if device is not None:
            free, total, label = device.free_bytes, device.total_bytes, f"{name} \u00b7 {device.description}"
        elif name == "CPU":
            free, total, label = machine.ram_available_bytes, machine.ram_total_bytes, "CPU \u00b7 main memory"
        else:
            free, total, label = 0, 0, name
        bars.append(_draw_bar(label, expected, free=free, total=total))
    return tuple(bars)


def _draw_bar(label: str, expected: int, *, free: int, total: int) -> MemoryBar:
    if total <= 0:
        return MemoryBar(label, format_bytes(expected), None, 100.0, None)
    available = f"{format_bytes(free)} free of {format_bytes(total)}"
    fill = round(min(expected / total, 1.0) * 100, 2)
    return MemoryBar(label, format_bytes(expected), available, fill, round(min(free / total, 1.0) * 100, 2))
