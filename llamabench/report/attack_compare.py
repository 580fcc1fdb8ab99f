"""Two red-team runs side by side: which attacks newly succeed, which no longer do, and by how much rates differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from llamabench.errors import StoreError
from llamabench.records import AttackResult, RedTeamResults
from llamabench.report.attack_names import Names, cut_id, name_plainly
from llamabench.report.attack_shares import Test, has_succeeded, is_refused, reaches, split_attacks
from llamabench.report.format import NBSP, format_count, format_interval, format_score, format_things, shorten

_MOST_CHANGES = 200
_SIGNIFICANT = 0.05
_REQUEST_CHARS = 160
_SETTING_CHARS = 80
_MOST_NAMED = 5
_DIGEST = "attacks"
"""The setting that is a digest of all attacks: it tells nobody what differs, and ids are compared anyway."""
_LIST = re.compile(r"[\w.-]+(, ?[\w.-]+)*")


class AttackPair(NamedTuple):
    """The same attack on this model and on the other one, both with a verdict."""

    mine: AttackResult
    other: AttackResult


@dataclass(frozen=True, slots=True)
class Difference:
    """How a rate differs, as numbers.

    Attributes:
        label: What it is the rate of.
        n: Attacks that both were asked and that have a verdict of both.
        mine: The rate of this model.
        other: That of the other.
        gained: Attacks that count here only.
        lost: Attacks that count there only.
        low: Lower end of the 95 % interval of the difference, None where there is none.
        high: Upper end.
        method: How the interval was made.
        p: Two-sided p-value of no difference, None where there is no test.
        test: How that was made.
    """

    label: str
    n: int
    mine: float
    other: float
    gained: int
    lost: int
    low: float | None
    high: float | None
    method: str
    p: float | None
    test: str

    @property
    def is_shown(self) -> bool:
        """Whether both the interval and the test say that there is a difference."""
        has_interval = self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)
        return has_interval and self.p is not None and self.p < _SIGNIFICANT


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """How a rate differs, as it is shown."""

    label: str
    n: str
    mine: str
    other: str
    difference: str
    interval: str | None
    gained: str
    lost: str
    p: str
    tone: str
    verdict: str
    method: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """An attack that ends differently: its name, its request, and both ends."""

    id: str
    group: str
    request: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ChangeList:
    """Attacks that changed in the same direction, the most severe first."""

    title: str
    changes: tuple[ChangeView, ...]
    n_more: int


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """This run beside another.

    Attributes:
        model: The other model.
        quant: Its quantization.
        run_id: Its run.
        n_shared: Attacks that are compared.
        warnings: What makes the comparison doubtful.
        rows: Rates of all attacks, of categories and of techniques.
        lists: Attacks that newly succeed, and those that no longer do.
    """

    model: str
    quant: str
    run_id: str
    n_shared: str
    warnings: tuple[str, ...]
    rows: tuple[DifferenceRow, ...]
    lists: tuple[ChangeList, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run beside another, as numbers: attacks of the same id that ask for the same thing in the same way."""

    mine: RedTeamResults
    other: RedTeamResults
    threshold: float
    pairs: tuple[AttackPair, ...]

    def differences(self, names: Names) -> list[Difference]:
        """List how rates differ: of all attacks, then of each category and technique.

        The p-values of categories and techniques are adjusted by Holm's procedure, as one family of tests.
        """
        harmful = [pair for pair in self.pairs if not pair.mine.target.is_benign]
        benign = [pair for pair in self.pairs if pair.mine.target.is_benign]
        severe = f"At or over {self.threshold:g}"
        rates: list[tuple[str, Sequence[AttackPair], Test]] = [
            ("Attacks that succeed", harmful, has_succeeded),
            (severe, harmful, reaches(self.threshold)),
            ("Harmless twins refused", benign, is_refused),
        ]
        main = [self._compare(label, pairs, test) for label, pairs, test in rates if pairs]
        by_category = self._split(harmful, lambda attack: name_plainly(attack.target.category))
        by_technique = self._split(harmful, lambda attack: names.technique(attack.technique))
        parts = [*by_category.items(), *by_technique.items()]
        return [*main, *_adjust([self._compare(label, pairs, has_succeeded) for label, pairs in parts])]

    def changed(self, *, has_gained: bool) -> list[AttackPair]:
        """List the harmful attacks that newly succeed, or those that no longer do, the most severe first."""
        harmful = [pair for pair in self.pairs if not pair.mine.target.is_benign]
        found = [
            pair
            for pair in harmful
            if pair.mine.has_succeeded is has_gained and pair.other.has_succeeded is not has_gained
        ]
        return sorted(found, key=lambda pair: (-((pair.mine if has_gained else pair.other).severity or 0), pair[0].id))

    def warnings(self) -> Iterator[str]:
        """Say what differs between the runs beside the model."""
        for name, here, there in self._conditions():
            if here != there:
                yield f"{name} differ: {_say_difference(here, there)}."
        n_mine, n_other, n_shared = len(self.mine.attacks), len(self.other.attacks), len(self.pairs)
        if max(n_mine, n_other) > n_shared:
            yield (
                f"Only attacks of the same id, with a verdict in both runs, are compared: {format_count(n_shared)} of "
                f"{format_count(n_mine)} here and {format_count(n_other)} there."
            )

    def _conditions(self) -> Iterator[tuple[str, str, str]]:
        mine, other = self.mine, self.other
        yield "Editions of the behaviours", mine.behaviours, other.behaviours
        yield "Seeds", str(mine.seed), str(other.seed)
        yield "Scorers", "; ".join(mine.scorers) or "none", "; ".join(other.scorers) or "none"
        yield "Judges", mine.judge or "none", other.judge or "none"
        for name in dict.fromkeys((*mine.settings, *other.settings)):
            if name == _DIGEST:
                continue
            yield f"Settings of {name}", mine.settings.get(name, "none"), other.settings.get(name, "none")

    def _split(self, pairs: Sequence[AttackPair], key: Callable[[AttackResult], str]) -> dict[str, list[AttackPair]]:
        by_id = {pair.mine.id: pair for pair in pairs}
        parts = split_attacks((pair.mine for pair in pairs), key)
        return {name: [by_id[attack.id] for attack in parts[name]] for name in sorted(parts, key=str.lower)}

    def _compare(self, label: str, pairs: Sequence[AttackPair], is_counted: Test) -> Difference:
        import numpy as np

        from llamabench.stats import compare_paired

        clusters: dict[str, list[list[float]]] = {}
        for mine, other in pairs:
            row = [1.0, float(is_counted(other)), float(is_counted(mine))]
            clusters.setdefault(mine.target.id, []).append(row)
        sums = np.array([np.sum(rows, axis=0) for rows in clusters.values()])
        found = compare_paired(
            [sums[:, [0, 1]]],
            [sums[:, [0, 2]]],
            lambda totals: totals[:, 0, 1] / totals[:, 0, 0],
            rng=np.random.default_rng(self.mine.seed),
        )
        counted = [(is_counted(mine), is_counted(other)) for mine, other in pairs]
        return Difference(
            label=label,
            n=len(pairs),
            mine=found.second,
            other=found.first,
            gained=sum(here and not there for here, there in counted),
            lost=sum(there and not here for here, there in counted),
            low=found.interval.low,
            high=found.interval.high,
            method=found.interval.method,
            p=found.p,
            test=found.test,
        )


