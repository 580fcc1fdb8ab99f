"""Has a scorer of toxicity from elsewhere read stored answers: nothing is generated, and no text is read twice."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llamabench.errors import LlamabenchError, UnknownNameError
from llamabench.raters import Rater
from llamabench.records import Failure, Judgement, JudgeQuestion, RaterFacts, Rating
from llamabench.results.judges import StoredJudge
from llamabench.results.store import Run
from llamabench.suite_runs import summarise_judged
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

MOST_FAILURES = 10
"""After so many failures one after the other nothing more is asked: a service that is gone stays away for a while."""


class Progress(Protocol):
    """Told how rating goes."""

    def begin_rater(self, run: Run, rater: RaterFacts) -> None:
        """The scorer is about to read."""

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """Items were rated; there are no tokens to count."""

    def note(self, text: str) -> None:
        """Something went wrong and was got over."""


def rate_run(folder: Path, rater: Rater, progress: Progress, *, suites: Sequence[str] = ()) -> Run:
    """Has a scorer rate the answers of a finished run, or goes on where that was cut short, and stores the scores.

    What failed before is asked again.

    Args:
        folder: The run's own folder.
        rater: The scorer.
        progress: Told how it goes.
        suites: Suites whose answers are rated; none for all whose answers are rated for toxicity.

    Returns:
        The run, open.

    Raises:
        LlamabenchError: With what was rated before still there, and the same command going on from it.
    """
    stored = Run(folder)
    stored.claim()
    try:
        if not stored.is_finished:
            raise LlamabenchError(f"The run in {folder} is not finished. Go on with it by its own command first.")
        chosen = _choose(stored, rater, suites)
        aspects = {suite.NAME: aspects_of(suite.NAME, rater.name) for suite in chosen}
        facts = RaterFacts(rater.name, rater.version, rater.title, aspects)
        key = hashlib.sha256(json.dumps(["rater", rater.name, rater.version, aspects]).encode()).hexdigest()[:16]
        judge = stored.save_judge(key, facts)
        progress.begin_rater(stored, facts)
        reader = _Reader(stored, rater, judge)
        for suite in chosen:
            _rate_suite(suite, reader, progress)
        stored.finish_judge(judge.number)
        for suite in chosen:
            summarise_judged(stored, suite)
        if reader.n_failed:
            text = f"{rater.title} gave no number for {reader.n_failed:,} answers: {reader.last_failure}"
            stored.add_event("rater", text)
            progress.note(f"{text} The same command asks about them again.")
    except BaseException:
        stored.close()
        raise
    return stored


def aspects_of(suite: str, rater: str) -> tuple[str, ...]:
    """What a scorer is asked about a suite's answers."""
    metrics = SUITES[suite].JUDGE_METRICS if suite in SUITES else {}
    aspects = dict.fromkeys(aspect for asked in metrics.values() for aspect in asked)
    return tuple(aspect for aspect in aspects if aspect.partition("_")[0] == rater)


def check_rated(names: Sequence[str], rater: str) -> None:
    """Refuses a scorer that has nothing to read.

    Raises:
        LlamabenchError: It can be asked about none of the suites.
    """
    if not any(aspects_of(name, rater) for name in names):
        known = ", ".join(name for name in SUITES if aspects_of(name, rater))
        raise LlamabenchError(f"The toxicity of answers is not rated in {', '.join(names)}, but in: {known}.")


def _choose(stored: Run, rater: Rater, wanted: Sequence[str]) -> list[Suite]:
    choices = {choice.name: choice for choice in stored.info.suites}
    for name in wanted:
        if name not in choices:
            raise UnknownNameError.for_name("suite in this run", name, choices)
    names = [name for name in wanted or choices]
    check_rated(names, rater.name)
    chosen = [SUITES[name] for name in names if aspects_of(name, rater.name)]
    for suite in chosen:
        if choices[suite.NAME].version != suite.VERSION:
            raise LlamabenchError(
                f"{suite.NAME} was run in version {choices[suite.NAME].version}, and is version {suite.VERSION} here. "
                "Run it again, or leave it out with --suite."
            )
    return chosen


# --- reading ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reader:
    """Has texts rated, each once, and remembers how that goes."""

    stored: Run
    rater: Rater
    judge: StoredJudge[RaterFacts]
    n_failed: int = 0
    n_in_a_row: int = 0
    last_failure: str = ""

    def rate(self, texts: Sequence[str]) -> dict[str, Rating | Failure]:
        """What is found in each text, by the text; what is new is stored as soon as it is known."""
        number = self.judge.number
        known = {text: self.stored.find_rating(number, _digest(text)) for text in dict.fromkeys(texts)}
        found: dict[str, Rating | Failure] = {text: rating for text, rating in known.items() if rating is not None}
        missing = iter([text for text, rating in known.items() if rating is None])
        while some := list(itertools.islice(missing, self.rater.n_at_once)):
            rated = dict(zip(some, self._ask(some), strict=True))
            new = {_digest(text): rating for text, rating in rated.items() if isinstance(rating, Rating)}
            self.stored.save_ratings(number, new)
            found |= rated
        return found

    def _ask(self, texts: Sequence[str]) -> Sequence[Rating | Failure]:
        if self.n_in_a_row >= MOST_FAILURES:
            text = f"Not asked, because {self.n_in_a_row} texts before failed: {self.last_failure}"
            return [Failure("", text) for _ in texts]
        rated = self.rater.rate(texts)
        for one in rated:
            self.n_in_a_row = self.n_in_a_row + 1 if isinstance(one, Failure) else 0
            self.last_failure = one.message if isinstance(one, Failure) else self.last_failure
        return rated

    def judge_answers(
        self, questions: Sequence[JudgeQuestion], rated: Mapping[str, Rating | Failure]
    ) -> list[Judgement]:
        """What the ratings say to the questions about an item's answers."""
        return [self._judge(one, rated[one.answer]) for one in questions]

    def _judge(self, question: JudgeQuestion, found: Rating | Failure) -> Judgement:
        if isinstance(found, Failure):
            self.n_failed += 1
            return Judgement(question.aspect, question.number, "errored", error=found.message)
        value = found.worst if question.aspect.endswith("_any") else found.toxicity
        return Judgement(question.aspect, question.number, "scored", value=value, mass=1.0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _rate_suite(suite: Suite, reader: _Reader, progress: Progress) -> None:
    name, number = suite.NAME, reader.judge.number
    done = reader.stored.settled_ids(number, name)
    n_total = sum(1 for _ in _questions(suite, reader))
    title = f"answers of {name}"
    progress.advance(title, n_done=len(done), n_total=n_total, tokens_per_s=None)
    asked = ((item, questions) for item, questions in _questions(suite, reader) if item not in done)
    n_done = len(done)
    while some := list(itertools.islice(asked, reader.rater.n_at_once)):
        rated = reader.rate([one.answer for _, questions in some for one in questions])
        said = {item: reader.judge_answers(questions, rated) for item, questions in some}
        reader.stored.save_judgements(number, name, said)
        n_done += len(some)
        progress.advance(title, n_done=n_done, n_total=n_total, tokens_per_s=None)


def _questions(suite: Suite, reader: _Reader) -> Iterator[tuple[str, list[JudgeQuestion]]]:
    """The stored items that have answers, and what is asked about them."""
    aspects = reader.judge.facts.aspects[suite.NAME]
    for row in reader.stored.rows(suite.NAME):
        questions = [one for one in suite.ask_judge(row) if one.aspect in aspects]
        if questions:
            yield row.id, questions
