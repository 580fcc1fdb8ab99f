"""Comparisons turned into what a page, a summary and a terminal show: frozen views in which nothing is left to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from llamabench.records import Comparison, Difference, Divergence, Flips, Metric, Side, SuiteComparison
from llamabench.report.charts import Axis, Mark, make_bias_axis
from llamabench.report.costs import CostsView, describe_costs
from llamabench.report.format import NBSP, Scale, format_count, format_score, format_things
from llamabench.report.items import Pair
from llamabench.report.views import SuiteText
from llamabench.report.words import Tone, Verdict, find_words
from llamabench.results.alikeness import describe_mismatch

_TONES: Mapping[str, Tone] = {"improved": "improved", "regressed": "regressed", "changed": "changed"}
_GOALS = {"higher": "more is better", "lower": "less is better", "nearer 0": "nearer to 0 is better", None: "–"}
_N_NAMED = 8


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One metric in two runs as it is shown, the same wherever it is shown.

    Attributes:
        suite: Title of the suite.
        name: The metric's name.
        label: The metric in words.
        group: The part of the suite, None for the whole.
        first: The metric in the first run.
        second: In the second.
        change: Second less first; points where it is a share.
        interval: Its 95 % interval, None where it has none.
        verdict: What it allows to say.
        goal: Which way the metric is to go.
        p: P-value after correction, None without a test.
        detectable: The smallest change that would have been seen, None where that is not known.
        n: Items, and clusters where these are fewer.
        flips: Items that changed sides, None where there are no sides.
        how: How interval and p-value were made.
        mark: The change in the good direction on the axis of its picture; None where neither is good.
    """

    suite: str
    name: str
    label: str
    group: str | None
    first: str
    second: str
    change: str
    interval: str | None
    verdict: Verdict
    goal: str
    p: str | None
    detectable: str | None
    n: str
    flips: str | None
    how: str
    mark: Mark | None

    # the pictures of scores draw these, too
    chance: None = None
    missing: None = None

    @property
    def number(self) -> str:
        """The change with both values and its interval, as a sentence's part."""
        return f"{self.first} → {self.second}, {self.change} {self.interval or ''}".rstrip()

    @property
    def value(self) -> str:
        """Both values."""
        return f"{self.first} → {self.second}"

    @property
    def score(self) -> ChangeRow:
        """What the pictures of scores ask a row for."""
        return self


@dataclass(frozen=True, slots=True)
class ChangePlot:
    """Changes of one suite on one axis, towards better to the right."""

    title: str
    axis: Axis
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True, slots=True)
class FlipsView:
    """Items of one metric that changed sides, by their ids."""

    label: str
    rose: tuple[str, ...]
    fell: tuple[str, ...]
    n_rose: str
    n_fell: str


