"""The items of a suite as a report shows them: a bounded sample, failures first, long texts cut and said so."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import os.path
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from llamabench.records import Exchange, Facts, ItemRow, Json, OutcomeKind
from llamabench.report.format import NBSP, format_count, format_logprob, format_score, shorten
from llamabench.report.value_words import describe_values

N_ITEMS = 300
"""Most items of one suite in a page."""
N_FAILED = 200
"""Most failed items among them, so that scored ones can be read too."""
SUITE_CHARS = 600_000
"""Most characters of one suite's items in a page, their markup included."""
PAGE_CHARS = 2_400_000
"""The same for all suites together: none has more than its even share."""

_PROMPT_CHARS = 2_000
_ANSWER_CHARS = 800
_N_ANSWERS = 25
_N_FACTS = 12
_FACT_CHARS = 80
_LEAST_OPENING = 160
_ITEM_CHARS = 600
_ROW_CHARS = 150
"""Markup of an item, and of each of its answers."""
_BEHAVIOUR = ("expected", "observed")
"""Facts that say in words what a test wanted and what it saw; a page shows them whole."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and what stands beside it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    """One answer: its text, how likely the model found it, if it was the likeliest of those offered, and its values."""

    text: str
    n_cut: int
    logprob: str | None
    share: str | None
    n_tokens: str | None
    finish: str | None
    is_likeliest: bool
    values: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class ExchangeView:
    """One prompt and its answers; `has_opening` where the suite's shared opening was left out in front."""

    prompt: str
    n_cut: int
    has_opening: bool
    answers: tuple[AnswerView, ...]
    n_answers_cut: int

    @property
    def has_logprobs(self) -> bool:
        """Whether the answers were scored rather than generated."""
        return any(answer.logprob is not None for answer in self.answers)


