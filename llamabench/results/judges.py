"""The judges of a run's answers, and what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from llamabench.records import AnyJudge, JudgeFacts, Judgement, RaterFacts, Rating
from llamabench.results import codec
from llamabench.results.file import RunFile
from llamabench.results.rows import storable

_Facts = TypeVar("_Facts", JudgeFacts, RaterFacts, AnyJudge)


@dataclass(frozen=True, slots=True)
class StoredJudge(Generic[_Facts]):
    """A judge of stored answers; `place` is None until it was asked everything, and the later of two is the higher."""

    number: int
    facts: _Facts
    place: int | None


class Judges(RunFile):
    """The part of a run's file that is about judges."""

    def save_judge(self, key: str, facts: _Facts) -> StoredJudge[_Facts]:
        """Stores who is to judge answers of this run, or how from now on; `key` tells it from other judges."""

        def write() -> None:
            with self._database:
                document = json.dumps(codec.encode(facts))
                self._database.execute("INSERT OR IGNORE INTO judge (key, facts) VALUES (?, ?)", (key, document))
                self._database.execute("UPDATE judge SET facts = ? WHERE key = ?", (document, key))

        self._guard(write)
        judge = self.find_judge(key, type(facts))
        assert judge is not None, "it was just stored"
        return judge

    def save_judgements(self, judge: int, suite: str, judgements: Mapping[str, Sequence[Judgement]]) -> None:
        """Stores what a judge said of the answers of some items, in one transaction."""

        def write() -> None:
            rows = [(suite, storable(name), judge, json.dumps(codec.encode(said))) for name, said in judgements.items()]
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO judgement VALUES (?, ?, ?, ?)", rows)

        self._guard(write)

    def save_ratings(self, judge: int, ratings: Mapping[str, Rating]) -> None:
        """Stores what a scorer found in texts, by their digests, in one transaction."""

        def write() -> None:
            rows = [(judge, digest, json.dumps(codec.encode(rating))) for digest, rating in ratings.items()]
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO rating VALUES (?, ?, ?)", rows)

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

    def find_judge(self, key: str, kind: type[_Facts]) -> StoredJudge[_Facts] | None:
        """The judge of a key and kind, None where there is none yet."""
        found = self._select("SELECT number, facts, place FROM judge WHERE key = ?", key)
        return next((self._read_judge(row, kind) for row in found), None)

    def judges_of(self, suite: str) -> dict[str, StoredJudge[AnyJudge]]:
        """Whose verdicts count for a suite, by what was asked: of those that were asked everything, the last."""
        columns = "number, facts, place, json_type(facts, '$.model') IS NOT NULL"
        found = self._select(f"SELECT {columns} FROM judge WHERE place IS NOT NULL ORDER BY place")
        judges: list[StoredJudge[AnyJudge]] = [
            self._read_judge(row, JudgeFacts if is_model else RaterFacts) for *row, is_model in found
        ]
        return {aspect: judge for judge in judges for aspect in judge.facts.aspects.get(suite, ())}

    def _read_judge(self, row: Sequence[Any], kind: type[_Facts]) -> StoredJudge[_Facts]:
        number, facts, place = row
        return self._parse(lambda: StoredJudge(number, codec.decode(kind, json.loads(facts)), place))

    def judged_ids(self, judge: int, suite: str) -> set[str]:
        """Ids of the items that a judge was asked about."""
        return {row[0] for row in self._select("SELECT id FROM judgement WHERE judge = ? AND suite = ?", judge, suite)}

    def settled_ids(self, judge: int, suite: str) -> set[str]:
        """Ids of the items that a judge was asked about without a failure."""
        failed = "SELECT 1 FROM json_each(verdicts) WHERE json_extract(value, '$.outcome') = 'errored'"
        query = f"SELECT id FROM judgement WHERE judge = ? AND suite = ? AND NOT EXISTS ({failed})"
        return {row[0] for row in self._select(query, judge, suite)}

    def find_rating(self, judge: int, digest: str) -> Rating | None:
        """What a scorer found in the text of a digest, None where it was not asked about it."""
        found = self._select("SELECT rating FROM rating WHERE judge = ? AND text = ?", judge, digest)
        return self._parse(lambda: codec.decode(Rating, json.loads(found[0][0])) if found else None)
