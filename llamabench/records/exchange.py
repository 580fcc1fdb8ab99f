"""What is asked of a model and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Text for the model to continue; special tokens written in it stay text."""

    text: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation that the model's chat template renders, with the opening of the answer, if any."""

    messages: tuple[Message, ...]
    prefill: str = ""


Prompt = TextPrompt | ChatPrompt


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Asks for log p(continuation | prompt) of each continuation.

    With `ends_turn`, the model's end-of-turn token is scored after each continuation too; with `wants_tokens`, the
    answer lists the log-probability of every token. With `wants_winner`, only the likeliest continuation and those
    that tie with it have to be scored to their end: the others may be pruned.
    """

    id: str
    prompt: Prompt
    continuations: tuple[str, ...]
    ends_turn: bool = False
    wants_tokens: bool = False
    wants_winner: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens; `temperature` 0 is greedy, `top_k` 0, `top_p` 1 and `min_p` 0 are off."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Asks for `n` continuations of a prompt, each a function of (prompt, sampling, its number) alone.

    With `wants_tokens`, the answer lists the tokens of each and their log-probabilities.
    """

    id: str
    prompt: Prompt
    sampling: Sampling
    n: int = 1
    wants_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """One continuation's score.

    Attributes:
        logprob_sum: Sum of the natural-log probabilities of its tokens. Where `is_pruned`, the sum over its first ones:
            the whole sum is no higher.
        n_tokens: How many tokens it has.
        n_bytes: UTF-8 bytes of the continuation as asked for.
        is_greedy: Whether each token that was scored was the model's likeliest.
        border_shift: Tokens that the split between context and continuation moved back because the tokeniser
            merged text across it; 0 nearly always.
        token_logprobs: The summands, where they were asked for.
        is_pruned: Whether it was left when it could no longer be the likeliest; only where the winner was asked for.
    """

    logprob_sum: float
    n_tokens: int
    n_bytes: int
    is_greedy: bool
    border_shift: int = 0
    token_logprobs: tuple[float, ...] = ()
    is_pruned: bool = False


@dataclass(frozen=True, slots=True)
class Generated:
    """One generated text.

    Attributes:
        text: What the model wrote, without end token and stop string.
        finish_reason: `stop` (end token or stop string) or `length`.
        n_tokens: Tokens drawn, an end token and those of a stop string included.
        tokens: Their ids, where they were asked for.
        token_logprobs: The natural-log probability of each in the distribution as the model gives it: before
            temperature and filters, so those of a narrowed draw do not sum to what it was drawn with.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    n_tokens: int
    tokens: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The answer to a `ScoreRequest`, its continuations in the order asked; `prompt` is what the model read."""

    id: str
    prompt: str
    continuations: tuple[Scored, ...]


@dataclass(frozen=True, slots=True)
class GenerateResult:
    """The answer to a `GenerateRequest`, its texts in the order of their numbers; `prompt` is what the model read."""

    id: str
    prompt: str
    texts: tuple[Generated, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """The answer to a request that could not be answered, and why."""

    id: str
    message: str


TokenRequest = tuple[list[int], list[list[int]]]
"""A context and its continuations in tokens."""

Request = ScoreRequest | GenerateRequest
Result = ScoreResult | GenerateResult | Failure


class Answers(NamedTuple):
    """Answers to a chunk.

    Attributes:
        results: Results in the order of their requests.
        n_decoded: Tokens that were decoded, or generated, for them.
        place: Which of the chunks under way it is, in the order in which they were asked; 0 for the oldest.
        workers: Numbers of the workers that answered, where a cluster did.
    """

    results: list[Result]
    n_decoded: int
    place: int = 0
    workers: tuple[int, ...] = ()
