"""Alignment: does a model behave as it should, in tests of safety, helpfulness, honesty and fairness?

Our own benchmark; the categories are those of Askell et al. 2021, arXiv:2112.00861 (helpful, honest, harmless), with
fairness by itself. A test says what is asked, which behaviour is expected, and how to tell: see `kinds` and
`docs/alignment.md`.

One record: `{"id": "...", "category": "safety", "kind": "refusal", "prompt": "...", "expected": "Refuses."}`

Answers are greedy, so that the same command gives the same ones. Without a chat template a conversation is a plain
transcript, as in HH-RLHF. A category's score is the mean of its tests; the overall score is the mean of the categories,
so that one with more tests does not weigh more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from llamabench.data.cache import DataFile, Dataset
from llamabench.errors import DataError
from llamabench.measures import Measure, average_groups
from llamabench.records import (
    ChatPrompt,
    Facts,
    GenerateRequest,
    GenerateResult,
    Item,
    ItemRow,
    ItemScore,
    Json,
    JudgeQuestion,
    Message,
    Metric,
    OutcomeKind,
    Request,
    Result,
    Sampling,
    ScoreRequest,
    ScoreResult,
    ScorerFacts,
)
from llamabench.scorers import refusal, sentiment, toxicity
from llamabench.scorers.judge import RUBRICS
from llamabench.scorers.judge_formats import OWN_QUESTION
from llamabench.stats import bootstrap_mean_interval, mean_of_means_interval
from llamabench.suites.alignment.coded import BrokenTestError, load_coded
from llamabench.suites.alignment.fields import make_test
from llamabench.suites.alignment.kinds.judged import Judged
from llamabench.suites.alignment.kinds.sycophancy import Sycophancy
from llamabench.suites.alignment.model import MOST_TURNS, Ask, Reply, Test
from llamabench.suites.alignment.reading import read_tests
from llamabench.suites.base import MeanMetric, Tally, find_fault, have_no_settings
from llamabench.suites.conversation import TRANSCRIPT_STOPS, make_prompt, render_transcript, strip_reasoning
from llamabench.suites.measuring import measure_means

NAME: str = "alignment"
TITLE: str = "Alignment tests"
VERSION: int = 2
SOURCE: str = (
    "llamabench's own tests, docs/alignment.md; categories after Askell et al. 2021, https://arxiv.org/abs/2112.00861"
)
LICENCE: str = "CC0-1.0"
FOCUS: str = "safety, helpfulness, honesty, fairness; and your own tests"
FORMAT: str = "what the model writes or finds likely, against the behaviour that each test expects"
LIMITATIONS: str = (
    "Some forty tests a category show large differences, not small ones. They are public, English and short. How "
    "refusals and toxicity are told is by small classifiers that err at times; a fair answer is only one that does "
    "not change with the group. Tests that need a judge are scored by one alone: `llamabench score`."
)
CHANCE: float | None = None
MAIN_METRICS: tuple[str, ...] = ("score",)
WINNER_METRICS: tuple[str, ...] = ()
REFERENCE_METRICS: tuple[str, ...] = ()
JUDGE_METRICS: Mapping[str, tuple[str, ...]] = {"judged_score": (*RUBRICS, OWN_QUESTION)}
MEAN_METRICS: tuple[MeanMetric, ...] = (
    MeanMetric("score", ("score",), lambda facts: "problem" not in facts, is_by_group=True),
)
DATA_SOURCES: tuple[str, ...] = ("alignment",)

settings = have_no_settings

UNKNOWN = "unknown"
"""Group of tests written in Python that could not be loaded, so that nobody knows their category."""

_TURN_TOKENS = 16


# --- items --------------------------------------------------------------------------------------


def items(dataset: Dataset, *, use_chat: bool) -> Iterator[Item]:
    """Streams one item a test; one written in Python that cannot be loaded has no requests, and its facts say why.

    Raises:
        DataError: A file of tests has faults, or an id stands twice.
    """
    homes: dict[str, str] = {}
    for file in dataset.files:
        for item in _read(file, use_chat):
            if item.id in homes:
                raise DataError(
                    f'The test id "{item.id}" stands in {homes[item.id]} and in {file.edition}. Rename one.'
                )
            homes[item.id] = file.edition
            yield item


def _read(file: DataFile, use_chat: bool) -> Iterator[Item]:
    if file.kind == "tests-python":
        yield _coded_item(file, use_chat)
        return
    found = read_tests(file.path)
    found.need_sound()
    for one in found.tests:
        yield _item(one.test, {"kind": one.fields["kind"], "fields": dict(one.fields)}, file, use_chat)


def _coded_item(file: DataFile, use_chat: bool) -> Item:
    facts: Facts = {"kind": "python", "entry_point": file.name}
    try:
        return _item(load_coded(file.name), facts, file, use_chat)
    except BrokenTestError as exc:
        item_id = f"python:{file.edition}"
        return Item(item_id, UNKNOWN, item_id, (), {**facts, "problem": str(exc)})


def _item(test: Test, facts: Facts, file: DataFile, use_chat: bool) -> Item:
    more: dict[str, Json] = {"expected": test.expected, "from": file.edition}
    if isinstance(test.kind, Judged):
        # what a judge needs to know, beside the answer
        more["judge"] = {"rubric": test.kind.rubric, "question": test.kind.question, "wants": test.kind.wants}
    asks = test.kind.ask(test)
    requests = tuple(_request(test, ask, number, use_chat) for number, ask in enumerate(asks))
    return Item(test.id, test.category, test.id, requests, {**facts, **more}, _count_later_tokens(test))


def _count_later_tokens(test: Test) -> int:
    """Tokens that later turns may add to the longest of the first: what is said, and an answer to each."""
    if test.kind.READS_TEXT:
        later = test.turns[1:]
    elif isinstance(test.kind, Sycophancy):
        later = (test.kind.pushback,)
    else:
        later = ("",) * (MOST_TURNS - 1) if test.kind.HAS_TURNS else ()
    # an answer that is no sense can take more tokens to read than it took to write
    return sum(len(turn.encode()) + _TURN_TOKENS + 2 * test.max_tokens for turn in later)


def _request(test: Test, ask: Ask, number: int, use_chat: bool) -> Request:
    request_id = test.id if number == 0 else f"{test.id}#{number + 1}"
    prompt = make_prompt(ask.messages, use_chat=use_chat, opening=ask.opening)
    if not ask.options:
        stops = () if use_chat else TRANSCRIPT_STOPS
        return GenerateRequest(request_id, prompt, Sampling(test.max_tokens, stop=stops))
    space = "" if use_chat and not ask.opening else " "
    return ScoreRequest(request_id, prompt, tuple(f"{space}{option}" for option in ask.options))


# --- conversations and scores -------------------------------------------------------------------


def follow_up(item: Item, results: Sequence[Result]) -> Sequence[Request]:
    """The next turn, for tests that have one; nothing after a failure, which is the item's score."""
    try:
        return _ask_again(item, results)
    except (BrokenTestError, TimeoutError):
        return ()  # `score` finds out again and says so


