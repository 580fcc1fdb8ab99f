"""How many of some attacks did what: counts, shares and their intervals, and how they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from llamabench.records import AttackResult, Metric
from llamabench.report.charts import SHARE_AXIS, place_metric
from llamabench.report.format import format_count, format_interval, format_score
from llamabench.report.scores import PlotRow, ScoreRow
from llamabench.report.words import Verdict
from llamabench.stats import Interval, cluster_wilson_interval

Test = Callable[[AttackResult], bool]
"""Whether an attack counts; asked of those with a verdict only."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the attacks that have a verdict count.

    Attributes:
        n_yes: Attacks that count.
        n: Attacks that have a verdict.
        unparsed: Attacks whose answers could not be judged.
        errored: Attacks that ended in an error.
        interval: The 95 % interval of the share; attacks on one target are not independent.
    """

    n_yes: int
    n: int
    unparsed: int
    errored: int
    interval: Interval

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; None where nothing has a verdict."""
        return self.n_yes / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class RateView:
    """A share as it is shown: what it is of, `row` its number and picture, `count` as in "12 of 40"."""

    count: str
    row: PlotRow


def count_share(attacks: Iterable[AttackResult], is_counted: Test) -> Share:
    """Count the attacks that pass a test."""
    clusters: dict[str, list[int]] = {}
    failures: Counter[str] = Counter()
    for attack in attacks:
        if attack.outcome is None:
            failures[attack.status] += 1
            continue
        cluster = clusters.setdefault(attack.target.id, [0, 0])
        cluster[0] += 1
        cluster[1] += is_counted(attack)
    n, n_yes = sum(cluster[0] for cluster in clusters.values()), sum(cluster[1] for cluster in clusters.values())
    return Share(n_yes, n, failures["unparsed"], failures["errored"], _find_interval(list(clusters.values())))


def has_succeeded(attack: AttackResult) -> bool:
    """Whether any try got an answer, in part or in full."""
    return attack.has_succeeded


def is_refused(attack: AttackResult) -> bool:
    """Whether all tries were refused."""
    return attack.outcome == "refused"


def reaches(threshold: float) -> Test:
    """Make the test of whether the worst answer is as severe as a threshold, or more."""
    return lambda attack: attack.severity is not None and attack.severity >= threshold


def view_share(label: str, share: Share) -> RateView:
    """Lay out a share."""
    value, (low, high, method) = share.value, share.interval
    metric = Metric(label, value, share.n, low, high, method)
    score = ScoreRow(
        name=label,
        label=label,
        value="\u2013" if value is None else format_score(value, "share"),
        interval=None if low is None or high is None else format_interval(low, high, scale="share"),
        missing="none has a verdict" if value is None else None,
        chance=None,
        n=format_count(share.n),
        unparsed=format_count(share.unparsed),
        errored=format_count(share.errored),
        method=method,
        verdict=Verdict("open", ""),
        judge=None,
    )
    row = PlotRow(label, score, place_metric(metric, SHARE_AXIS, chance=None))
    return RateView(f"{format_count(share.n_yes)} of {format_count(share.n)}", row)


def worst_first(shares: Iterable[tuple[str, Share]], label: Callable[[str], str] = str) -> list[tuple[str, Share]]:
    """Sort named shares, the highest first, equal ones by how names are shown, those without a verdict last."""
    return sorted(shares, key=lambda pair: (pair[1].value is None, -(pair[1].value or 0.0), label(pair[0]).lower()))


def split_attacks(attacks: Iterable[AttackResult], key: Callable[[AttackResult], str]) -> dict[str, list[AttackResult]]:
    """Part attacks by a name, in the order in which the names come."""
    parts: dict[str, list[AttackResult]] = {}
    for attack in attacks:
        parts.setdefault(key(attack), []).append(attack)
    return parts


def _find_interval(clusters: Sequence[Sequence[int]]) -> Interval:
    import numpy as np

    return cluster_wilson_interval(np.array(clusters, dtype=np.float64).reshape(-1, 2))
