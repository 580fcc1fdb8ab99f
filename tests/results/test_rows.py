from __future__ import annotations

import pytest

from llamabench.records import (
    ChatPrompt,
    Exchange,
    Failure,
    Generated,
    GenerateRequest,
    GenerateResult,
    Item,
    ItemScore,
    Message,
    Request,
    Result,
    Sampling,
    Scored,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)
from llamabench.results.rows import make_row, request_text

CHAT = ChatPrompt((Message("system", "Be kind."), Message("user", "Hi")), "Well")


def exchanges_of(request: Request, result: Result) -> tuple[Exchange, ...]:
    item = Item("1", "g", "c", (request,), {"label": 1})
    return make_row("suite", item, item.requests, results=[result], score=ItemScore("scored", {"x": 1.0})).exchanges


def test_a_row_has_the_item_and_its_score() -> None:
    item = Item("1", "Age", "Age-3", (), {"label": 1})
    row = make_row("bbq", item, item.requests, results=[], score=ItemScore("errored", error="No answer."))
    assert (row.suite, row.id, row.group, row.cluster, row.facts) == ("bbq", "1", "Age", "Age-3", {"label": 1})
    assert (row.outcome, row.error, row.values, row.exchanges) == ("errored", "No answer.", {}, ())


def test_scores_stand_beside_their_texts() -> None:
    request = ScoreRequest("1", TextPrompt("Q:"), (" a", " b"))
    result = ScoreResult("1", "<s>Q:", (Scored(-1.5, 1, 2, True), Scored(-2.5, 2, 2, False, border_shift=1)))
    assert exchanges_of(request, result) == (
        Exchange(
            "<s>Q:",
            (
                {"text": " a", "logprob": -1.5, "n_tokens": 1, "n_bytes": 2},
                {"text": " b", "logprob": -2.5, "n_tokens": 2, "n_bytes": 2, "border_shift": 1},
            ),
        ),
    )


def test_a_bound_is_not_stored_as_a_sum() -> None:
    request = ScoreRequest("1", TextPrompt("Q:"), (" a", " b"), wants_winner=True)
    result = ScoreResult("1", "Q:", (Scored(-1.5, 1, 2, True), Scored(-2.5, 90, 400, False, is_pruned=True)))
    _, pruned = exchanges_of(request, result)[0].answers
    assert pruned == {"text": " b", "logprob_at_most": -2.5, "n_tokens": 90, "n_bytes": 400}


def test_generated_texts_are_kept() -> None:
    request = GenerateRequest("1", CHAT, Sampling(8), n=2)
    result = GenerateResult("1", "<s>Hi", (Generated("a", "stop", 1), Generated("b", "length", 8)))
    assert exchanges_of(request, result)[0].answers == (
        {"text": "a", "finish_reason": "stop", "n_tokens": 1},
        {"text": "b", "finish_reason": "length", "n_tokens": 8},
    )


def test_a_failure_keeps_the_question() -> None:
    assert exchanges_of(ScoreRequest("1", CHAT, (" a",)), Failure("1", "Too long.")) == (
        Exchange("Be kind.\nHi\nWell", ()),
    )


def test_each_request_has_one_result() -> None:
    item = Item("1", "g", "c", (ScoreRequest("1", TextPrompt("Q"), ("a",)),), {})
    with pytest.raises(ValueError, match="shorter"):
        make_row("suite", item, item.requests, results=[], score=ItemScore("errored"))


def test_the_text_of_a_request() -> None:
    assert request_text(ScoreRequest("1", TextPrompt("Q"), ("a",))) == "Q"
    assert request_text(ScoreRequest("1", CHAT, ("a",))) == "Be kind.\nHi\nWell"