@dataclass(frozen=True, slots=True)
class BehaviourView:
    """What a test expected, what was observed (None where nothing was), and its score."""

    expected: str
    observed: str | None
    score: str | None


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item; `behaviour` where its suite says in words what it expects."""

    id: str
    group: str
    outcome: OutcomeKind
    error: str | None
    preview: str
    values: tuple[Pair, ...]
    facts: tuple[Pair, ...]
    behaviour: BehaviourView | None
    exchanges: tuple[ExchangeView, ...]


@dataclass(frozen=True, slots=True)
class ItemsView:
    """The items of one suite in a page.

    Attributes:
        shown: The sample: errored, unparsed, then scored items, as even over the groups as they allow.
        n_total: Items that were run, as text.
        is_all: Whether all of them are shown.
        opening: Text that all shown prompts begin with, left out of each; empty where there is none.
        first_prompt: The very first prompt of the suite, whole.
    """

    shown: tuple[ItemView, ...]
    n_total: str
    is_all: bool
    opening: str
    first_prompt: str


@dataclass(slots=True)
class _Pool:
    """The rows of lowest rank of those offered, at most `size` of them."""

    size: int
    heap: list[tuple[int, int, ItemRow]] = field(default_factory=list)

    def offer(self, row: ItemRow, *, rank: int, number: int) -> None:
        """Take a row; `number` tells rows of equal rank apart."""
        entry = (-rank, -number, row)
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        else:
            heapq.heappushpop(self.heap, entry)

    def ranked(self) -> list[ItemRow]:
        return [row for _, _, row in sorted(self.heap, reverse=True)]


def build_items(rows: Iterable[ItemRow], seed: int, *, n_suites: int = 1) -> ItemsView:
    """Choose the items to show in one pass over the rows, and cut them to size.

    Args:
        rows: All finished items of the suite, in the order they are stored.
        seed: Seed of the choice; the same rows and seed give the same page.
        n_suites: Suites that share the page.
    """
    chosen, n_total, first_prompt = _sample(rows, seed)
    opening = _shared_opening(chosen)
    shown = _fit((_view_item(row, opening) for row in chosen), min(SUITE_CHARS, PAGE_CHARS // n_suites))
    return ItemsView(
        shown=tuple(sorted(shown, key=_page_order)),
        n_total=format_count(n_total),
        is_all=len(shown) == n_total,
        opening=opening,
        first_prompt=first_prompt,
    )


def _sample(rows: Iterable[ItemRow], seed: int) -> tuple[list[ItemRow], int, str]:
    errored, unparsed = _Pool(N_FAILED), _Pool(N_FAILED)
    groups: dict[str, _Pool] = {}
    n_total, first_prompt = 0, ""
    for row in rows:
        if n_total == 0 and row.exchanges:
            first_prompt = row.exchanges[0].prompt
        n_total += 1
        rank = int.from_bytes(hashlib.sha256(f"{seed}:{row.id}".encode(errors="surrogatepass")).digest()[:8])
        if row.outcome == "scored":
            groups.setdefault(row.group, _Pool(N_ITEMS)).offer(row, rank=rank, number=n_total)
        else:
            (errored if row.outcome == "errored" else unparsed).offer(row, rank=rank, number=n_total)
    failed = (errored.ranked() + unparsed.ranked())[:N_FAILED]
    scored = _take_in_turn(groups, N_ITEMS - len(failed))
    return [*failed, *scored], n_total, first_prompt


def _take_in_turn(groups: Mapping[str, _Pool], n: int) -> list[ItemRow]:
    """Take one row of each group, then a second of each, until there are `n`."""
    columns = [groups[name].ranked() for name in sorted(groups)]
    turns = (row for turn in zip_longest(*columns) for row in turn if row is not None)
    return [row for _, row in zip(range(n), turns, strict=False)]


def _fit(items: Iterable[ItemView], most_chars: int) -> list[ItemView]:
    """Keep items until the room for them is used up."""
    kept: list[ItemView] = []
    n_chars = 0
    for item in items:
        n_chars += _ITEM_CHARS + sum(len(exchange.prompt) for exchange in item.exchanges)
        n_chars += sum(len(answer.text) + _ROW_CHARS for exchange in item.exchanges for answer in exchange.answers)
        if kept and n_chars > most_chars:
            break
        kept.append(item)
    return kept


def _page_order(item: ItemView) -> tuple[int, str, str]:
    return ("errored", "unparsed", "scored").index(item.outcome), item.group, item.id


def _shared_opening(rows: list[ItemRow]) -> str:
    """Find what all prompts begin with, up to the end of a line; empty when it is not worth leaving out."""
    prompts = [exchange.prompt for row in rows for exchange in row.exchanges]
    if len(prompts) < 3:
        return ""
    opening = os.path.commonprefix(prompts)
    opening = opening[: opening.rfind("\n") + 1]
    return opening if len(opening) >= _LEAST_OPENING else ""


def _view_item(row: ItemRow, opening: str) -> ItemView:
    starts = itertools.accumulate((len(exchange.answers) for exchange in row.exchanges), initial=1)
    exchanges = tuple(
        _view_exchange(exchange, opening, values=row.values, first=first)
        for exchange, first in zip(row.exchanges, starts, strict=False)
    )
    values = tuple(Pair(name, value) for name, value in describe_values(row))
    preview = exchanges[0].prompt[-600:] if exchanges else row.error or ""
    return ItemView(
        row.id,
        row.group,
        row.outcome,
        row.error,
        _end_of(" ".join(preview.split())),
        values,
        tuple(_simple_facts(row.facts)),
        _view_behaviour(row),
        exchanges,
    )


def _view_behaviour(row: ItemRow) -> BehaviourView | None:
    expected, observed, score = row.facts.get("expected"), row.facts.get("observed"), row.values.get("score")
    if not isinstance(expected, str):
        return None
    return BehaviourView(
        shorten(expected, _ANSWER_CHARS)[0],
        shorten(observed, _ANSWER_CHARS)[0] if isinstance(observed, str) else None,
        None if score is None else format_score(score, "share"),
    )


def _end_of(text: str, n_chars: int = 110) -> str:
    """Keep the end of a text, where a prompt's own question stands, from the start of a word."""
    if len(text) <= n_chars:
        return text
    return f"\u2026 {text[-n_chars:].partition(' ')[2] or text[-n_chars:]}"


