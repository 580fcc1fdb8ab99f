"""Many runs turned into a leaderboard: one row a model, a column for each score that was asked in the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llamabench.records import Better, Metric, ModelFacts, RunInfo, Score, SpeedTest, SuiteChoice
from llamabench.repeats import summarise
from llamabench.report.charts import SHARE_AXIS, make_bias_axis
from llamabench.report.format import (
    format_bytes,
    format_count,
    format_interval,
    format_parameters,
    format_score,
    format_time,
)
from llamabench.report.scatter import Cost, Scatter, Spot, draw_scatter
from llamabench.report.speed import format_speed
from llamabench.report.views import RunReader, SuiteText
from llamabench.report.words import find_words
from llamabench.results.signature import asked_part

_SPEED_TEST = SpeedTest("generation", 128)
_GOALS: Mapping[Better | None, str] = {
    "higher": "higher is better",
    "lower": "lower is better",
    "nearer 0": "nearer 0 is better",
    None: "neither way is better by itself",
}


class SiteRun(NamedTuple):
    """A run, and the page with its report, relative to the site."""

    run: RunReader
    page: str


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A score that several models may have, asked in the same way."""

    suite: str
    label: str
    asked: str
    goal: str


@dataclass(frozen=True, slots=True)
class CellView:
    """One model's score; `order` is what the table is sorted by."""

    value: str
    interval: str | None
    order: float
    page: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of a model."""

    page: str
    started: str
    machine: str
    suites: str
    is_finished: bool


@dataclass(frozen=True, slots=True)
class ModelView:
    """A row of the leaderboard, and what the model's own page shows; `mark` tells it from others of its name."""

    page: str
    name: str
    quant: str
    mark: str | None
    size: str
    size_bytes: int
    weights: str
    speed: str | None
    tokens_per_s: float
    is_demo: bool
    cells: tuple[CellView | None, ...]
    runs: tuple[RunView, ...]


@dataclass(frozen=True, slots=True)
class SiteView:
    """All that the leaderboard and its pages show."""

    n_runs: str
    columns: tuple[ColumnView, ...]
    models: tuple[ModelView, ...]
    pictures: tuple[Scatter, ...]
    has_speeds: bool
    has_starters: bool


class _Column(NamedTuple):
    """What scores must agree in to be compared."""

    suite: str
    metric: str
    asked: str


class _Entry(NamedTuple):
    """A model with its runs, the newest last."""

    model: ModelFacts
    runs: tuple[SiteRun, ...]


def build_site(
    runs: Sequence[SiteRun],
    suites: Mapping[str, SuiteText],
    ways: Mapping[str, Mapping[str, Better | None]],
) -> SiteView:
    """Turn runs into a leaderboard.

    Args:
        runs: The runs; of several scores of a model in one column, the newest run's counts.
        suites: What each suite says about itself, by name.
        ways: For each suite which way its metrics are to go.
    """
    entries = _gather(runs)
    columns = _list_columns(runs, suites)
    found = [_find_scores(entry) for entry in entries]
    models = [
        _model(entry, scores, columns, mark=mark)
        for entry, scores, mark in zip(entries, found, _find_marks(entries), strict=True)
    ]
    return SiteView(
        n_runs=format_count(len(runs)),
        columns=tuple(_column(column, runs, suites=suites, ways=ways) for column in columns),
        models=tuple(models),
        pictures=tuple(_draw(columns, models, found, ways)),
        has_speeds=any(model.speed for model in models),
        has_starters=any(choice.edition == "starter" for one in runs for choice in one.run.info.suites),
    )


def _gather(runs: Sequence[SiteRun]) -> list[_Entry]:
    """The models in order of name and size, each with its runs."""
    of_model: dict[tuple[str, str], list[SiteRun]] = {}
    for one in sorted(runs, key=lambda one: one.run.info.created):
        of_model.setdefault((one.run.info.model.fingerprint, one.run.info.model.quant), []).append(one)
    entries = [_Entry(found[-1].run.info.model, tuple(found)) for found in of_model.values()]
    return sorted(entries, key=lambda entry: (entry.model.name.lower(), -entry.model.size_bytes))


def _find_marks(entries: Sequence[_Entry]) -> Iterator[str | None]:
    """What tells each model from others of its name and quantization: its file, or its digest; None where none is."""
    names = Counter((entry.model.name, entry.model.quant) for entry in entries)
    files = Counter((entry.model.name, entry.model.quant, entry.model.file_name) for entry in entries)
    for model in (entry.model for entry in entries):
        if names[model.name, model.quant] == 1:
            yield None
        elif files[model.name, model.quant, model.file_name] == 1:
            yield model.file_name
        else:
            yield f"{model.file_name}, {model.fingerprint[:8]}"


def _list_columns(runs: Sequence[SiteRun], suites: Mapping[str, SuiteText]) -> list[_Column]:
    """Columns in the order of suites and of their main metrics; those that more models have come first."""
    models: dict[_Column, set[str]] = {}
    for one in runs:
        for score in one.run.scores():
            if _is_shown(score, suites):
                models.setdefault(_column_of(score), set()).add(one.run.info.model.fingerprint)
    places = list(suites)

    def order(column: _Column) -> tuple[int, int, int, str]:
        main = list(suites[column.suite].MAIN_METRICS)
        place = main.index(column.metric) if column.metric in main else len(main)
        return places.index(column.suite), place, -len(models[column]), column.asked

    return sorted(models, key=order)


