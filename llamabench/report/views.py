"""A stored run turned into what a score report shows: frozen views in which nothing is left to work out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llamabench.records import Audit, ChunkTiming, ItemRow, OutcomeKind, RunInfo, Score, Speed, SuiteChoice
from llamabench.report.audits import describe_audit
from llamabench.report.banners import Banner, SuiteState, raise_banners
from llamabench.report.charts import MemoryBar, Segment, draw_memory, stack_outcomes
from llamabench.report.format import format_count, format_duration, format_time
from llamabench.report.histogram import PICTURED, Histogram, draw_histogram
from llamabench.report.items import ItemsView, Pair, build_items
from llamabench.report.pace import PaceRow, draw_pace
from llamabench.report.reliability import ReliabilityPlot
from llamabench.report.scores import GroupTable, Headline, Plot, ScoreRow, ScoreSheet
from llamabench.report.settings import SettingsView, describe_settings, name_size
from llamabench.report.speed import SpeedView, describe_speed


class EventText(Protocol):
    """Something that happened to a run: when (ISO 8601), of what kind, and what it was."""

    @property
    def time(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def text(self) -> str: ...  # noqa: D102


class RunReader(Protocol):
    """What a report reads of a stored run; `llamabench.results.store.Run` is one."""

    @property
    def info(self) -> RunInfo:
        """What the run is."""

    @property
    def is_finished(self) -> bool:
        """Whether every item has an outcome and every score is made."""

    def scores(self) -> Sequence[Score]:
        """Return the scores, in the order of suites and metrics."""

    def rows(self, suite: str) -> Iterator[ItemRow]:
        """Yield a suite's finished items in the order they were made."""

    def counts(self, suite: str) -> Mapping[OutcomeKind, int]:
        """Count a suite's finished items by how they ended."""

    def audits(self) -> Sequence[Audit]:
        """Return what scoring some items again found, by suite."""

    def speeds(self) -> Sequence[Speed]:
        """Return measurements of the machine's speed, oldest first."""

    def events(self) -> Sequence[EventText]:
        """Return what happened, oldest first."""

    def timings(self) -> Mapping[str, float]:
        """Return the seconds spent on each suite."""

    def chunks(self) -> Sequence[ChunkTiming]:
        """Return how long each chunk took, in the order they were stored."""


