"""Results of a red-team run turned into what an attack report shows: views in which nothing is left to work out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llamabench.records import AttackResult, RedTeamResults
from llamabench.report.attack_banners import raise_attack_banners, uses_builtin
from llamabench.report.attack_compare import Comparison, ComparisonView, compare_attacks, view_comparison
from llamabench.report.attack_direct import DirectView, compare_with_plain
from llamabench.report.attack_names import Names, name_plainly
from llamabench.report.attack_pictures import (
    OUTCOMES,
    CurvePlot,
    HeatMap,
    OutcomeBar,
    draw_curves,
    draw_heat,
    draw_outcomes,
    draw_severity,
)
from llamabench.report.attack_shares import (
    RateView,
    count_share,
    has_succeeded,
    is_refused,
    reaches,
    split_attacks,
    view_share,
    worst_first,
)
from llamabench.report.attack_transcripts import AttackList, TranscriptWriter
from llamabench.report.banners import Banner
from llamabench.report.charts import SHARE_AXIS, Axis
from llamabench.report.format import format_count, format_things, format_time
from llamabench.report.histogram import Histogram
from llamabench.report.items import Pair

NO_VERDICT = ("unparsed", "errored")
"""How attacks without a verdict ended."""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report of attacks is asked to show.

    Attributes:
        threshold: Severity from which on an attack counts as severe, 0 to 1.
        titles: Titles of techniques by their names.
        is_redacted: Whether answers are left out.
        other: Another run to compare with.
    """

    threshold: float
    titles: Mapping[str, str]
    is_redacted: bool = False
    other: RedTeamResults | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a filter: what is compared, and what is read."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What attacks can be narrowed down by."""

    categories: tuple[Choice, ...]
    techniques: tuple[Choice, ...]
    outcomes: tuple[Choice, ...]
    severities: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class AttacksView:
    """All that a report of attacks shows.

    Attributes:
        run_id: The run.
        llamabench: Version that made it.
        model: Name of the model.
        quant: Its quantization.
        file: What its file is called.
        machine: The machine.
        started: When it began.
        n_attacks: Harmful requests and harmless twins, as text.
        behaviours: Edition of the behaviours.
        seed: Seed of every random choice.
        is_builtin: Whether the behaviours come with llamabench.
        banners: What must be known first.
        threshold: Severity from which on an attack counts as severe, as text.
        success: Attacks that succeeded.
        severe: Attacks at or over the threshold.
        over_refusal: Harmless twins that were refused, None where there are none.
        categories: Success in each category, the worst first.
        subcategories: The same for their parts.
        axis: Axis of all rates.
        heat: Techniques against categories.
        outcome_names: Ways to end, the best for the model's owner first.
        outcomes: How the attacks of each technique ended.
        severity: How severe they were.
        n_harmless: Attacks with a verdict that are of no severity, as text.
        curves: After how many tries they succeeded.
        direct: What refusing the plain request would prevent.
        comparison: This run beside another, None where that was not asked.
        filters: What attacks can be narrowed down by.
        lists: The attacks.
        settings: How it was made.
        scorers: Built-in scorers and how well they agree with people.
        judge: Title of the judge, None where none was asked.
        signature: What the scores may be compared with.
        is_redacted: Whether answers are left out.
    """

    run_id: str
    llamabench: str
    model: str
    quant: str
    file: str
    machine: str
    started: str
    n_attacks: str
    behaviours: str
    seed: str
    is_builtin: bool
    banners: tuple[Banner, ...]
    threshold: str
    success: RateView
    severe: RateView
    over_refusal: RateView | None
    categories: tuple[RateView, ...]
    subcategories: tuple[RateView, ...]
    axis: Axis
    heat: HeatMap
    outcome_names: tuple[str, ...]
    outcomes: tuple[OutcomeBar, ...]
    severity: Histogram | None
    n_harmless: str
    curves: tuple[CurvePlot, ...]
    direct: DirectView
    comparison: ComparisonView | None
    filters: Filters
    lists: tuple[AttackList, ...]
    settings: tuple[Pair, ...]
    scorers: tuple[str, ...]
    judge: str | None
    signature: str
    is_redacted: bool