def _ask_again(item: Item, results: Sequence[Result]) -> tuple[Request, ...]:
    if not results or not all(isinstance(result, ScoreResult | GenerateResult) for result in results):
        return ()
    test, use_chat = _test_of(item), isinstance(item.requests[0].prompt, ChatPrompt)
    asks = test.kind.ask_again(test, _replies(results))
    return tuple(_request(test, ask, len(results) + number, use_chat) for number, ask in enumerate(asks))


def _test_of(item: Item) -> Test:
    if item.facts["kind"] == "python":
        return load_coded(str(item.facts["entry_point"]))
    return make_test(cast(Facts, item.facts["fields"]))


def _replies(results: Sequence[Result]) -> list[Reply]:
    return [
        Reply(logprobs=tuple(scored.logprob_sum for scored in result.continuations))
        if isinstance(result, ScoreResult)
        else Reply(strip_reasoning(result.texts[0].text))
        for result in results
        if isinstance(result, ScoreResult | GenerateResult)
    ]


def scorers() -> Sequence[ScorerFacts]:
    """The classifiers of refusals and of toxicity, and VADER."""
    return tuple(scorer.describe_scorer() for scorer in (refusal, toxicity, sentiment))


def score(item: Item, results: Sequence[Result]) -> ItemScore:
    """Scores a test; `score` is 0 to 1, the fact `observed` says in words what the model did.

    A test that raises, written in Python or with a pattern that takes too long, is an error.
    """
    if "problem" in item.facts:
        return ItemScore("errored", error=f"The test {item.facts['problem']}.")
    fault = _find_fault(item, results)
    if fault is not None:
        return ItemScore("errored", error=fault)
    try:
        if _ask_again(item, results):
            return ItemScore("errored", error=f"The conversation ended after {len(results)} answers, before its end.")
        test = _test_of(item)
        found = test.kind.judge(test, _replies(results))
    except (BrokenTestError, TimeoutError) as exc:
        return ItemScore("errored", error=f"The test failed: {exc}.")
    if found.score is None:
        return ItemScore("unparsed", error=found.observed, facts={"observed": found.observed})
    return ItemScore("scored", {"score": found.score, **found.values}, facts={"observed": found.observed})


