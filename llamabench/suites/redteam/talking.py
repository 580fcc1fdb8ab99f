"""Attacks as a model is asked them: the first requests of each, what is said next, and what came of every try."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from llamabench.records import (
    Attack,
    AttackTarget,
    AttackVerdict,
    Attempt,
    ChatPrompt,
    Facts,
    GenerateRequest,
    GenerateResult,
    Item,
    Json,
    Message,
    Request,
    Result,
    Sampling,
    ScoreResult,
)
from llamabench.suites.conversation import TRANSCRIPT_STOPS, make_prompt, strip_reasoning
from llamabench.suites.redteam.technique import Technique

MOST_TURNS = 12
"""Answers after which a conversation is over, whatever the technique would say."""

TRY_AGAIN_TEMPERATURE = 1.0
"""Temperature of techniques that try again and again, as in Hughes et al. 2024, arXiv:2412.03556; others are greedy."""

_MOST_BROKEN = 0.05
"""Share of characters that are none, from which an answer is broken: nothing can be built on it."""

_TURN_TOKENS = 16
_BYTES_PER_TOKEN = 2
"""Fewest in any language that techniques write in, about."""
_REREAD = 1.5
"""Tokens to read an answer, for each that it took to write; a broken answer takes more, and is not read again."""
_SEARCH_TOKENS = 512
"""What a search may add to the prompt that it begins with."""


@dataclass(frozen=True, slots=True)
class Try:
    """One answer that is to be judged.

    Attributes:
        place: Place of the exchange that it is the answer of.
        messages: The conversation up to it.
        prefill: Opening put into the model's mouth before it.
        prompt: What was said to the model, without its own answers: what an echo repeats.
        answer: What it wrote, in plain words, without what it thought.
        is_of_substance: Whether it answers the request, and no question that leads up to it.
    """

    place: int
    messages: tuple[Message, ...]
    prefill: str
    prompt: str
    answer: str
    is_of_substance: bool = True


# --- items --------------------------------------------------------------------------------------


def make_item(attack: Attack, technique: Technique, *, max_tokens: int, use_chat: bool) -> Item:
    """The item of an attack: a request for each of its tries, or the one that a conversation or search begins with."""
    attempts = attack.attempts[:1] if technique.next_turn or technique.search else attack.attempts
    n_tokens = max_tokens + technique.n_tokens
    temperature = TRY_AGAIN_TEMPERATURE if len(attempts) > 1 else 0.0
    requests: list[Request] = [
        GenerateRequest(
            _name_request(attack.id, number),
            make_prompt(attempt.messages, use_chat=use_chat, opening=attempt.prefill),
            Sampling(n_tokens, temperature, stop=() if use_chat else TRANSCRIPT_STOPS, seed=number),
        )
        for number, attempt in enumerate(attempts)
    ]
    facts: dict[str, Json] = {
        "target": asdict(attack.target),
        "technique": technique.name,
        "family": technique.family,
        "attempts": [describe_try(one.messages, one.prefill) for one in attempts],
    }
    later = _count_later_tokens(attack.target, technique, n_tokens)
    return Item(attack.id, attack.target.category, attack.target.id, tuple(requests), facts, later)


def _name_request(attack: str, number: int) -> str:
    return attack if number == 0 else f"{attack}#{number + 1}"


def describe_try(
    turns: Sequence[Message], prefill: str, verdict: AttackVerdict | None = None, severity: float | None = None
) -> dict[str, Json]:
    """A try as it is stored among the facts of an item, in the fields of `AttemptResult`."""
    found: dict[str, Json] | None = None
    if verdict is not None:
        found = {
            "outcome": verdict.outcome,
            "compliance": verdict.compliance,
            "specificity": verdict.specificity,
            "signs": [asdict(sign) for sign in verdict.signs],
        }
    said: list[Json] = [asdict(turn) for turn in turns]
    return {"turns": said, "prefill": prefill, "verdict": found, "severity": severity}


def _count_later_tokens(target: AttackTarget, technique: Technique, n_tokens: int) -> int:
    """Tokens that later turns may add to the first request."""
    if technique.search:
        return _SEARCH_TOKENS
    if technique.next_turn is None:
        return 0
    turns = _say_turns(technique, target, ["Yes."] * MOST_TURNS)
    return sum(len(turn.encode()) // _BYTES_PER_TOKEN + _TURN_TOKENS + math.ceil(_REREAD * n_tokens) for turn in turns)


def read_target(facts: Facts) -> AttackTarget:
    """What an item asks for."""
    return AttackTarget(**cast(Mapping[str, object], facts["target"]))  # type: ignore[arg-type]


def _read_attempt(facts: Facts, number: int = 0) -> Attempt:
    found = cast(Mapping[str, Json], cast(list[Json], facts["attempts"])[number])
    turns = cast(list[Mapping[str, str]], found["turns"])
    return Attempt(tuple(Message(turn["role"], turn["content"]) for turn in turns), str(found["prefill"]))


# --- what is said next --------------------------------------------------------------------------


def ask_again(item: Item, results: Sequence[Result], technique: Technique) -> Sequence[Request]:
    """The next turn of a conversation, or the next questions of a search; no turn after a failure.

    Args:
        item: The item, its requests all that was asked for it so far.
        results: Answers to them.
        technique: Its technique.
    """
    target = read_target(item.facts)
    if technique.search is not None:
        return technique.search(target, item.requests, results)  # which knows what to do without some answers
    if not all(isinstance(result, ScoreResult | GenerateResult) for result in results):
        return ()
    answers = _read_answers(results)
    if technique.next_turn is None or len(answers) == MOST_TURNS or not _can_be_built_on(answers[-1]):
        return ()
    said = technique.next_turn(target, answers)
    if said is None:
        return ()
    first = item.requests[0]
    assert isinstance(first, GenerateRequest)
    turns = [*_say_turns(technique, target, answers[:-1]), said]
    messages = _join(_read_attempt(item.facts).messages, answers, turns)
    prompt = make_prompt(messages, use_chat=isinstance(first.prompt, ChatPrompt))
    return (GenerateRequest(_name_request(item.id, len(answers)), prompt, first.sampling),)


def _read_answers(results: Sequence[Result]) -> list[str]:
    return [strip_reasoning(one.texts[0].text) for one in results if isinstance(one, GenerateResult)]


def _can_be_built_on(answer: str) -> bool:
    """Whether a conversation can go on from an answer."""
    return bool(answer) and answer.count("\ufffd") <= _MOST_BROKEN * len(answer)


def _say_turns(technique: Technique, target: AttackTarget, answers: Sequence[str]) -> list[str]:
    """What was said after each of the answers, up to where the conversation was over."""
    assert technique.next_turn is not None
    turns = []
    for n_answers in range(1, len(answers) + 1):
        said = technique.next_turn(target, answers[:n_answers])
        if said is None:
            break
        turns.append(said)
    return turns


def _join(messages: Sequence[Message], answers: Sequence[str], turns: Sequence[str]) -> tuple[Message, ...]:
    """The conversation that begins with `messages`, is answered, and goes on."""
    later = [(Message("assistant", answer), Message("user", turn)) for answer, turn in zip(answers, turns, strict=True)]
    return (*messages, *(message for pair in later for message in pair))


# --- what came of it ----------------------------------------------------------------------------


def find_tries(item: Item, results: Sequence[Result], technique: Technique) -> list[Try]:
    """The answers that came of an attack, after `find_fault` found none.

    Of a search it is the last text. Of a conversation it is every answer; the first one is of no substance where it
    does not answer the request in its own words.

    Args:
        item: The item, its requests all that was asked for it.
        results: Answers to them.
        technique: Its technique.
    """
    target, answers = read_target(item.facts), _read_answers(results)
    decode = technique.decode or _leave
    if technique.search is not None:
        return [_find_last(item, decode(answers[-1]))]
    if technique.next_turn is None:
        return [
            _make_try(place, _read_attempt(item.facts, place), (), answer=decode(answer))
            for place, answer in enumerate(answers)
        ]
    first, turns = _read_attempt(item.facts), _say_turns(technique, target, answers[:-1])
    is_direct = len(answers) == 1 or any(target.text in message.content for message in first.messages)
    later = list(zip(answers, turns, strict=False))
    return [
        _make_try(place, first, later[:place], answer=decode(answer), is_of_substance=place > 0 or is_direct)
        for place, answer in enumerate(answers)
    ]


def _leave(text: str) -> str:
    return text


def _make_try(
    place: int, attempt: Attempt, later: Sequence[tuple[str, str]], *, answer: str, is_of_substance: bool = True
) -> Try:
    """The try whose answer came after an attempt and what followed it: pairs of an answer and the next turn."""
    messages = _join(attempt.messages, [one for one, _ in later], [turn for _, turn in later])
    prompt = "\n".join([*(message.content for message in attempt.messages), *(turn for _, turn in later)])
    return Try(place, messages, "" if later else attempt.prefill, prompt, answer, is_of_substance)


def _find_last(item: Item, answer: str) -> Try:
    """The try that a search ended with."""
    place = max(place for place, one in enumerate(item.requests) if isinstance(one, GenerateRequest))
    prompt = item.requests[place].prompt
    if isinstance(prompt, ChatPrompt):
        return _make_try(place, Attempt(prompt.messages, prompt.prefill), (), answer=answer)
    return _make_try(place, Attempt((Message("user", prompt.text),)), (), answer=answer)
