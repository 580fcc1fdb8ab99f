"""Items of a suite, how they ended, and the numbers made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from llamabench.records.exchange import Request

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Facts = Mapping[str, Json]

OutcomeKind = Literal["scored", "unparsed", "errored"]
"""How an item ended: exactly one of these, always."""


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a suite.

    Attributes:
        id: Unique within the suite and edition, the same in every run.
        group: What scores are broken down by, and what `--limit` keeps in proportion.
        cluster: Items that share it were made from one template and are not independent.
        requests: What to ask the model, in order.
        facts: What scoring and summing up need beside the answers; stored with the item.
        follow_up_tokens: Tokens that what is asked later may need beyond the longest of `requests`.
    """

    id: str
    group: str
    cluster: str
    requests: tuple[Request, ...]
    facts: Facts
    follow_up_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ItemScore:
    """How an item ended, and the numbers its suite made of the answers; `error` says why there are none.

    A value whose name ends in `#1`, `#2`, ... is about the first, second, ... of the item's answers alone.
    What else was found stands in `facts`, to be stored with the item's own. Where not all that was asked and answered
    is worth storing, `kept` holds the places of what is.
    """

    outcome: OutcomeKind
    values: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    facts: Facts = field(default_factory=dict)
    kept: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and what came back, as it is stored: `answers` pairs each text with its numbers."""

    prompt: str
    answers: tuple[Facts, ...]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One finished item as the store holds it."""

    suite: str
    id: str
    group: str
    cluster: str
    outcome: OutcomeKind
    facts: Facts
    values: Mapping[str, float]
    error: str | None
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number over many items with its doubt.

    Attributes:
        name: The metric, unique within its suite and group.
        value: The number; a ratio is 0 to 1, a bias score -1 to 1. None where it is not defined.
        n: Items it was computed from.
        low: Lower end of the 95 % interval, None where there is none.
        high: Upper end.
        method: How the interval was made.
        group: The part of the suite it is about; None for the whole.
        unparsed: Items of that part whose answer could not be read.
        errored: Items of that part that ended in an error.
        judge: The model whose verdicts it rests on, None where none judged; the two counts before are then of answers.
    """

    name: str
    value: float | None
    n: int
    low: float | None
    high: float | None
    method: str
    group: str | None = None
    unparsed: int = 0
    errored: int = 0
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A metric of one run, with the signature that says what it may be compared with."""

    suite: str
    metric: Metric
    signature: str