def _simple_facts(facts: Facts) -> Iterator[Pair]:
    shown = ((name, value) for name, value in facts.items() if name not in _BEHAVIOUR)
    simple = ((name, value) for name, value in shown if isinstance(value, str | int | float | bool))
    for _, (name, value) in zip(range(_N_FACTS), simple, strict=False):
        yield Pair(name, shorten(str(value), _FACT_CHARS)[0])


def _view_exchange(exchange: Exchange, opening: str, *, values: Mapping[str, float], first: int) -> ExchangeView:
    """View an exchange whose first answer has the number `first` among those of the item."""
    prompt, n_cut = shorten(exchange.prompt.removeprefix(opening), _PROMPT_CHARS)
    logprobs = [_read_number(answer.get("logprob")) for answer in exchange.answers]
    bounds = [_read_number(answer.get("logprob_at_most")) for answer in exchange.answers]
    shares = _share_out(logprobs)
    likeliest = _find_likeliest([bound if x is None else x for x, bound in zip(logprobs, bounds, strict=True)])
    shown = [_format_logprob(*pair) for pair in zip(logprobs, bounds, strict=True)]
    answers = [
        replace(
            _view_answer(answer, shown[i], share=share, is_likeliest=i == likeliest),
            values=tuple(_values_of(first + i, values)),
        )
        for i, (answer, share) in enumerate(zip(exchange.answers, shares, strict=True))
    ]
    n_most = _N_ANSWERS
    return ExchangeView(prompt, n_cut, bool(opening), tuple(answers[:n_most]), max(len(answers) - n_most, 0))


def _values_of(number: int, values: Mapping[str, float]) -> Iterator[Pair]:
    """The values that are about the answer of that number alone."""
    for name, value in values.items():
        stem, _, end = name.partition("#")
        if end == str(number):
            yield Pair(stem, f"{value:.4g}")


def _format_logprob(logprob: float | None, bound: float | None) -> str | None:
    if logprob is not None:
        return format_logprob(logprob)
    return None if bound is None else f"at most{NBSP}{format_logprob(bound)}"


def _view_answer(answer: Facts, logprob: str | None, *, share: float | None, is_likeliest: bool) -> AnswerView:
    text, n_cut = shorten(str(answer.get("text", "")), _ANSWER_CHARS)
    n_tokens, finish = answer.get("n_tokens"), answer.get("finish_reason")
    return AnswerView(
        text=text,
        n_cut=n_cut,
        logprob=logprob,
        share=None if share is None else _format_share(share),
        n_tokens=format_count(n_tokens) if isinstance(n_tokens, int) else None,
        finish=finish if isinstance(finish, str) else None,
        is_likeliest=is_likeliest,
    )


def _format_share(share: float) -> str:
    if 0 < share < 0.0005:
        return f"<{NBSP}0.1{NBSP}%"
    return f">{NBSP}99.9{NBSP}%" if 0.9995 <= share < 1 else format_score(share, "share")


def _read_number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _share_out(logprobs: list[float | None]) -> list[float | None]:
    """Turn log-probabilities into shares of their sum; None where not every answer has one."""
    known = [x for x in logprobs if x is not None]
    if len(known) < 2 or len(known) < len(logprobs):
        return [None] * len(logprobs)
    weights = [math.exp(x - max(known)) for x in known]
    return [weight / sum(weights) for weight in weights]


def _find_likeliest(logprobs: list[float | None]) -> int | None:
    """Find the answer of highest log-probability; a tie has none."""
    known = [x for x in logprobs if x is not None]
    if len(known) < 2 or known.count(max(known)) > 1:
        return None
    return logprobs.index(max(known))
