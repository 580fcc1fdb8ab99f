"""What judges say of what a model wrote: how suites ask, and how they sum up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from llamabench.records import ItemRow, JudgeQuestion, Metric, OutcomeKind
from llamabench.stats import Interval, cluster_wilson_interval, wilson_interval
from llamabench.suites.base import Tally
from llamabench.suites.conversation import strip_reasoning

HOLDS = 0.5
"""From here what a judge was asked holds of an answer."""

_N, _N_HOLDING, _N_UNCLEAR, _N_FAILED = range(4)


def ask_of_each(row: ItemRow, request: str, aspects: Sequence[str]) -> list[JudgeQuestion]:
    """Asks the same of each answer of an item that says anything.

    Args:
        row: The item; what it was asked last counts.
        request: What the model was asked, in the words that a judge is to read.
        aspects: What to ask.
    """
    answers = row.exchanges[-1].answers if row.exchanges else ()
    texts = [strip_reasoning(str(answer.get("text", ""))) for answer in answers]
    return [
        JudgeQuestion(aspect, request, text, number if len(texts) > 1 else None)
        for number, text in enumerate(texts, start=1)
        if text
        for aspect in aspects
    ]


class JudgedShares:
    """Shares of answers of which a judge says something, for the whole and for groups."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._counts: defaultdict[tuple[str, str | None], defaultdict[str, list[int]]]
        self._counts = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))

    def note(self, row: ItemRow, shares: Mapping[str, tuple[str, ...]], *parts: str) -> None:
        """Counts the answers of an item in.

        Args:
            row: The item.
            shares: For each share, what has to hold of an answer; `not X` is the contrary of `X`.
            parts: Parts of the suite that the item is of, beside its group.
        """
        self._tally.note(row, *parts)
        for name, aspects in shares.items():
            for answer in _answers(row.values, aspects):
                for group in (None, row.group, *parts):
                    counts = self._counts[name, group][row.cluster]
                    for place, n in enumerate(answer):
                        counts[place] += n

    def metrics(self) -> list[Metric]:
        """The shares, with Wilson intervals that allow for answers to one prompt being alike; those of groups last."""
        groups = [None, *self._tally.groups()]
        names = dict.fromkeys(name for name, _ in self._counts)
        return [self._metric(name, group) for group in groups for name in names if (name, group) in self._counts]

    def _metric(self, name: str, group: str | None) -> Metric:
        clusters = self._counts[name, group]
        sums = np.array([clusters[cluster] for cluster in sorted(clusters)], dtype=np.float64)
        n, n_holding, n_unclear, n_failed = (int(total) for total in sums.sum(axis=0))
        judged = sums[sums[:, _N] > 0][:, : _N_HOLDING + 1]
        interval = _interval(judged, n, n_holding)
        unparsed, errored = (self._tally.count(outcome, group) for outcome in ("unparsed", "errored"))
        return Metric(
            name,
            n_holding / n if n else None,
            n,
            *interval,
            group=group,
            unparsed=unparsed + n_unclear,
            errored=errored + n_failed,
        )


def read_said(row: ItemRow, aspect: str) -> ItemRow | None:
    """An item as if what was said of its answers were all there is of it; None where nobody was asked about it.

    One of which an answer failed is errored, one of which an answer got no clear verdict unparsed. Values go by what
    follows the aspect's name: `#1`, `#2`, or nothing where there is one answer.
    """
    name = f"judged_{aspect}"
    ends = _ends(row.values, [name])
    if not ends:
        return None
    marks = {kind: {f"{name}_{kind}{end}" for end in ends} & row.values.keys() for kind in _MARKS}
    outcome = next((_MARKS[kind] for kind, found in marks.items() if found), row.outcome)
    values = {end: row.values[f"{name}{end}"] for end in sorted(ends)} if outcome == "scored" else {}
    return replace(row, outcome=outcome, values=values, exchanges=())


_MARKS: Mapping[str, OutcomeKind] = {"failed": "errored", "unclear": "unparsed"}


class SaidRows:
    """Items as `read_said` gives them, for metrics that are no shares of answers.

    Args:
        aspect: What was asked.
    """

    def __init__(self, aspect: str) -> None:
        self._aspect = aspect
        self._rows: list[ItemRow] = []
        self._is_asked = False

    def note(self, row: ItemRow, *, is_silent: bool = False) -> None:
        """Takes an item; one whose answers say nothing is `is_silent`, and has no values."""
        said = read_said(row, self._aspect)
        self._is_asked |= said is not None
        if said is not None:
            self._rows.append(said)
        elif is_silent or row.outcome != "scored":
            self._rows.append(replace(row, values={}, exchanges=()))

    def take(self) -> list[ItemRow]:
        """The items; none where nobody was asked about any."""
        return self._rows if self._is_asked else []


def _interval(judged: np.ndarray, n: int, n_holding: int) -> Interval:
    is_single = bool((judged[:, _N] == 1).all())
    return wilson_interval(n_holding, n) if is_single else cluster_wilson_interval(judged)


def count_judged(values: Mapping[str, float], aspects: Sequence[str]) -> tuple[int, int]:
    """How many answers of an item a judge has a verdict on, and of how many of them all `aspects` hold."""
    answers = list(_answers(values, aspects))
    return sum(answer[_N] for answer in answers), sum(answer[_N_HOLDING] for answer in answers)


def _answers(values: Mapping[str, float], aspects: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Whether each answer that a judge was asked all of was judged, has it all, is not clear, or failed."""
    names = [f"judged_{aspect.removeprefix('not ')}" for aspect in aspects]
    for end in sorted(_ends(values, names)):
        kinds = [[f"{name}{kind}{end}" in values for name in names] for kind in ("", "_unclear", "_failed")]
        if not all(map(any, zip(*kinds, strict=True))):
            continue  # nobody asked all of it
        if not all(kinds[0]):
            has_failed = any(kinds[2])
            yield 0, 0, int(not has_failed), int(has_failed)
            continue
        holding = [
            (values[f"{name}{end}"] >= HOLDS) != aspect.startswith("not ")
            for name, aspect in zip(names, aspects, strict=True)
        ]
        yield 1, int(all(holding)), 0, 0


def _ends(values: Mapping[str, float], names: Sequence[str]) -> set[str]:
    """What follows the names where they are about one of several answers: `#1`, `#2`, or nothing."""
    found = set()
    for value in values:
        stem, sign, number = value.partition("#")
        if any(stem in (name, f"{name}_unclear", f"{name}_failed") for name in names):
            found.add(sign + number)
    return found
