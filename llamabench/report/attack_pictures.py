"""Pictures of attacks: techniques against categories, how they ended, how severe they were, after how many tries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llamabench.records import AttackResult
from llamabench.report.attack_names import Names, cut_id, name_plainly
from llamabench.report.attack_shares import (
    RateView,
    Share,
    count_share,
    has_succeeded,
    split_attacks,
    view_share,
    worst_first,
)
from llamabench.report.charts import Axis, Segment, Tick, stack_parts
from llamabench.report.format import NBSP, format_count, format_score
from llamabench.report.histogram import Histogram, Pictured, count_in_bins

OUTCOMES = ("refused", "evaded", "partial", "complied")
"""How an attack with a verdict ended, the best for the model's owner first."""

N_SHADES = 6
_SEVERITY_AXIS = Axis("share", 1.0, tuple(Tick(25.0 * i, f"{i / 4:g}") for i in range(5)))
_MOST_CURVES = 6
_SHOWN_TRIES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell: its rate, and how dark it is, 0 to `N_SHADES` - 1."""

    rate: RateView
    shade: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One technique: a cell for each category, None where it was not tried there, and one for all together.

    `name` is what it is asked for by.
    """

    title: str
    name: str
    cells: tuple[HeatCell | None, ...]
    total: HeatCell


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Success of techniques against categories."""

    categories: tuple[str, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class OutcomeBar:
    """How the attacks of one technique ended: counts in the order of `OUTCOMES`, and those without a verdict.

    `name` is what it is asked for by.
    """

    title: str
    name: str
    n: str
    counts: tuple[str, ...]
    failed: str
    segments: tuple[Segment, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of a picture, all in per cent, `y` from above."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Successes of one technique by the number of tries.

    Attributes:
        title: The technique.
        strokes: The steps of its line, none where it is in the table alone.
        cells: The share of attacks that succeeded by each of the tries in the table.
        rate: The share that succeeded at all.
        text: All that in words.
    """

    title: str
    strokes: tuple[Stroke, ...]
    cells: tuple[str, ...]
    rate: RateView
    text: str


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """Curves that share an axis of tries, or turns.

    Attributes:
        title: What they show.
        unit: What is counted: "try" or "turn".
        axis: The axis.
        columns: Numbers of tries in the table.
        curves: One for each technique, the most successful first.
    """

    title: str
    unit: str
    axis: Axis
    columns: tuple[str, ...]
    curves: tuple[Curve, ...]


def draw_heat(attacks: Sequence[AttackResult], names: Names) -> HeatMap:
    """Set techniques, the most successful first, against categories."""
    categories = sorted({attack.target.category for attack in attacks})
    parts = split_attacks(attacks, lambda attack: attack.technique)
    shares = _rank_techniques(parts, names)
    rows = []
    for name, share in shares:
        by_category = split_attacks(parts[name], lambda attack: attack.target.category)
        cells = tuple(
            _view_cell(count_share(by_category[category], has_succeeded)) if category in by_category else None
            for category in categories
        )
        rows.append(HeatRow(names.technique(name), cut_id(name), cells, _view_cell(share)))
    return HeatMap(tuple(map(name_plainly, categories)), tuple(rows))


def draw_outcomes(attacks: Iterable[AttackResult], names: Names) -> tuple[OutcomeBar, ...]:
    """Count how the attacks of each technique ended, the most successful technique first."""
    parts = split_attacks(attacks, lambda attack: attack.technique)
    shares = _rank_techniques(parts, names)
    return tuple(_draw_bar(names.technique(name), cut_id(name), parts[name]) for name, _ in shares)


def draw_severity(attacks: Iterable[AttackResult], threshold: float) -> Histogram | None:
    """Count attacks by severity; those of severity 0 are left out, for they would dwarf all others."""
    severities = [attack.severity for attack in attacks if attack.severity]
    pictured = Pictured("severity", "Attacks by severity, those of severity 0 left out", threshold)
    return count_in_bins(severities, pictured, _SEVERITY_AXIS)