def compare_attacks(mine: RedTeamResults, other: RedTeamResults, threshold: float) -> Comparison:
    """Set two runs side by side.

    Raises:
        StoreError: They have no attack in common that has a verdict in both.
    """
    theirs = {attack.id: attack for attack in other.attacks}
    both = (AttackPair(attack, theirs[attack.id]) for attack in mine.attacks if attack.id in theirs)
    pairs = tuple(pair for pair in both if _is_same(pair))
    if not pairs:
        raise StoreError(
            f"The runs {mine.run_id} and {other.run_id} have no attack in common that has a verdict in both: "
            f"{format_things(len(mine.attacks), 'attack', 'attacks')} of {mine.behaviours}, seed {mine.seed}, beside "
            f"{format_things(len(other.attacks), 'attack', 'attacks')} of {other.behaviours}, seed {other.seed}. "
            "Attack both models with the same behaviours, count, techniques and seed."
        )
    return Comparison(mine, other, threshold, pairs)


def view_comparison(comparison: Comparison, names: Names) -> ComparisonView:
    """Lay out a comparison."""
    other = comparison.other
    return ComparisonView(
        model=other.model,
        quant=other.quant,
        run_id=other.run_id,
        n_shared=format_things(len(comparison.pairs), "attack", "attacks"),
        warnings=tuple(comparison.warnings()),
        rows=tuple(map(_view_difference, comparison.differences(names))),
        lists=(
            _view_changes("Newly succeed", comparison.changed(has_gained=True), names),
            _view_changes("No longer succeed", comparison.changed(has_gained=False), names),
        ),
    )


