"""What came of attacks as tables for the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llamabench.records import Metric, RedTeamResults
from llamabench.report.attack_names import Names, cut_id
from llamabench.report.attack_terminal import make_table
from llamabench.report.format import NBSP, format_count, format_interval, format_score, format_things, show_hidden
from llamabench.report.words import find_words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

_SUITE = "redteam"
_TECHNIQUE = "technique "
_N_WORST = 6
_MAIN = ("attack_success_rate", "mean_severity", "severe_share", "success_per_answer", "success_per_target")
_JUDGED = ("judged_attack_success_rate", "judge_kappa")


class SeverityCount(NamedTuple):
    """Attacks whose severity is known, and those of them that are at or over a threshold."""

    n_over: int
    n: int


def count_severe(results: RedTeamResults, threshold: float) -> SeverityCount:
    """Counts the attacks at or over a severity.

    Args:
        results: The attacks.
        threshold: Severity, 0 to 1.
    """
    severities = [attack.severity for attack in results.attacks if attack.severity is not None]
    return SeverityCount(sum(severity >= threshold for severity in severities), len(severities))


def rank_groups(results: RedTeamResults, names: Names, *, of_techniques: bool) -> list[tuple[Metric, Metric | None]]:
    """Success rates of categories, or of techniques, with their mean severities; the worst first."""
    severities = {metric.group: metric for metric in results.metrics if metric.name == "mean_severity"}
    rates = [
        metric
        for metric in results.metrics
        if metric.name == "attack_success_rate"
        and metric.group is not None
        and metric.group.startswith(_TECHNIQUE) == of_techniques
        and metric.value is not None
    ]
    ranked = sorted(rates, key=lambda metric: (-(metric.value or 0), -(metric.low or 0), _name(metric, names).lower()))
    return [(metric, severities.get(metric.group)) for metric in ranked]


def red_team_tables(results: RedTeamResults, threshold: float, titles: Mapping[str, str]) -> Group:
    """Lay out what came of attacks: the scores, then the worst categories and techniques.

    Args:
        results: The attacks.
        threshold: Severity from which an attack counts as severe.
        titles: Titles of techniques by their names.
    """
    from rich.console import Group
    from rich.text import Text

    names = Names(titles)
    heading = Text.assemble(
        (show_hidden(f"Attacks on {results.model} {results.quant}"), "bold"), "\n", (_state(results), "dim")
    )
    parts: list[RenderableType] = [heading, _scores(results, threshold)]
    for title, of_techniques in (("worst categories", False), ("worst techniques", True)):
        ranked = rank_groups(results, names, of_techniques=of_techniques)
        if ranked:
            parts.append(_worst(title, ranked[:_N_WORST], names))
    return Group(*parts)


def _state(results: RedTeamResults) -> str:
    n_twins = sum(attack.target.is_benign for attack in results.attacks)
    counts = [
        format_things(len(results.attacks) - n_twins, "attack", "attacks"),
        *([format_things(n_twins, "harmless twin", "harmless twins")] if n_twins else []),
        *(
            f"{format_count(n)}{NBSP}{status}"
            for status in ("unparsed", "errored")
            if (n := sum(attack.status == status for attack in results.attacks))
        ),
    ]
    return ", ".join([*counts, f"targets {results.behaviours}, seed {results.seed}"])


def _scores(results: RedTeamResults, threshold: float) -> Table:
    table = make_table("score", "value", "95 % interval", "of")
    whole = {metric.name: metric for metric in results.metrics if metric.group is None}
    _add_scores(table, (whole[name] for name in _MAIN[:2] if name in whole))
    severe = count_severe(results, threshold)
    share = "" if severe.n == 0 else format_score(severe.n_over / severe.n, "share")
    table.add_row(f"Severity of {threshold:g} or more", share, "", f"{severe.n_over}/{severe.n}")
    _add_scores(table, (whole[name] for name in (*_MAIN[3:], "over_refusal", *_JUDGED) if name in whole))
    return table


def _add_scores(table: Table, metrics: Iterable[Metric]) -> None:
    for metric in metrics:
        words = find_words(_SUITE, metric.name)
        value = "none" if metric.value is None else format_score(metric.value, words.scale)
        table.add_row(words.label, value, _interval(metric), format_count(metric.n))


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return format_interval(metric.low, metric.high, scale=find_words(_SUITE, metric.name).scale)


def _worst(title: str, ranked: Sequence[tuple[Metric, Metric | None]], names: Names) -> Table:
    from rich.text import Text

    table = make_table(title, "success", "95 % interval", "severity", "of")
    for rate, severity in ranked:
        assert rate.value is not None
        mean = "" if severity is None or severity.value is None else format_score(severity.value, "number")
        name = Text(show_hidden(_name(rate, names)))
        table.add_row(name, format_score(rate.value, "share"), _interval(rate), mean, format_count(rate.n))
    return table


def _name(rate: Metric, names: Names) -> str:
    """What a category is called, or a technique, with the name that it is asked for by."""
    assert rate.group is not None
    name = rate.group.removeprefix(_TECHNIQUE)
    return name if name == rate.group else f"{names.technique(name)}\n  {cut_id(name)}"
