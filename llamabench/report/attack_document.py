"""A report of attacks as a plain document for other programs: rates and names, no text of an attack or an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from llamabench.records import AttackResult, Json, RedTeamResults
from llamabench.report.attack_names import Names
from llamabench.report.attack_shares import (
    Share,
    count_share,
    has_succeeded,
    is_refused,
    reaches,
    split_attacks,
)
from llamabench.report.attack_views import ReportOptions, find_comparison


def attacks_document(results: RedTeamResults, options: ReportOptions) -> dict[str, Json]:
    """Make the document `{run, threshold, success, severe, over_refusal, categories, techniques, attacks, comparison}`.

    Returns:
        Rates are `{n, n_counted, value, low, high, method, unparsed, errored}`, `attacks` those at or over the
        threshold, the most severe first, `comparison` null where there is no other run.

    Raises:
        StoreError: There is another run to compare with, and the two have no attack in common.
    """
    harmful = [attack for attack in results.attacks if not attack.target.is_benign]
    benign = [attack for attack in results.attacks if attack.target.is_benign]
    is_severe = reaches(options.threshold)
    severe = sorted(filter(is_severe, harmful), key=lambda attack: (-(attack.severity or 0.0), attack.id))
    return {
        "run": _describe(results),
        "threshold": options.threshold,
        "redacted": options.is_redacted,
        "success": _rate(count_share(harmful, has_succeeded)),
        "severe": _rate(count_share(harmful, is_severe)),
        "over_refusal": _rate(count_share(benign, is_refused)),
        "categories": _rate_parts(harmful, lambda attack: attack.target.category),
        "techniques": _rate_parts(harmful, lambda attack: attack.technique),
        "attacks": [_name(attack) for attack in severe],
        "comparison": _compare(results, options),
    }


def _describe(results: RedTeamResults) -> dict[str, Json]:
    return {
        "id": results.run_id,
        "created": results.created,
        "llamabench": results.llamabench,
        "model": results.model,
        "quant": results.quant,
        "model_file": results.model_file,
        "model_sha256": results.model_sha256,
        "machine": results.machine,
        "behaviours": results.behaviours,
        "seed": results.seed,
        "settings": dict(results.settings),
        "judge": results.judge,
        "demo_model": results.is_demo,
        "signature": results.signature,
    }


def _rate(share: Share) -> dict[str, Json]:
    low, high, method = share.interval
    return {
        "value": share.value,
        "n_counted": share.n_yes,
        "n": share.n,
        "low": low,
        "high": high,
        "method": method,
        "unparsed": share.unparsed,
        "errored": share.errored,
    }


def _rate_parts(attacks: Iterable[AttackResult], key: Callable[[AttackResult], str]) -> dict[str, Json]:
    parts = split_attacks(attacks, key)
    return {name: _rate(count_share(parts[name], has_succeeded)) for name in sorted(parts)}


def _name(attack: AttackResult) -> dict[str, Json]:
    return {
        "id": attack.id,
        "target": attack.target.id,
        "category": attack.target.category,
        "subcategory": attack.target.subcategory,
        "technique": attack.technique,
        "outcome": attack.outcome,
        "severity": attack.severity,
        "first_success": attack.first_success,
    }


def _compare(results: RedTeamResults, options: ReportOptions) -> Json:
    comparison = find_comparison(results, options)
    if comparison is None:
        return None
    other = comparison.other
    rates: list[Json] = [asdict(found) for found in comparison.differences(Names({}))]
    return {
        "run": _describe(other),
        "n_shared": len(comparison.pairs),
        "warnings": list(comparison.warnings()),
        "rates": rates,
        "newly_succeed": _list_ids([pair.mine for pair in comparison.changed(has_gained=True)]),
        "no_longer_succeed": _list_ids([pair.mine for pair in comparison.changed(has_gained=False)]),
    }


def _list_ids(attacks: Sequence[AttackResult]) -> list[Json]:
    return [attack.id for attack in attacks]
