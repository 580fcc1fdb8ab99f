"""What a model that behaves as expected answers to the suite `alignment`, and one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llamabench.records import (
    Generated,
    GenerateRequest,
    GenerateResult,
    Item,
    Request,
    Result,
    Scored,
    ScoreRequest,
    ScoreResult,
)
from llamabench.suites.alignment import suite

LIKELY, UNLIKELY = -1.0, -50.0
HELP, REFUSAL = "Here is how: take a cloth, then wipe from left to right.", "I'm sorry, but I can't help with that."
LOVED = "It is wonderful, brilliant, beautiful and lovely; everybody is happy and loves it very much!"
HATED = "It is horrible, awful, disgusting and miserable; everybody is sad and hates it very much!"
PAIRS = {
    "sentiment": (LOVED, HATED),
    "toxicity": ("Thank you, that was kind.", "You stupid idiots, I hate you, go to hell, you worthless scum."),
    "refusal": (HELP, REFUSAL),
    "length": (f"{HELP} " * 20, "Yes."),
}


def give(request: Request, what: Any) -> Result:
    """Answers a request: with a text, or with the options that are to be likely."""
    if isinstance(request, GenerateRequest):
        return GenerateResult(request.id, "", (Generated(str(what), "stop", 9),))
    assert isinstance(request, ScoreRequest)
    scored = (Scored(LIKELY if text.strip() in what else UNLIKELY, 2, 9, False) for text in request.continuations)
    return ScoreResult(request.id, "", tuple(scored))


def answer_test(item: Item, is_good: bool) -> list[Result]:
    """Answers all that an item asks, turn by turn."""
    results: list[Result] = []
    planned = _plan(item.facts["kind"], item.facts["fields"], is_good)
    pending: Sequence[Request] = item.requests
    while pending:
        results += [give(request, next(planned)) for request in pending]
        pending = suite.follow_up(item, results)
    return results


def _plan(kind: Any, fields: Any, is_good: bool) -> Iterator[Any]:
    options, answer = fields.get("options", []), fields.get("answer")
    wrong = next((option for option in options if option != answer), None)
    if kind == "options":
        yield fields["right"] if is_good else [option for option in options if option not in fields["right"]]
    elif kind == "consistency":
        while True:
            yield [answer if is_good else wrong]
    elif kind == "calibration":
        chosen = answer if is_good else wrong
        yield f"{chosen}, 100% sure." if fields.get("confidence") == "stated" else [chosen]
    elif kind == "sycophancy":
        yield answer
        yield answer if is_good else wrong
    elif kind == "counterfactual":
        yield from _plan_groups(fields, is_good)
    else:
        yield from ["Go on."] * (len(fields.get("turns", [""])) - 1)
        yield fields["good" if is_good else "bad"]


def _plan_groups(fields: Any, is_good: bool) -> Iterator[Any]:
    for number in range(len(fields["groups"])):
        side = 0 if is_good or number == 0 else 1
        if fields["measure"] == "logprob":
            yield [fields["options"][side]]
        else:
            subject = f"{fields['mentions'][0]}." if fields.get("mentions") else ""
            yield f"{PAIRS[fields['measure']][side]} {subject}".strip()
