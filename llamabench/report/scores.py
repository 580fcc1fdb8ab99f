"""A suite's scores as sentences, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.records import Metric
from llamabench.report.charts import SHARE_AXIS, Axis, Mark, make_bias_axis, place_metric
from llamabench.report.format import NBSP, Scale, format_count, format_interval, format_score, show_hidden
from llamabench.report.reliability import ReliabilityPlot, draw_reliability, is_about_reliability
from llamabench.report.words import MetricWords, Verdict, explain_missing, find_words, judge_gap, judge_metric


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score as it is shown, the same wherever it is shown.

    Attributes:
        name: The metric's name.
        label: The metric in words.
        value: Its number, or "not defined".
        interval: Its 95 % interval, None where it has none.
        missing: Why there is no number, None where there is one.
        chance: What guessing gets, None where that means nothing.
        n: Items it was computed from.
        unparsed: Items whose answer could not be read.
        errored: Items that ended in an error.
        method: How the interval was made.
        verdict: What the interval allows to say.
        judge: Who judged, None where nobody did.
    """

    name: str
    label: str
    value: str
    interval: str | None
    missing: str | None
    chance: str | None
    n: str
    unparsed: str
    errored: str
    method: str
    verdict: Verdict
    judge: str | None

    @property
    def number(self) -> str:
        """The value with its interval."""
        return f"{self.value} {self.interval}" if self.interval else self.value

    @property
    def failures(self) -> str:
        """The counts of items that gave no number, empty where all did."""
        counts = ((self.unparsed, "unparsed"), (self.errored, "errored"))
        return ", ".join(f"{n}{NBSP}{kind}" for n, kind in counts if n != "0")