class SuiteText(Protocol):
    """What a suite says about itself; the modules in `llamabench.suites.SUITES` are such."""

    @property
    def TITLE(self) -> str: ...  # noqa: D102
    @property
    def FOCUS(self) -> str: ...  # noqa: D102
    @property
    def FORMAT(self) -> str: ...  # noqa: D102
    @property
    def SOURCE(self) -> str: ...  # noqa: D102
    @property
    def LICENCE(self) -> str: ...  # noqa: D102
    @property
    def LIMITATIONS(self) -> str: ...  # noqa: D102
    @property
    def CHANCE(self) -> float | None: ...  # noqa: D102
    @property
    def MAIN_METRICS(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SuiteView:
    """One suite of a run."""

    name: str
    title: str
    focus: str
    how: str
    source: str
    licence: str
    limitations: str
    edition: str
    is_starter: bool
    n_done: str
    n_items: str
    n_available: str
    counts: Mapping[OutcomeKind, str]
    outcomes: tuple[Segment, ...]
    headlines: tuple[Headline, ...]
    rows: tuple[ScoreRow, ...]
    plots: tuple[Plot, ...]
    histogram: Histogram | None
    group_plots: tuple[Plot, ...]
    groups: GroupTable | None
    reliability: tuple[ReliabilityPlot, ...]
    items: ItemsView
    audit: str | None
    scorers: tuple[Pair, ...]
    judges: tuple[str, ...]
    signatures: tuple[str, ...]
    duration: str | None


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened to a run."""

    time: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ScoreView:
    """All that a score report shows."""

    run_id: str
    llamabench: str
    model: str
    quant: str
    file: str
    model_size: str
    machine: str
    started: str
    duration: str | None
    banners: tuple[Banner, ...]
    suites: tuple[SuiteView, ...]
    speed: SpeedView | None
    pace: tuple[PaceRow, ...]
    memory: tuple[MemoryBar, ...]
    reasons: tuple[str, ...]
    settings: tuple[SettingsView, ...]
    machine_notes: tuple[str, ...]
    events: tuple[EventView, ...]


def build_score_view(run: RunReader, suites: Mapping[str, SuiteText]) -> ScoreView:
    """Turn a stored run into what its report shows.

    Args:
        run: The run; its rows are read once, or twice where their spread is drawn.
        suites: What each suite says about itself, by name.
    """
    info, timings, scores = run.info, run.timings(), run.scores()
    views = []
    for choice in info.suites:
        text, mine = suites[choice.name], [score for score in scores if score.suite == choice.name]
        views.append(_build_suite(run, choice, text=text, scores=mine))
    states = [
        SuiteState(view.title, choice, run.counts(choice.name)) for view, choice in zip(views, info.suites, strict=True)
    ]
    return ScoreView(
        run_id=info.id,
        llamabench=info.llamabench,
        model=info.model.name,
        quant=info.model.quant,
        file=info.model.file_name,
        model_size=name_size(info.model),
        machine=info.machine.cpu,
        started=format_time(info.created),
        duration=format_duration(sum(timings.values())) if timings else None,
        banners=raise_banners(info, states, is_finished=run.is_finished),
        suites=tuple(views),
        speed=next((describe_speed(speed, info.model.size_bytes) for speed in reversed(run.speeds())), None),
        pace=draw_pace(run.chunks(), {view.name: view.title for view in views}),
        memory=draw_memory(info.plan.expected_bytes, info.machine),
        reasons=info.plan.reasons,
        settings=describe_settings(info),
        machine_notes=info.machine.notes,
        events=tuple(EventView(format_time(event.time), event.kind, event.text) for event in run.events()),
    )


def _build_suite(run: RunReader, choice: SuiteChoice, *, text: SuiteText, scores: Sequence[Score]) -> SuiteView:
    counts, seconds = run.counts(choice.name), run.timings().get(choice.name)
    n_done, pictured = sum(counts.values()), PICTURED.get(choice.name)
    sheet = ScoreSheet(choice.name, text.CHANCE, text.MAIN_METRICS, [score.metric for score in scores])
    return SuiteView(
        name=choice.name,
        title=text.TITLE,
        focus=text.FOCUS,
        how=text.FORMAT,
        source=text.SOURCE,
        licence=text.LICENCE,
        limitations=text.LIMITATIONS,
        edition=choice.edition,
        is_starter=choice.edition == "starter",
        n_done=format_count(n_done),
        n_items=format_count(choice.n_items),
        n_available=format_count(choice.n_available),
        counts={kind: format_count(n) for kind, n in counts.items()},
        outcomes=stack_outcomes(counts, max(choice.n_items - n_done, 0)),
        headlines=sheet.headlines(),
        rows=sheet.rows(),
        plots=sheet.plots(),
        histogram=draw_histogram(run.rows(choice.name), pictured) if pictured else None,
        group_plots=sheet.group_plots(),
        groups=sheet.group_table(),
        reliability=sheet.reliability(),
        items=build_items(run.rows(choice.name), run.info.seed, n_suites=len(run.info.suites)),
        audit=next((describe_audit(audit) for audit in run.audits() if audit.suite == choice.name), None),
        scorers=tuple(Pair(one.name, one.agreement) for one in choice.scorers),
        judges=tuple(dict.fromkeys(row.judge for row in sheet.rows() if row.judge)),
        signatures=tuple(dict.fromkeys(score.signature for score in scores)),
        duration=None if seconds is None else format_duration(seconds),
    )
