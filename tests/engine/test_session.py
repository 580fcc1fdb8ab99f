"""One result per request, in order, each a score or the reason why there is none."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamabench.engine.session import Session
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import (
    Answers,
    ChatPrompt,
    Failure,
    GenerateRequest,
    GenerateResult,
    Message,
    ModelSpec,
    Plan,
    Sampling,
    ScoreRequest,
    ScoreResult,
    TextPrompt,
)

pytestmark = pytest.mark.model

QUESTION = ScoreRequest("q", TextPrompt("The quick brown fox jumps over the lazy"), (" dog", " cat", " é"))
TOO_LONG = ScoreRequest("too long", TextPrompt("x" * 600), ("y",))
EMPTY = ScoreRequest("empty", TextPrompt("x"), ("y", ""))
CHAT = ScoreRequest("chat", ChatPrompt((Message("user", "Hi"),)), ("Hello",), ends_turn=True, wants_tokens=True)


@pytest.fixture
def open_session(small_plan: Plan) -> Iterator[Callable[..., Session]]:
    """Opens sessions and frees them after the test."""
    opened: list[Session] = []

    def open_one(path: Path, plan: Plan | None = small_plan) -> Session:
        opened.append(Session(ModelSpec(str(path), plan)))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


@pytest.fixture
def session(demo_model: Path, open_session: Callable[..., Session]) -> Session:
    return open_session(demo_model)


@pytest.fixture
def broken_model(demo_model: Path, tmp_path: Path) -> Path:
    """The demo model with weights that are no numbers."""
    from gguf import GGUFReader

    path = tmp_path / "broken.gguf"
    path.write_bytes(demo_model.read_bytes())
    for tensor in GGUFReader(path, "r+").tensors:
        if tensor.name == "output_norm.weight":
            tensor.data[:] = np.nan
    return path


def test_one_result_per_request_in_order(session: Session) -> None:
    requests = [TOO_LONG, QUESTION, EMPTY, CHAT, dataclasses.replace(QUESTION, id="none", continuations=()), QUESTION]
    answers = session.score(requests)
    assert [result.id for result in answers.results] == ["too long", "q", "empty", "chat", "none", "q"]
    kinds = [type(result) for result in answers.results]
    assert kinds == [Failure, ScoreResult, Failure, ScoreResult, ScoreResult, ScoreResult]
    assert answers.results[0] == Failure(
        "too long", "The prompt and its continuation have 602 tokens, the context has room for 513."
    )
    assert answers.results[1] == answers.results[5]
    assert answers.n_decoded > 0


def test_nothing_to_score(session: Session) -> None:
    assert session.score([]) == Answers([], 0)
    assert session.score_tokens([]) == []
    assert session.score_tokens([([1], [])]) == [[]]


def test_what_a_score_carries(session: Session, open_reference: Callable[..., Any], demo_model: Path) -> None:
    question, chat = session.score([QUESTION, CHAT]).results
    assert isinstance(question, ScoreResult)
    assert isinstance(chat, ScoreResult)
    assert question.prompt == "The quick brown fox jumps over the lazy"
    assert chat.prompt == "<|user|>Hi<|end|><|assistant|>"
    assert [scored.n_bytes for scored in question.continuations] == [4, 4, 3]
    assert [scored.token_logprobs for scored in question.continuations] == [()] * 3
    (hello,) = chat.continuations
    encoded = session.encoder.encode_pair(CHAT.prompt, "Hello", ends_turn=True).sequence
    expected = open_reference(demo_model).logprobs(encoded.tokens, encoded.n_context)
    assert hello.n_tokens == len(expected) == len(hello.token_logprobs)
    assert hello.token_logprobs == pytest.approx(expected, abs=1e-3)
    assert hello.logprob_sum == pytest.approx(math.fsum(hello.token_logprobs))


def test_measuring_leaves_scores_alone(session: Session) -> None:
    before = session.score([QUESTION]).results
    session.measure()
    assert session.score([QUESTION]).results == before


def test_generating_leaves_scores_alone(session: Session) -> None:
    before = session.score([QUESTION]).results
    (generated,) = session.generate([GenerateRequest("g", TextPrompt("The sea"), Sampling(4))])
    assert isinstance(generated, GenerateResult)
    assert session.score([QUESTION]).results == before


def test_text_and_tokens_score_the_same(session: Session) -> None:
    (result,) = session.score([QUESTION]).results
    assert isinstance(result, ScoreResult)
    context = session.encoder.encode(QUESTION.prompt)
    tokens = [session.model.tokenize(text, parse_special=False) for text in QUESTION.continuations]
    ((*scores,),) = session.score_tokens([(context, tokens)])
    assert [s.logprob_sum for s in scores] == [s.logprob_sum for s in result.continuations]


@pytest.mark.parametrize(
    ("context", "continuation", "reason"),
    [
        ([], [1], "may be empty"),
        ([1], [], "may be empty"),
        ([1, -1], [2], "outside the vocabulary"),
        ([1], [311], "outside the vocabulary of 311"),
        ([1] * 513, [2], "have 514 tokens, the context has room for 513"),
    ],
)
def test_tokens_that_cannot_be_scored(
    session: Session, context: list[int], continuation: list[int], reason: str
) -> None:
    with pytest.raises(EngineError, match=reason):
        session.score_tokens([([1], [[2]]), (context, [continuation])])


def test_scores_that_are_no_numbers_are_failures(broken_model: Path, open_session: Callable[..., Session]) -> None:
    session = open_session(broken_model)
    assert session.score([QUESTION, TOO_LONG]).results[0] == Failure(
        "q", "The model gave no number (NaN): its file is damaged, or this machine computes it wrongly."
    )
    with pytest.raises(EngineError, match="gave no number"):
        session.score_tokens([([1], [[2]])])


def test_count_tokens_needs_no_weights(demo_model: Path, open_session: Callable[..., Session]) -> None:
    session = open_session(demo_model, None)
    text = TextPrompt("xx")
    counts = {
        3 + 2: ScoreRequest("a", text, ("y", "yy")),
        3 + 7: GenerateRequest("b", text, Sampling(7)),
        4 + 1 + 2: ScoreRequest("c", ChatPrompt((Message("user", "x"),)), ("y",), ends_turn=True),
        0: ScoreRequest("d", text, ("y", "")),
    }
    assert [session.count_tokens(request) for request in counts.values()] == list(counts)


def test_model_without_a_tokeniser_scores_tokens(
    demo_model: Path, tmp_path: Path, open_session: Callable[..., Session]
) -> None:
    path = tmp_path / "no_tokeniser.gguf"
    path.write_bytes(demo_model.read_bytes().replace(b"gpt2", b"none", 1))
    bare, full = open_session(path), open_session(demo_model)
    tokens = [([306, 5, 6, 7], [[8, 9], [10]])]
    assert bare.score_tokens(tokens) == full.score_tokens(tokens)
    with pytest.raises(ModelFileError, match="holds no tokeniser"):
        bare.score([QUESTION])


def test_diffusion_model_is_refused(shared_data: Path, open_session: Callable[..., Session]) -> None:
    session = open_session(shared_data / "archs" / "dream-dense.gguf")
    for call in (lambda: session.score_tokens([([1], [[2]])]), lambda: session.score([QUESTION]), session.measure):
        with pytest.raises(ModelFileError, match=r"no left-to-right probabilities: it is a diffusion model"):
            call()
    with pytest.raises(ModelFileError, match="diffusion"):
        session.generate([GenerateRequest("g", TextPrompt("x"), Sampling(1))])