@dataclass(frozen=True, slots=True)
class SuiteChanges:
    """One suite in two runs."""

    name: str
    title: str
    facts: str
    plot: ChangePlot | None
    rows: tuple[ChangeRow, ...]
    groups: tuple[ChangeRow, ...]
    flips: tuple[FlipsView, ...]
    not_compared: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Areas:
    """All changes by what they allow to say."""

    improved: tuple[ChangeRow, ...]
    regressed: tuple[ChangeRow, ...]
    changed: tuple[ChangeRow, ...]
    unchanged: tuple[ChangeRow, ...]
    n_unchanged_groups: str
    too_few: tuple[ChangeRow, ...]
    n_too_few_groups: str
    not_compared: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A run against the first."""

    first: str
    second: str
    verdict: str
    areas: Areas
    suites: tuple[SuiteChanges, ...]
    mismatches: tuple[str, ...]
    is_grave: bool
    templates: tuple[str, ...]
    divergence: tuple[Pair, ...]
    no_divergence: str | None


@dataclass(frozen=True, slots=True)
class CompareView:
    """All that a comparison shows."""

    title: str
    has_demo: bool
    comparisons: tuple[ComparisonView, ...]
    costs: CostsView


def build_compare_view(comparisons: Sequence[Comparison], suites: Mapping[str, SuiteText]) -> CompareView:
    """Turns comparisons with one first run into what is shown.

    Args:
        comparisons: One or more.
        suites: What each suite says about itself, by name.
    """
    sides = [comparisons[0].first, *(one.second for one in comparisons)]
    names = name_sides(sides)
    return CompareView(
        title=f"{names[0]} against {', '.join(names[1:])}",
        has_demo=any(side.is_demo for side in sides),
        comparisons=tuple(
            _view_comparison(one, suites, (names[0], name)) for one, name in zip(comparisons, names[1:], strict=True)
        ),
        costs=describe_costs(sides, names),
    )


def name_sides(sides: Sequence[Side]) -> list[str]:
    """Names models so that they can be told apart: by name, or by file, or by run where these are alike."""
    for name in (_name_model, _name_file, _name_run):
        names = [name(side) for side in sides]
        if len(set(names)) == len(names):
            break
    return names


def _name_model(side: Side) -> str:
    return f"{side.model.name} {side.model.quant}"


def _name_file(side: Side) -> str:
    return f"{PurePath(side.model.path).stem} {side.model.quant}"


def _name_run(side: Side) -> str:
    return f"{_name_file(side)} ({side.run_id[:8]})"


def _view_comparison(one: Comparison, suites: Mapping[str, SuiteText], names: tuple[str, str]) -> ComparisonView:
    views = tuple(_view_suite(suite, suites[suite.suite]) for suite in one.suites)
    missing = [
        Pair(suites[name].TITLE if name in suites else name, "only one of the two has run it") for name in one.missing
    ]
    return ComparisonView(
        first=names[0],
        second=names[1],
        verdict=_say_verdict(views),
        areas=_sort_out(views, missing),
        suites=views,
        mismatches=tuple(describe_mismatch(mismatch) for mismatch in one.mismatches),
        is_grave=any(mismatch.is_grave for mismatch in one.mismatches),
        templates=tuple(_describe_templates((one.first, one.second), names)),
        divergence=_view_divergence(one.divergence) if one.divergence else (),
        no_divergence=one.no_divergence,
    )


def _describe_templates(sides: tuple[Side, Side], names: tuple[str, str]) -> Iterator[str]:
    """Says who was not asked as its makers mean it to be, so that both read the same text."""
    for mine, other in ((0, 1), (1, 0)):
        model, use = sides[mine].model, sides[mine].template
        if use == "none" and model.has_chat_template:
            why = "" if sides[other].model.has_chat_template else f", because {names[other]} has none"
            yield f"{names[mine]} was asked without its chat template{why}."
        elif use == "another" and sides[other].template == "own":
            why = "not through its own" if model.has_chat_template else "because it has none"
            yield f"{names[mine]} was asked through the chat template of {names[other]}, {why}."


def _say_verdict(views: Sequence[SuiteChanges]) -> str:
    """What a whole comparison comes to, in a sentence."""
    rows = [row for view in views for row in (*view.rows, *view.groups)]
    counts = {tone: sum(row.verdict.tone == tone for row in rows) for tone in ("improved", "regressed")}
    n_looked = format_things(len(rows), "score", "scores")
    if not any(counts.values()):
        return f"No evidence that any of {n_looked} improved or regressed."
    parts = [f"{n} {tone}" for tone, n in counts.items()]
    return f"Of {n_looked}, {' and '.join(parts)}."


# --- one suite ----------------------------------------------------------------------------------


def _view_suite(one: SuiteComparison, text: SuiteText) -> SuiteChanges:
    axis = make_bias_axis(_as_metrics(one.differences))
    rows = [_view_row(one.suite, text.TITLE, difference, axis) for difference in one.differences]
    rows.sort(key=lambda row: row.name not in text.MAIN_METRICS)
    whole = tuple(row for row in rows if row.group is None)
    pictured = tuple(row for row in whole if row.mark is not None)
    facts = [
        f"{format_things(one.n_paired, 'item', 'items')} in both runs",
        f"{format_count(one.n_other_answers)} answered otherwise",
    ]
    for n, which in ((one.n_first_only, "first"), (one.n_second_only, "second")):
        if n:
            facts.append(f"{format_count(n)} in the {which} run only")
    return SuiteChanges(
        name=one.suite,
        title=text.TITLE,
        facts=", ".join(facts),
        plot=ChangePlot("Change, in points", axis, pictured) if pictured else None,
        rows=whole,
        groups=tuple(row for row in rows if row.group is not None),
        flips=tuple(_view_flips(one.suite, one.differences, text.MAIN_METRICS)),
        not_compared=tuple(Pair(find_words(one.suite, name).label, why) for name, why in one.not_compared),
    )


def _as_metrics(differences: Iterable[Difference]) -> Iterable[Metric]:
    for one in differences:
        if one.group is None and one.difference is not None:
            yield Metric(one.metric, one.difference, one.n_items, one.low, one.high, "")


def _view_row(suite: str, title: str, one: Difference, axis: Axis) -> ChangeRow:
    words = find_words(suite, one.metric)
    values = [one.first, one.second]
    others = [[value for value in values[1 - place :][:1] if value is not None] for place in (0, 1)]
    shown = [
        "not defined" if value is None else format_score(value, words.scale, apart_from=apart)
        for value, apart in zip(values, others, strict=True)
    ]
    n = format_things(one.n_items, "item", "items")
    if one.n_clusters < one.n_items:
        n += f" in {format_things(one.n_clusters, 'cluster', 'clusters')}"
    return ChangeRow(
        suite=title,
        name=one.metric,
        label=words.label,
        group=one.group,
        first=shown[0],
        second=shown[1],
        change="–" if one.difference is None else _format_change(one.difference, words.scale),
        interval=_format_ends(one.low, one.high, words.scale),
        verdict=Verdict(_TONES.get(one.verdict, "open"), one.verdict),
        goal=_GOALS[one.better],
        p=None if one.adjusted_p is None else _format_p(one.adjusted_p),
        detectable=None if one.detectable is None else _format_change(one.detectable, words.scale).lstrip("+"),
        n=n,
        flips=None
        if one.flips is None
        else f"{format_count(one.flips.n_rose)} up, {format_count(one.flips.n_fell)} down",
        how=f"{one.method}; {one.test}",
        mark=None if words.scale == "number" else _place(one, axis),
    )


def _count_flips(flips: Flips) -> str:
    return f"{format_count(flips.n_rose)} up, {format_count(flips.n_fell)} down"


def _format_change(value: float, scale: Scale) -> str:
    if scale == "number":
        sign = "+" if value > 0 else ""
        return sign + format_score(value, "number")
    return format_score(value, "bias")


def _format_ends(low: float | None, high: float | None, scale: Scale) -> str | None:
    if low is None or high is None:
        return None
    return f"[{_format_change(low, scale)}, {_format_change(high, scale)}]"


def _format_p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _place(one: Difference, axis: Axis) -> Mark | None:
    """The change on the axis, turned so that better is to the right; None where neither way is."""
    if one.better is None or one.difference is None:
        return None
    sign = 1 if one.better == "higher" else -1
    ends = [] if one.low is None or one.high is None else sorted(axis.place(sign * end) for end in (one.low, one.high))
    low, high = ends if ends else (None, None)
    return Mark(axis.place(sign * one.difference), low, high, axis.place(0.0))


def _view_flips(suite: str, differences: Sequence[Difference], main: Sequence[str]) -> Iterable[FlipsView]:
    for one in differences:
        flips: Flips | None = one.flips
        if one.group is None and one.metric in main and flips is not None and flips.n_rose + flips.n_fell:
            yield FlipsView(
                find_words(suite, one.metric).label,
                flips.rose,
                flips.fell,
                format_count(flips.n_rose),
                format_count(flips.n_fell),
            )


# --- all suites ---------------------------------------------------------------------------------


def _sort_out(views: Sequence[SuiteChanges], missing: Sequence[Pair]) -> Areas:
    whole = [row for view in views for row in view.rows]
    groups = [row for view in views for row in view.groups]

    def say(verdict: str, rows: Iterable[ChangeRow]) -> tuple[ChangeRow, ...]:
        return tuple(row for row in rows if row.verdict.text == verdict)

    not_compared = [Pair(f"{view.title}: {one.name}", one.value) for view in views for one in view.not_compared]
    return Areas(
        improved=say("improved", [*whole, *groups]),
        regressed=say("regressed", [*whole, *groups]),
        changed=say("changed", [*whole, *groups]),
        unchanged=say("no evidence", whole),
        n_unchanged_groups=format_count(len(say("no evidence", groups))),
        too_few=say("too few items", whole),
        n_too_few_groups=format_count(len(say("too few items", groups))),
        not_compared=(*missing, *not_compared),
    )


def _view_divergence(found: Divergence) -> tuple[Pair, ...]:
    error = "" if found.mean_error is None else f" ± {found.mean_error:.4f}"
    percentiles = ", ".join(f"{name}: {value:.4f}" for name, value in found.percentiles.items())
    rest = f"{found.mean_rest:.2e}" if found.mean_rest else "nothing"
    prompts, n_tokens = format_things(found.n_prompts, "prompt", "prompts"), format_count(found.n_tokens)
    return (
        Pair("Text", f"{prompts} of the run, {n_tokens}{NBSP}tokens"),
        Pair("Mean KL divergence", f"{found.mean:.4f}{error} nats"),
        Pair("Percentiles of it", percentiles),
        Pair("Same likeliest token", format_score(found.agreement, "share")),
        Pair("Mean change of the next token's probability", f"{_format_change(found.mean_change, 'share')} points"),
        Pair("Root mean square of that change", format_score(found.root_mean_square_change, "share")),
        Pair("Log of the ratio of perplexities", f"{found.log_perplexity_ratio:+.4f}".replace("-", "\u2212")),
        Pair(
            "Told apart", f"the {format_count(found.n_kept)} likeliest tokens; {rest} of the probability is elsewhere"
        ),
    )
