"""The picture of how far predictions came true: confidence across, the share that was right upwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamabench.records import Metric
from llamabench.report.format import format_count, format_interval, format_score

_EXPECTED, _OBSERVED = "confidence", "confirmed"
_LEAST = 0.5
"""Of two answers the one that is found likelier has at least this probability."""


@dataclass(frozen=True, slots=True)
class ReliabilityPoint:
    """Predictions made with about the same confidence; places in per cent, `y` from above.

    Attributes:
        x: Where their mean confidence stands.
        y: Where the share stands that came true.
        low: Where the lower end of its interval stands.
        high: Where the upper end stands.
        confidence: The mean confidence, as text.
        confirmed: The share with its interval, as text.
        n: How many there are.
    """

    x: float
    y: float
    low: float
    high: float
    confidence: str
    confirmed: str
    n: str


@dataclass(frozen=True, slots=True)
class ReliabilityPlot:
    """One kind of prediction."""

    title: str
    points: tuple[ReliabilityPoint, ...]


def is_about_reliability(name: str) -> bool:
    """Whether a metric is a part of this picture: `confidence` and `confirmed`, or what begins so."""
    return name.split("_")[0] in (_EXPECTED, _OBSERVED)


def draw_reliability(metrics: Sequence[Metric], *, name: Callable[[str], str]) -> tuple[ReliabilityPlot, ...]:
    """Place each pair of metrics `confidence...` and `confirmed...` of the same group.

    Args:
        metrics: All metrics of a suite; groups without any prediction are left out.
        name: What a metric `confirmed...` is called.
    """
    expected = {(one.name.removeprefix(_EXPECTED), one.group): one for one in metrics if one.name.startswith(_EXPECTED)}
    kinds: dict[str, list[ReliabilityPoint]] = {}
    for metric in metrics:
        if metric.name.startswith(_OBSERVED):
            point = _place(expected.get((metric.name.removeprefix(_OBSERVED), metric.group)), metric)
            if point is not None:
                kinds.setdefault(metric.name, []).append(point)
    return tuple(ReliabilityPlot(name(kind), tuple(points)) for kind, points in kinds.items())


def _place(expected: Metric | None, observed: Metric) -> ReliabilityPoint | None:
    if expected is None or expected.value is None or observed.value is None:
        return None
    if observed.low is None or observed.high is None:
        return None
    interval = format_interval(observed.low, observed.high, scale="share")
    return ReliabilityPoint(
        x=round((expected.value - _LEAST) / (1 - _LEAST) * 100, 2),
        y=round(100 - observed.value * 100, 2),
        low=round(100 - observed.low * 100, 2),
        high=round(100 - observed.high * 100, 2),
        confidence=format_score(expected.value, "share"),
        confirmed=f"{format_score(observed.value, 'share')} {interval}",
        n=format_count(observed.n),
    )