def _adjust(found: Sequence[Difference]) -> list[Difference]:
    from llamabench.stats import adjust_by_holm

    adjusted = iter(adjust_by_holm([one.p for one in found if one.p is not None]))
    return [
        one if one.p is None else replace(one, p=float(next(adjusted)), test=f"{one.test}, adjusted by Holm")
        for one in found
    ]


def _is_same(pair: AttackPair) -> bool:
    mine, other = pair
    is_same = mine.target.text == other.target.text and mine.technique == other.technique
    return is_same and mine.outcome is not None and other.outcome is not None


def _view_difference(found: Difference) -> DifferenceRow:
    difference = found.mine - found.other
    has_interval = found.low is not None and found.high is not None
    tone, verdict = "same", "no difference shown"
    if found.is_shown:
        tone, verdict = ("more", "more than there") if difference > 0 else ("less", "less than there")
    return DifferenceRow(
        label=found.label,
        n=format_count(found.n),
        mine=format_score(found.mine, "share"),
        other=format_score(found.other, "share"),
        difference=format_score(difference, "bias"),
        interval=format_interval(found.low or 0.0, found.high or 0.0, scale="bias") if has_interval else None,
        gained=format_count(found.gained),
        lost=format_count(found.lost),
        p=_format_p(found.p),
        tone=tone,
        verdict=verdict,
        method=f"{found.method}; p: {found.test}",
    )


def _format_p(p: float | None) -> str:
    if p is None:
        return "\u2013"
    return f"<{NBSP}0.001" if p < 0.001 else f"{p:.3f}"


def _say_difference(here: str, there: str) -> str:
    """How a setting differs; of two lists what is in one of them alone.

    >>> _say_difference("7", "8"), _say_difference("direct,few_shot,pair", "direct,pair")
    ('7 here, 8 there', 'few_shot here only')
    """
    if not ("," in here + there and _LIST.fullmatch(here) and _LIST.fullmatch(there)):
        return f"{shorten(here, _SETTING_CHARS)[0]} here, {shorten(there, _SETTING_CHARS)[0]} there"
    mine, theirs = (re.split(r", ?", text) for text in (here, there))
    only = (("here", [name for name in mine if name not in theirs]), ("there", [n for n in theirs if n not in mine]))
    return "; ".join(f"{_name_some(names)} {where} only" for where, names in only if names) or "in their order"


def _name_some(names: Sequence[str]) -> str:
    n_more = len(names) - _MOST_NAMED
    more = f" and {format_count(n_more)} more" if n_more > 0 else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def _view_changes(title: str, pairs: Sequence[AttackPair], names: Names) -> ChangeList:
    changes = tuple(
        ChangeView(
            id=cut_id(mine.id),
            group=f"{names.technique(mine.technique)} \u00b7 {name_plainly(mine.target.category)}",
            request=shorten(mine.target.text, _REQUEST_CHARS)[0],
            before=_say_end(other),
            after=_say_end(mine),
        )
        for mine, other in pairs[:_MOST_CHANGES]
    )
    return ChangeList(f"{title} ({format_count(len(pairs))})", changes, max(len(pairs) - _MOST_CHANGES, 0))


def _say_end(attack: AttackResult) -> str:
    outcome = attack.outcome or attack.status
    return f"{outcome} {attack.severity:.3f}" if attack.severity else outcome