def build_attacks_view(results: RedTeamResults, options: ReportOptions) -> AttacksView:
    """Turn the results of a red-team run into what its report shows.

    Raises:
        StoreError: There is another run to compare with, and the two have no attack in common.
    """
    names = Names(options.titles)
    harmful = [attack for attack in results.attacks if not attack.target.is_benign]
    benign = [attack for attack in results.attacks if attack.target.is_benign]
    comparison = find_comparison(results, options)
    return AttacksView(
        run_id=results.run_id,
        llamabench=results.llamabench,
        model=results.model,
        quant=results.quant,
        file=results.model_file,
        machine=results.machine,
        started=format_time(results.created),
        n_attacks=_count_attacks(len(harmful), len(benign)),
        behaviours=results.behaviours,
        seed=str(results.seed),
        is_builtin=uses_builtin(results),
        banners=raise_attack_banners(results, is_redacted=options.is_redacted),
        threshold=f"{options.threshold:g}",
        success=view_share("Attack success", count_share(harmful, has_succeeded)),
        severe=view_share("Severe", count_share(harmful, reaches(options.threshold))),
        over_refusal=view_share("Over-refusal", count_share(benign, is_refused)) if benign else None,
        categories=_rate_parts(harmful, lambda attack: name_plainly(attack.target.category)),
        subcategories=_rate_parts(harmful, _name_subcategory),
        axis=SHARE_AXIS,
        heat=draw_heat(harmful, names),
        outcome_names=OUTCOMES,
        outcomes=draw_outcomes(harmful, names),
        severity=draw_severity(harmful, options.threshold),
        n_harmless=format_count(sum(attack.severity == 0 for attack in harmful)),
        curves=draw_curves(harmful, names),
        direct=compare_with_plain(harmful, names),
        comparison=None if comparison is None else view_comparison(comparison, names),
        filters=_offer_filters(results.attacks, names, threshold=options.threshold),
        lists=_write_lists(harmful, benign, options=options),
        settings=_describe_settings(results),
        scorers=results.scorers,
        judge=results.judge,
        signature=results.signature,
        is_redacted=options.is_redacted,
    )


def find_comparison(results: RedTeamResults, options: ReportOptions) -> Comparison | None:
    """Set the results beside the others that the options name, None where they name none.

    Raises:
        StoreError: The two have no attack in common.
    """
    return None if options.other is None else compare_attacks(results, options.other, options.threshold)


def _count_attacks(n_harmful: int, n_benign: int) -> str:
    attacks = format_things(n_harmful, "attack", "attacks")
    return f"{attacks}, {format_things(n_benign, 'harmless twin', 'harmless twins')}" if n_benign else attacks


def _rate_parts(attacks: Sequence[AttackResult], key: Callable[[AttackResult], str]) -> tuple[RateView, ...]:
    parts = split_attacks(attacks, key)
    shares = worst_first((name, count_share(mine, has_succeeded)) for name, mine in parts.items())
    return tuple(view_share(name, share) for name, share in shares)


def _name_subcategory(attack: AttackResult) -> str:
    return f"{name_plainly(attack.target.category)}: {name_plainly(attack.target.subcategory)}"


def _offer_filters(attacks: Sequence[AttackResult], names: Names, *, threshold: float) -> Filters:
    categories = sorted({name_plainly(attack.target.category) for attack in attacks})
    techniques = sorted({names.technique(attack.technique) for attack in attacks}, key=str.lower)
    ended = {attack.outcome or attack.status for attack in attacks}
    steps = sorted({threshold, 0.9, 0.7, 0.5, 0.3, 0.1}, reverse=True)
    return Filters(
        categories=tuple(Choice(name, name) for name in categories),
        techniques=tuple(Choice(name, name) for name in techniques),
        outcomes=tuple(Choice(name, name) for name in (*OUTCOMES, *NO_VERDICT) if name in ended),
        severities=tuple(Choice(f"{step:g}", f"Severity {step:g} or more") for step in steps),
    )


def _write_lists(
    harmful: Sequence[AttackResult], benign: Sequence[AttackResult], *, options: ReportOptions
) -> tuple[AttackList, ...]:
    """Write the severe attacks first: what a page has room for is theirs."""
    writer = TranscriptWriter(Names(options.titles), options.threshold, options.is_redacted)
    is_severe = reaches(options.threshold)
    severe = [attack for attack in harmful if is_severe(attack)]
    others = [attack for attack in harmful if not is_severe(attack)]
    lists = [
        writer.write("severe", f"At or over {options.threshold:g}", severe, is_brief=False),
        writer.write("others", "All other attacks", others, is_brief=True),
    ]
    if benign:
        lists.append(writer.write("twins", "Harmless twins", benign, is_brief=True))
    return tuple(lists)


def _describe_settings(results: RedTeamResults) -> tuple[Pair, ...]:
    settings = (Pair(name, value) for name, value in results.settings.items())
    return (
        Pair("Run", results.run_id),
        Pair("Started", format_time(results.created)),
        Pair("llamabench", results.llamabench),
        Pair("Model file", results.model_sha256),
        Pair("Machine", results.machine),
        Pair("Behaviours", results.behaviours),
        Pair("Seed", str(results.seed)),
        *settings,
        Pair("Judge", results.judge or "none asked"),
        Pair("Signature", results.signature),
    )
