"""Conversations follow their script, take up what the model said, and go back a step when it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from llamabench.data.cache import find_dataset
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.conversations import (
    CONTEXT_COMPLIANCE,
    CRESCENDO,
    DECEPTIVE_DELIGHT,
    FOOT_IN_THE_DOOR,
    MOST_TURNS,
    RAPPORT_THEN_ASK,
    SPLIT_OVER_TURNS,
    Script,
    has_refused,
    quote_answer,
)
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.technique import Technique

SCRIPTS = {
    "crescendo": CRESCENDO,
    "foot_in_the_door": FOOT_IN_THE_DOOR,
    "rapport_then_ask": RAPPORT_THEN_ASK,
    "split_over_turns": SPLIT_OVER_TURNS,
    "deceptive_delight": DECEPTIVE_DELIGHT,
    "context_compliance": CONTEXT_COMPLIANCE,
}
REFUSAL = "I'm sorry, but I can't help with that."
CONSENT = "Sure. The old harbour town is where all of it began, long ago."

TARGET = next(target for target in read_targets(find_dataset(("redteam",))) if target.subcategory == "phishing")
conversations = pytest.mark.parametrize(
    "technique",
    [technique for technique in TECHNIQUES.values() if technique.next_turn is not None],
    ids=lambda technique: technique.name,
)


def talk(technique: Technique, answer: Callable[[int], str]) -> list[str]:
    """What the attacker says to a model that gives these answers."""
    (attempt,) = technique.write(TARGET, np.random.default_rng(0))
    said = [attempt.messages[-1].content]
    answers = [answer(0)]
    assert technique.next_turn is not None
    while (text := technique.next_turn(TARGET, answers)) is not None:
        assert text.strip()
        said.append(text)
        answers.append(answer(len(answers)))
        assert len(said) <= MOST_TURNS
    return said


def script_of(technique: Technique) -> Script:
    return SCRIPTS[technique.name]


def test_every_conversation_has_a_script() -> None:
    assert set(SCRIPTS) == {each.name for each in TECHNIQUES.values() if each.family == "multi-turn"}


@conversations
def test_a_model_that_complies_is_led_to_the_end(technique: Technique) -> None:
    said = talk(technique, lambda turn: CONSENT)
    assert len(said) == len(script_of(technique).steps) >= 2
    assert len(set(said)) == len(said)
    (attempt,) = technique.write(TARGET, np.random.default_rng(0))
    everything = "\n".join([*(message.content for message in attempt.messages), *said])
    last_part = TARGET.text.rstrip(".").split()[-1]
    assert last_part in everything


@conversations
def test_a_model_that_always_refuses_is_left_alone(technique: Technique) -> None:
    said = talk(technique, lambda turn: REFUSAL)
    assert said[1:] == [script_of(technique).soften(TARGET, REFUSAL)]


@conversations
@pytest.mark.parametrize("place", [0, 1])
def test_a_refused_step_is_softened_and_put_again(technique: Technique, place: int) -> None:
    steps = script_of(technique).steps
    said = talk(technique, lambda turn: REFUSAL if turn == place else CONSENT)
    assert said[place + 1] == script_of(technique).soften(TARGET, REFUSAL)
    assert said[place + 2] == steps[place](TARGET, CONSENT)
    assert len(said) == min(len(steps) + 2, MOST_TURNS)


@conversations
def test_no_answer_is_a_refusal(technique: Technique) -> None:
    assert has_refused(TARGET, "")
    assert talk(technique, lambda turn: "")[1:] == [script_of(technique).soften(TARGET, "")]


@conversations
def test_a_model_that_refuses_every_other_time_does_not_hold_it_up(technique: Technique) -> None:
    assert len(talk(technique, lambda turn: REFUSAL if turn % 3 == 0 else CONSENT)) <= MOST_TURNS


def test_what_the_model_said_is_taken_up() -> None:
    said = talk(TECHNIQUES["crescendo"], lambda turn: CONSENT)
    assert all("The old harbour town is where all of it began, long ago" in text for text in said[1:3])
    assert TARGET.text in said[0]
    assert TARGET.text in said[-1]


def test_what_a_model_thinks_is_not_taken_up() -> None:
    assert quote_answer("<think>This is a very long thought about it all.</think>Two words.") == "Two words"
    assert quote_answer("") == quote_answer("?!") == "that"
    assert quote_answer('He said "yes" to it all.') == "He said 'yes' to it all"
    assert len(quote_answer("word " * 50).split()) == 14


def test_the_parts_of_a_split_request_make_it_up() -> None:
    said = talk(TECHNIQUES["split_over_turns"], lambda turn: "Noted.")
    parts = [text.partition("art one: ")[2] or text.partition(": ")[2].partition("\n\n")[0] for text in said]
    assert " ".join(parts) == TARGET.text


def test_a_made_up_offer_stands_before_the_first_answer() -> None:
    (attempt,) = TECHNIQUES["context_compliance"].write(TARGET, np.random.default_rng(0))
    assert [message.role for message in attempt.messages] == ["user", "assistant", "user"]
    assert attempt.messages[0].content == TARGET.text
