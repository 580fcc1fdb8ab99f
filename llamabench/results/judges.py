"""The judges of a run's answers, and what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamabench.records import JudgeFacts, Judgement
from llamabench.results import codec
from llamabench.results.file import RunFile
from llamabench.results.rows import storable


@dataclass(frozen=True, slots=True)
class StoredJudge:
    """A judge of stored answers; `place` is None until it was asked everything, and the later of two is the higher."""

    number: int
    facts: JudgeFacts
    place: int | None


class Judges(RunFile):
    """The part of a run's file that is about judges."""

    def save_judge(self, key: str, facts: JudgeFacts) -> StoredJudge:
        """Stores who is to judge answers of this run, or how from now on; `key` tells it from other judges."""

        def write() -> None:
            with self._database:
                document = json.dumps(codec.encode(facts))
                self._database.execute("INSERT OR IGNORE INTO judge (key, facts) VALUES (?, ?)", (key, document))
                self._database.execute("UPDATE judge SET facts = ? WHERE key = ?", (document, key))

        self._guard(write)
        judge = self.find_judge(key)
        assert judge is not None, "it was just stored"
        return judge

    def save_judgements(self, judge: int, suite: str, judgements: Mapping[str, Sequence[Judgement]]) -> None:
        """Stores what a judge said of the answers of some items, in one transaction."""

        def write() -> None:
            rows = [(suite, storable(name), judge, json.dumps(codec.encode(said))) for name, said in judgements.items()]
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO judgement VALUES (?, ?, ?, ?)", rows)

        self._guard(write)

    def finish_judge(self, judge: int) -> None:
        """Has a judge's verdicts count, before those of others that were asked the same."""

        def write() -> None:
            with self._database:
                self._database.execute(
                    "UPDATE judge SET place = (SELECT 1 + COALESCE(MAX(place), 0) FROM judge) WHERE number = ?",
                    (judge,),
                )

        self._guard(write)

    def find_judge(self, key: str) -> StoredJudge | None:
        """The judge of a key, None where there is none yet."""
        found = self._select("SELECT number, facts, place FROM judge WHERE key = ?", key)
        return next(iter(self._read_judges(found)), None)

    def judges_of(self, suite: str) -> dict[str, StoredJudge]:
        """Whose verdicts count for a suite, by what was asked: of those that were asked everything, the last."""
        found = self._select("SELECT number, facts, place FROM judge WHERE place IS NOT NULL ORDER BY place")
        judges = self._read_judges(found)
        return {aspect: judge for judge in judges for aspect in judge.facts.aspects.get(suite, ())}

    def _read_judges(self, rows: list[Any]) -> list[StoredJudge]:
        return self._parse(
            lambda: [StoredJudge(n, codec.decode(JudgeFacts, json.loads(facts)), place) for n, facts, place in rows]
        )

    def judged_ids(self, judge: int, suite: str) -> set[str]:
        """Ids of the items that a judge was asked about."""
        return {row[0] for row in self._select("SELECT id FROM judgement WHERE judge = ? AND suite = ?", judge, suite)}