def _is_shown(score: Score, suites: Mapping[str, SuiteText]) -> bool:
    if score.suite not in suites or score.metric.group is not None or score.metric.value is None:
        return False
    return score.metric.name in suites[score.suite].MAIN_METRICS or score.metric.judge is not None


def _column_of(score: Score) -> _Column:
    return _Column(score.suite, score.metric.name, asked_part(score.signature))


def _find_scores(entry: _Entry) -> dict[_Column, tuple[Metric, str]]:
    """The newest score in each column, with its run's page."""
    return {
        _column_of(score): (score.metric, one.page)
        for one in entry.runs
        for score in one.run.scores()
        if score.metric.group is None and score.metric.value is not None
    }


def _column(
    column: _Column,
    runs: Sequence[SiteRun],
    *,
    suites: Mapping[str, SuiteText],
    ways: Mapping[str, Mapping[str, Better | None]],
) -> ColumnView:
    parts = dict(part.partition(":")[::2] for part in column.asked.split("|"))
    edition, n = parts.get("data", "").partition("@")[0], parts.get("n", "")
    facts = [f"{format_count(int(n))} items" if n.isdecimal() else "", f"edition {edition}" if edition else ""]
    facts += [f"judged by {parts['judge'].split('@')[1]}"] if parts.get("judge", "").count("@") else []
    return ColumnView(
        suite=suites[column.suite].TITLE,
        label=find_words(column.suite, column.metric).label,
        asked=", ".join(fact for fact in facts if fact),
        goal=_GOALS[ways.get(column.suite, {}).get(column.metric)],
    )


# --- rows ---------------------------------------------------------------------------------------


def _model(
    entry: _Entry, scores: Mapping[_Column, tuple[Metric, str]], columns: Sequence[_Column], *, mark: str | None
) -> ModelView:
    model, rate = entry.model, _read_speed(entry)
    return ModelView(
        page=_name_page(model),
        name=model.name,
        quant=model.quant,
        mark=mark,
        size=format_bytes(model.size_bytes),
        size_bytes=model.size_bytes,
        weights=format_parameters(model.n_params),
        speed=None if rate is None else format_speed(rate),
        tokens_per_s=rate or 0.0,
        is_demo=any(one.run.info.is_demo for one in entry.runs),
        cells=tuple(_cell(column, scores) for column in columns),
        runs=tuple(_run(one) for one in reversed(entry.runs)),
    )


def _name_page(model: ModelFacts) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{model.name}-{model.quant}").strip("-.")[:80]
    return f"model-{name}-{model.fingerprint[:8]}.html"


def _cell(column: _Column, scores: Mapping[_Column, tuple[Metric, str]]) -> CellView | None:
    if column not in scores:
        return None
    metric, page = scores[column]
    assert metric.value is not None, "scores without a value are in no column"
    scale, interval = find_words(column.suite, column.metric).scale, None
    if metric.low is not None and metric.high is not None:
        interval = format_interval(metric.low, metric.high, scale=scale)
    return CellView(format_score(metric.value, scale), interval, metric.value, page)


def _read_speed(entry: _Entry) -> float | None:
    """Tokens a second of one text, as last measured."""
    for one in reversed(entry.runs):
        for speed in reversed(one.run.speeds()):
            for timing in speed.timings:
                if timing.test == _SPEED_TEST:
                    return summarise(timing.tokens_per_s)[0]
    return None


def _run(one: SiteRun) -> RunView:
    info: RunInfo = one.run.info
    return RunView(
        page=one.page,
        started=format_time(info.created),
        machine=info.machine.cpu,
        suites=", ".join(map(_name_choice, info.suites)),
        is_finished=one.run.is_finished,
    )


def _name_choice(choice: SuiteChoice) -> str:
    return f"{choice.name} ({format_count(choice.n_items)}, {choice.edition})"


# --- pictures -----------------------------------------------------------------------------------


def _draw(
    columns: Sequence[_Column],
    models: Sequence[ModelView],
    found: Sequence[Mapping[_Column, tuple[Metric, str]]],
    ways: Mapping[str, Mapping[str, Better | None]],
) -> Iterator[Scatter]:
    """A picture for each score that two models have and that has a good direction: against size, and against speed."""
    size = Cost("size of the file", True, lambda amount: format_bytes(round(amount)))
    speed = Cost("tokens a second of one text", False, format_speed)
    for column in columns:
        better = ways.get(column.suite, {}).get(column.metric)
        scale = find_words(column.suite, column.metric).scale
        metrics = [scores[column][0] for scores in found if column in scores]
        if better is None or scale == "number" or len(metrics) < 2:
            continue
        axis = SHARE_AXIS if scale == "share" else make_bias_axis(metrics)
        title = find_words(column.suite, column.metric).label
        with_score = [
            (model, scores[column][0]) for model, scores in zip(models, found, strict=True) if column in scores
        ]
        for cost, amounts in (
            (size, [one.size_bytes for one, _ in with_score]),
            (speed, [one.tokens_per_s for one, _ in with_score]),
        ):
            spots = [
                Spot(" ".join(filter(None, (model.name, model.quant, model.mark))), amount, metric.value or 0.0)
                for (model, metric), amount in zip(with_score, amounts, strict=True)
                if amount > 0
            ]
            if len(spots) > 1:
                yield draw_scatter(title, spots, axis, better=better, cost=cost)
