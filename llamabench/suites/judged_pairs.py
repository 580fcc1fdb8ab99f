"""What a judge says of pairs of answers: asked in both orders, compared with people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from llamabench.records import ItemRow, JudgeQuestion, Metric
from llamabench.scorers.judge import join_orders
from llamabench.scorers.judge_formats import PREFERRED
from llamabench.stats import FloatArray, cluster_bootstrap_interval
from llamabench.stats.calibration import kappa_in_both_orders
from llamabench.suites.base import Tally

PAIR_METRICS: Mapping[str, tuple[str, ...]] = {
    name: (PREFERRED,)
    for name in ("judged_agreement", "judged_consistent", "judged_agreement_consistent", "judged_kappa")
}
"""Agreement of a judge with people on pairs of answers, and what it is asked."""


def ask_of_pair(row: ItemRow, request: str) -> Sequence[JudgeQuestion]:
    """Asks which of the two answers of a pair is better, the first one in the first place and in the second."""
    answers = row.exchanges[-1].answers if row.exchanges else ()
    texts = [str(answer.get("text", "")).strip() for answer in answers]
    if len(texts) != 2 or not all(texts):
        return ()
    first, second = texts
    return [JudgeQuestion(PREFERRED, request, first, number, other=second) for number in (1, 2)]


class JudgedPairs:
    """Pairs on which a judge agrees with people, for the whole and for groups; the answer that they chose is first."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._counts: Counter[tuple[str | None, str]] = Counter()
        self._sums: defaultdict[str, FloatArray] = defaultdict(lambda: np.zeros(4))

    def add(self, row: ItemRow, *, is_even: bool) -> None:
        """Counts a pair in.

        Args:
            row: The pair as `SaidRows` gives it.
            is_even: Whether people prefer neither.
        """
        if not self._tally.note(row):
            return
        verdict = join_orders(row.values["#1"], row.values["#2"])
        agrees, is_consistent = verdict.first > 0.5, verdict.is_consistent
        is_same = not is_consistent if is_even else is_consistent and agrees
        self._sums[row.cluster] += 1, is_same, not is_consistent, is_even
        for group in (None, row.group):
            self._counts[group, "pairs"] += 1
            self._counts[group, "consistent"] += is_consistent
            if not is_even:
                self._counts[group, "decided"] += 1
                self._counts[group, "agreed"] += agrees
                self._counts[group, "sure"] += is_consistent
                self._counts[group, "surely agreed"] += is_consistent and agrees

    def metrics(self, rng: np.random.Generator) -> list[Metric]:
        """Agreement by the mean of both orders, how often both name one answer, and the agreement where they do.

        For kappa, of the whole, a judge whose orders name different answers is undecided, as people are who are even.
        """
        found = [metric for group in (None, *self._tally.groups()) for metric in self._shares(group)]
        sums = np.array([self._sums[cluster] for cluster in sorted(self._sums)]).reshape(-1, 4)
        value = float(kappa_in_both_orders(sums.sum(axis=0, keepdims=True))[0])
        interval = cluster_bootstrap_interval(sums, kappa_in_both_orders, rng)
        n = self._counts[None, "pairs"]
        kappa = self._tally.metric("judged_kappa", None if np.isnan(value) else value, n, interval, None)
        return [*found[:3], kappa, *found[3:]]

    def _shares(self, group: str | None) -> list[Metric]:
        def share(name: str, counted: str, of: str) -> Metric:
            return self._tally.proportion(name, self._counts[group, counted], self._counts[group, of], group)

        return [
            share("judged_agreement", "agreed", "decided"),
            share("judged_consistent", "consistent", "pairs"),
            share("judged_agreement_consistent", "surely agreed", "sure"),
        ]