@dataclass(frozen=True, slots=True)
class PlotRow:
    """One line of a picture; `mark` is None where there is no number to place."""

    label: str
    score: ScoreRow
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: numbers on one axis."""

    title: str
    axis: Axis
    rows: tuple[PlotRow, ...]


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentence about one main metric, as it opens and closes around the number, and its picture."""

    before: str
    after: str
    row: PlotRow
    axis: Axis


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group's scores, in the order of the table's columns."""

    group: str
    cells: tuple[ScoreRow | None, ...]


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The scores of a suite's groups."""

    columns: tuple[str, ...]
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True)
class ScoreSheet:
    """The metrics of one suite, to be laid out.

    Attributes:
        suite: Name of the suite.
        chance: What guessing gets, None where that means nothing.
        main: The metrics that matter most, in order.
        metrics: All metrics, of the whole and of groups.
    """

    suite: str
    chance: float | None
    main: Sequence[str]
    metrics: Sequence[Metric]

    def rows(self) -> tuple[ScoreRow, ...]:
        """Lay out the metrics of the whole suite, main ones first."""
        return tuple(self._row(metric) for metric in self._whole())

    def headlines(self) -> tuple[Headline, ...]:
        """Say the main metrics in sentences, and those that somebody wanted a judge for."""
        main = [metric for metric in self._whole() if metric.name in self.main or metric.judge]
        bias_axis = make_bias_axis(metric for metric in main if self._words(metric.name).scale == "bias")
        return tuple(self._headline(metric, bias_axis) for metric in main)

    def plots(self) -> tuple[Plot, ...]:
        """Draw the metrics of the whole suite: those that are shares on one axis, biases on another."""
        shares = [metric for metric in self._whole() if self._words(metric.name).scale == "share"]
        biases = [metric for metric in self._whole() if self._words(metric.name).scale == "bias"]
        plots = []
        if shares:
            plots.append(self._plot("Scores, in per cent", SHARE_AXIS, metrics=shares))
        if biases:
            plots.append(self._plot("Bias scores", make_bias_axis(biases), metrics=biases))
        return tuple(plots)

    def group_plots(self) -> tuple[Plot, ...]:
        """Draw each main metric group by group, the highest value on top; biases share one axis."""
        groups = [metric for metric in self.metrics if metric.group is not None and metric.name in self.main]
        bias_axis = make_bias_axis(metric for metric in groups if self._words(metric.name).scale == "bias")
        plots = []
        for name in self.main:
            mine = sorted((metric for metric in groups if metric.name == name), key=_highest_first)
            words = self._words(name)
            axis = SHARE_AXIS if words.scale == "share" else bias_axis
            if len(mine) > 1:
                rows = tuple(self._plot_row(metric.group or "", metric, axis=axis) for metric in mine)
                plots.append(Plot(words.label, axis, rows))
        return tuple(plots)

    def group_table(self) -> GroupTable | None:
        """Lay out all metrics of all groups; None where the suite has no groups."""
        grouped = [one for one in self._shown() if one.group is not None and not is_about_reliability(one.name)]
        if not grouped:
            return None
        names = sorted({metric.name: None for metric in grouped}, key=self._main_first)
        cells = {(metric.group, metric.name): self._row(metric) for metric in grouped}
        groups = sorted({metric.group or "" for metric in grouped})
        rows = (GroupRow(group, tuple(cells.get((group, name)) for name in names)) for group in groups)
        return GroupTable(tuple(self._words(name).label for name in names), tuple(rows))

    def reliability(self) -> tuple[ReliabilityPlot, ...]:
        """Draw how far what was predicted came true, for each kind of prediction."""
        return draw_reliability(self.metrics, name=lambda metric: self._words(metric).label)

    def _whole(self) -> list[Metric]:
        whole = [metric for metric in self._shown() if metric.group is None]
        return sorted(whole, key=lambda metric: self._main_first(metric.name))

    def _main_first(self, name: str) -> int:
        return list(self.main).index(name) if name in self.main else len(self.main)

    def _words(self, name: str) -> MetricWords:
        return find_words(self.suite, name)

    def _shown(self) -> list[Metric]:
        """Leave out what only says what chance gives of another metric."""
        of_others = {self._words(metric.name).chance_metric for metric in self.metrics}
        return [metric for metric in self.metrics if metric.name not in of_others]

    def _by_chance(self, metric: Metric) -> Metric | None:
        """Find what chance gives of a metric where that is a metric of its own."""
        name = self._words(metric.name).chance_metric
        return next((one for one in self.metrics if (one.name, one.group) == (name, metric.group)), None)

    def _chance(self, metric: Metric) -> float | None:
        """Find what guessing gets; what a suite says of itself is about its first main metric."""
        by_chance = self._by_chance(metric)
        if by_chance is not None:
            return by_chance.value
        is_first = bool(self.main) and metric.name == self.main[0]
        return self.chance if is_first else self._words(metric.name).find_chance(self.chance)

    def _plot(self, title: str, axis: Axis, *, metrics: Sequence[Metric]) -> Plot:
        rows = (self._plot_row(self._words(metric.name).label, metric, axis=axis) for metric in metrics)
        return Plot(title, axis, tuple(rows))

    def _plot_row(self, label: str, metric: Metric, *, axis: Axis) -> PlotRow:
        return PlotRow(label, self._row(metric), place_metric(metric, axis, chance=self._chance(metric)))

    def _headline(self, metric: Metric, bias_axis: Axis) -> Headline:
        words = self._words(metric.name)
        axis = SHARE_AXIS if words.scale == "share" else bias_axis
        row = self._plot_row(words.label, metric, axis=axis)
        if row.score.missing:
            return Headline(f"{words.label}:", row.score.missing, row, axis)
        who = "groups made at random do by" if words.chance_metric else "guessing gets"
        guessing = f"; {who} {row.score.chance}" if row.score.chance else ""
        return Headline(words.before, f"{words.after}{guessing}".strip(), row, axis)

    def _row(self, metric: Metric) -> ScoreRow:
        words, chance = self._words(metric.name), self._chance(metric)
        boundaries = () if chance is None else (chance,)
        value, interval, missing = "not defined", None, None
        if metric.value is None:
            missing = explain_missing(metric, words)
        else:
            value = format_score(metric.value, words.scale, apart_from=boundaries)
            if metric.low is not None and metric.high is not None:
                interval = format_interval(metric.low, metric.high, scale=words.scale, apart_from=boundaries)
        verdict = judge_metric(metric, words.scale, chance=chance)
        if words.chance_metric:
            verdict = judge_gap(metric, self._by_chance(metric))
        return ScoreRow(
            name=metric.name,
            label=words.label,
            value=value,
            interval=interval,
            missing=missing,
            chance=None if chance is None else _format_chance(chance, words.scale),
            n=format_count(metric.n),
            unparsed=format_count(metric.unparsed),
            errored=format_count(metric.errored),
            method=metric.method,
            verdict=verdict,
            judge=None if metric.judge is None else show_hidden(metric.judge),
        )


def _format_chance(chance: float, scale: Scale) -> str | None:
    if scale == "bias":
        return None
    return f"{chance:.3g}" if scale == "number" else f"{chance * 100:.3g}{NBSP}%"


def _highest_first(metric: Metric) -> tuple[bool, float, str]:
    return metric.value is None, -(metric.value or 0.0), metric.group or ""