def _find_fault(item: Item, results: Sequence[Result]) -> str | None:
    """As `find_fault`, for the first requests and for those that followed, which are like the first."""
    n_first = len(item.requests)
    fault = find_fault(item.requests, results[:n_first])
    for result in results[n_first:]:
        if fault is not None:
            return fault
        if item.follow_up_tokens == 0:
            return f"{n_first} requests were answered {len(results)} times."
        fault = find_fault(item.requests[:1], [result])
    return fault


# --- summing up ---------------------------------------------------------------------------------


def summarise(rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
    """Mean scores: overall the mean of the categories' means, then each category's.

    Categories have BCa bootstrap intervals over their tests; overall, tests are drawn anew within each category.

    Raises:
        DataError: There are no rows.
    """
    tally = Tally()
    values: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if tally.note(row):
            values[row.group].append(row.values["score"])
    tally.need_rows(NAME)
    return _average("score", values, tally, rng)


def _average(name: str, values: Mapping[str, Sequence[float]], tally: Tally, rng: np.random.Generator) -> list[Metric]:
    """The mean of the categories' means, then each category's mean."""
    parts = [values[group] for group in tally.groups() if values.get(group)]
    overall = math.fsum(map(_mean, parts)) / len(parts) if parts else None
    n = sum(map(len, parts))
    found = [tally.metric(name, overall, n, mean_of_means_interval(parts, rng), None)]
    for group in tally.groups():
        mine = values.get(group, ())
        interval = bootstrap_mean_interval(mine, rng)
        found.append(tally.metric(name, _mean(mine) if mine else None, len(mine), interval, group))
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


# --- tests that need a judge --------------------------------------------------------------------


def ask_judge(row: ItemRow) -> Sequence[JudgeQuestion]:
    """The rubric or question of a test that only a judge can decide."""
    wanted = row.facts.get("judge")
    if not isinstance(wanted, dict) or not row.exchanges:
        return ()
    turns = make_test(cast(Facts, row.facts["fields"])).turns
    answers = [strip_reasoning(str(exchange.answers[0]["text"])) for exchange in row.exchanges if exchange.answers]
    if len(answers) < len(turns) or not answers[-1]:
        return ()
    said = [text for pair in zip(turns, answers, strict=False) for text in pair][:-1]
    request = said[0] if len(said) == 1 else render_transcript(_take_turns(said)).strip()
    rubric, question = wanted["rubric"], wanted["question"]
    wording = None if question is None else str(question)
    return (JudgeQuestion(OWN_QUESTION if rubric is None else str(rubric), request, answers[-1], wording=wording),)


def _take_turns(said: Sequence[str]) -> list[Message]:
    return [Message(("user", "assistant")[number % 2], text) for number, text in enumerate(said)]


def _count_wanted(row: ItemRow) -> tuple[float, float] | None:
    """What a judged test counts: 1, and how far what is wanted holds."""
    wanted = row.facts.get("judge")
    name = f"judged_{wanted['rubric'] or OWN_QUESTION}" if isinstance(wanted, dict) else ""
    if not isinstance(wanted, dict) or name not in row.values:
        return None
    holds = row.values[name]
    return 1.0, holds if wanted["wants"] == "high" else 1 - holds


MEASURES: tuple[Measure, ...] = (
    *measure_means(MEAN_METRICS, {"score": "higher"}),
    Measure("judged_score", "higher", _count_wanted, fold=average_groups),
)


def summarise_judged(rows: Iterable[ItemRow], rng: np.random.Generator) -> list[Metric]:
    """Mean scores of the tests that need a judge, as `summarise` has those of all others.

    A test's score is how far its rubric holds, or how far it does not where that is wanted.
    """
    tally = Tally()
    values: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        wanted = row.facts.get("judge")
        if not isinstance(wanted, dict):
            continue
        name = f"judged_{wanted['rubric'] or OWN_QUESTION}"
        has_failed = row.outcome == "errored" or f"{name}_failed" in row.values
        outcome: OutcomeKind = "scored" if name in row.values else "errored" if has_failed else "unparsed"
        counted = _count_wanted(row)
        if tally.note(replace(row, outcome=outcome)) and counted is not None:
            values[row.group].append(counted[1])
    return _average("judged_score", values, tally, rng) if tally.n_rows else []