def draw_curves(attacks: Iterable[AttackResult], names: Names) -> tuple[CurvePlot, ...]:
    """Draw after how many tries the techniques that try several times succeed, a picture for each family."""
    plots = []
    for family, mine in split_attacks(attacks, lambda attack: attack.family).items():
        parts = split_attacks(mine, lambda attack: attack.technique)
        several = {name: part for name, part in parts.items() if any(len(attack.attempts) > 1 for attack in part)}
        if several:
            plots.append(_draw_curves(family, several, names))
    return tuple(plots)


def _rank_techniques(parts: Mapping[str, Sequence[AttackResult]], names: Names) -> list[tuple[str, Share]]:
    return worst_first(((name, count_share(mine, has_succeeded)) for name, mine in parts.items()), names.technique)


def _view_cell(share: Share) -> HeatCell:
    shade = 0 if share.value is None else min(int(share.value * N_SHADES), N_SHADES - 1)
    return HeatCell(view_share("", share), shade)


def _draw_bar(title: str, name: str, attacks: Sequence[AttackResult]) -> OutcomeBar:
    counts = Counter(str(attack.outcome) for attack in attacks if attack.outcome is not None)
    parts, failed = [(kind, counts[kind]) for kind in OUTCOMES], len(attacks) - counts.total()
    words = [f"{format_count(n)} {kind}" for kind, n in parts if n]
    if failed:
        words.append(f"{format_count(failed)} without a verdict")
    return OutcomeBar(
        title=title,
        name=name,
        n=format_count(len(attacks)),
        counts=tuple(format_count(n) for _, n in parts),
        failed=format_count(failed),
        segments=stack_parts(parts, failed),
        text=f"{title}: {', '.join(words)}",
    )


def _draw_curves(family: str, parts: dict[str, list[AttackResult]], names: Names) -> CurvePlot:
    unit = "turn" if family == "multi-turn" else "try"
    n_most = max(len(attack.attempts) for part in parts.values() for attack in part)
    columns = sorted({1, n_most, *(n for n in _SHOWN_TRIES if n < n_most)})
    marks = [n for n in columns if n in (1, n_most) or n_most <= 10 or (n - 1) / (n_most - 1) > 0.08]
    axis = Axis("share", 1.0, tuple(Tick(_place_try(n, n_most), str(n)) for n in marks))
    shares = _rank_techniques(parts, names)
    curves = [
        _draw_curve(names.technique(name), parts[name], share=share, columns=columns, is_drawn=number < _MOST_CURVES)
        for number, (name, share) in enumerate(shares)
    ]
    things = "turns" if unit == "turn" else "tries"
    title = f"Succeeded after so many {things}: {family}"
    return CurvePlot(title, unit, axis, tuple(map(str, columns)), tuple(curves))


def _draw_curve(
    title: str, attacks: Sequence[AttackResult], *, share: Share, columns: Sequence[int], is_drawn: bool
) -> Curve:
    firsts = Counter(attack.first_success for attack in attacks if attack.outcome is not None and attack.first_success)
    n_most, n = columns[-1], max(share.n, 1)
    reached = [sum(count for first, count in firsts.items() if first <= number) / n for number in range(1, n_most + 1)]
    cells = tuple(format_score(reached[number - 1], "share") for number in columns)
    strokes = []
    heights = [round(100 - 100 * value, 2) for value in reached]
    for number, height in enumerate(heights, 1):
        x1, x2 = _place_try(number, n_most), _place_try(number + 1, n_most)
        strokes.append(Stroke(x1, height, x2, height))
        if number < n_most and heights[number] != height:
            strokes.append(Stroke(x2, height, x2, heights[number]))
    words = ", ".join(f"{cell} by {number}" for cell, number in zip(cells, columns, strict=True))
    text = f"{title}, {format_count(share.n)}{NBSP}attacks: {words}"
    return Curve(title, tuple(strokes) if is_drawn else (), cells, view_share(title, share), text)


def _place_try(number: int, n_most: int) -> float:
    """Where the step after so many tries begins."""
    return round(100 * (number - 1) / n_most, 2)
