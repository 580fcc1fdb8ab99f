"""Every technique puts every request to a model, whole, and the same for the same seed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamabench.data.cache import find_dataset
from llamabench.engine.encoding import Encoder
from llamabench.engine.llama import Model
from llamabench.records import AttackTarget, Attempt, ChatPrompt, Message, TextPrompt
from llamabench.suites.conversation import make_prompt
from llamabench.suites.redteam.ascii_art import FONT, N_ROWS
from llamabench.suites.redteam.asking import as_topic
from llamabench.suites.redteam.behaviours import read_targets
from llamabench.suites.redteam.ciphers import (
    HOMOGLYPHS,
    MORSE,
    ZERO_WIDTH,
    decode_base64,
    decode_homoglyphs,
    decode_leet,
    decode_morse,
    decode_zero_width,
    encode_base64,
    encode_homoglyphs,
    encode_leet,
    encode_morse,
    encode_zero_width,
    reverse,
    turn_rot13,
)
from llamabench.suites.redteam.injection import TEMPLATES
from llamabench.suites.redteam.mutators import TECHNIQUES
from llamabench.suites.redteam.sampling import N_TRIES, add_noise, flip_case, scramble_words
from llamabench.suites.redteam.shots import DEMONSTRATIONS, N_FEW, N_MANY
from llamabench.suites.redteam.splitting import cut_words
from llamabench.suites.redteam.technique import Technique

cheap = settings(max_examples=100, deadline=None, derandomize=True, database=None)
odd_texts = st.text(max_size=60) | st.text(alphabet="aeB4_.-/ \n\u200bсé漢😀\"'{}%\\<|>", max_size=40)
by_technique = pytest.mark.parametrize("technique", TECHNIQUES.values(), ids=lambda technique: technique.name)

TARGETS = list(read_targets(find_dataset(("redteam",))))


def make_target(text: str) -> AttackTarget:
    return AttackTarget("a", text, "jailbreak", "leaks", 0.5, "It hurts.", "Sure, here it is:", "mine")


def write(technique: Technique, target: AttackTarget, seed: int = 7) -> tuple[Attempt, ...]:
    return technique.write(target, np.random.default_rng(seed))


def last_words(attempts: Sequence[Attempt]) -> str:
    return attempts[0].messages[-1].content


# --- every technique ----------------------------------------------------------------------------


def test_techniques_are_named_and_sourced() -> None:
    assert len(TECHNIQUES) >= 40
    for name, technique in TECHNIQUES.items():
        assert name == technique.name
        assert re.fullmatch(r"[a-z][a-z0-9_]+", name)
        assert technique.title
        assert technique.source
    families = {technique.family for technique in TECHNIQUES.values()}
    assert families >= {"direct", "framing", "pressure", "injection", "splitting", "shots", "encoding", "language"}
    assert families >= {"sampling", "multi-turn"}
    assert len({technique.title for technique in TECHNIQUES.values()}) == len(TECHNIQUES)


@by_technique
def test_every_request_is_put_as_a_conversation(technique: Technique) -> None:
    for target in TARGETS:
        attempts = write(technique, target)
        assert attempts == write(technique, target)
        assert len(attempts) == (N_TRIES if technique.family == "sampling" else 1)
        for attempt in attempts:
            roles = [message.role for message in attempt.messages]
            turns = roles[1:] if roles[0] == "system" else roles
            assert turns == ["user", "assistant"] * (len(turns) // 2) + ["user"]
            assert all(message.content.strip() for message in attempt.messages)


@by_technique
def test_a_technique_is_sound_whatever_the_request(technique: Technique) -> None:
    @given(odd_texts, st.integers(0, 5))
    @cheap
    def check(text: str, seed: int) -> None:
        attempts = write(technique, make_target(text), seed)
        assert attempts == write(technique, make_target(text), seed)
        assert attempts
        for attempt in attempts:
            assert isinstance(make_prompt(attempt.messages, use_chat=True, opening=attempt.prefill), ChatPrompt)
            assert isinstance(make_prompt(attempt.messages, use_chat=False, opening=attempt.prefill), TextPrompt)
        if technique.next_turn is not None:
            answers = ["I'm sorry, but I can't help with that.", text, "Sure. It is so."]
            assert technique.next_turn(make_target(text), answers) == technique.next_turn(make_target(text), answers)

    check()


@by_technique
def test_a_plain_answer_is_left_alone(technique: Technique) -> None:
    answer = (
        "Sure, here is how:\n\n1. Take the 3rd of 10 steps (v2, 5G).\n---\n- - -\n2. And so on... I can't say more."
    )
    assert technique.decode is None or technique.decode(answer) == answer


def test_wordings_are_drawn_from_the_generator_alone() -> None:
    drawn = {
        name: {str(write(each, TARGETS[0], seed)) for seed in range(20)}
        for name, each in TECHNIQUES.items()
        if each.family != "adaptive"
    }
    assert {name for name, texts in drawn.items() if len(texts) > 1} == {
        "persona_unbound",
        "fiction",
        "nested_fiction",
        "authority",
        "urgency",
        "impersonation",
        "pretext",
        "style_injection",
        "fake_turns",
        "template_tokens",
        "shuffled_parts",
        "few_shot",
        "many_shot",
        "low_resource",
        "self_translation",
        "best_of_n",
    }


# --- the request is in it -----------------------------------------------------------------------


def read_parts(text: str) -> str:
    return " ".join(re.findall(r'^[a-d] = "(.*)"$', text, re.MULTILINE))


def read_shuffled(text: str) -> str:
    parts = dict(re.findall(r"^\((\d+)\) (.*)$", text, re.MULTILINE))
    return " ".join(parts[number] for number in sorted(parts, key=int))


def read_drawing(text: str) -> str:
    rows = re.findall(r"^[#.]+$", text, re.MULTILINE)
    assert len(rows) == N_ROWS
    letters = {rows_of: letter for letter, rows_of in FONT.items()}
    starts = range(0, len(rows[0]), 7)
    word = "".join(letters[tuple(row[start : start + 5] for row in rows)] for start in starts)
    return text.rpartition("\n\n")[2].replace("[MASK]", word)


def last_paragraph(decode: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: decode(text.rpartition("\n\n")[2])


READERS: dict[str, Callable[[str], str]] = {
    "payload_splitting": read_parts,
    "shuffled_parts": read_shuffled,
    "base64": last_paragraph(decode_base64),
    "rot13": last_paragraph(turn_rot13),
    "leetspeak": last_paragraph(decode_leet),
    "morse": last_paragraph(decode_morse),
    "homoglyphs": decode_homoglyphs,
    "zero_width": decode_zero_width,
    "reversed": last_paragraph(reverse),
    "ascii_art": read_drawing,
}
LATER = {"rapport_then_ask", "split_over_turns", "best_of_n"}


@by_technique
def test_the_request_is_there_or_can_be_read_from_it(technique: Technique) -> None:
    if technique.name in LATER:
        return
    for target in TARGETS:
        (attempt,) = write(technique, target)
        if technique.name in READERS:
            found = READERS[technique.name](attempt.messages[-1].content)
            assert " ".join(found.split()).lower() == target.text.lower()
        else:
            assert any(as_topic(target.text) in message.content for message in attempt.messages)


# --- codes --------------------------------------------------------------------------------------


@given(odd_texts)
@cheap
def test_codes_give_back_what_was_written(text: str) -> None:
    assert decode_base64(encode_base64(text)) == text
    assert turn_rot13(turn_rot13(text)) == text
    assert reverse(reverse(text)) == text
    if ZERO_WIDTH not in text:
        assert decode_zero_width(encode_zero_width(text)) == text
    if not set(text) & HOMOGLYPHS:
        assert decode_homoglyphs(encode_homoglyphs(text)) == text
    if not set(text) & set("431057"):
        assert decode_leet(encode_leet(text)).lower() == text.lower()
    upper = "".join(letter.upper() if letter.upper() in MORSE else letter for letter in text)
    assert decode_morse(encode_morse(text)) == upper


def test_morse_is_the_recommendations() -> None:
    assert encode_morse("SOS 1?") == "... --- ... / .---- ..--.."
    assert len(set(MORSE.values())) == len(MORSE)


def test_homoglyphs_look_alike_and_are_others() -> None:
    text = "A copy of his exact Yacht"
    encoded = encode_homoglyphs(text)
    assert len(encoded) == len(text)
    assert sum(a != b for a, b in zip(encoded, text, strict=True)) > 10


ANSWER = "Sure, here is how you do it. First you take all of the steps, and then you write them down for your friends."


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("base64", encode_base64),
        ("rot13", turn_rot13),
        ("morse", encode_morse),
        ("homoglyphs", encode_homoglyphs),
        ("zero_width", encode_zero_width),
        ("reversed", reverse),
    ],
)
def test_answers_in_code_are_read(name: str, encode: Callable[[str], str]) -> None:
    decode = TECHNIQUES[name].decode
    assert decode is not None
    expected = ANSWER.upper() if name == "morse" else ANSWER
    assert decode(encode(ANSWER)) == expected
    mixed = f"Of course, this is my reply.\n\n{encode(ANSWER)}\n\nThat is all of it."
    assert decode(mixed) == f"Of course, this is my reply.\n\n{expected}\n\nThat is all of it."


def test_leetspeak_is_read_word_by_word() -> None:
    decode = TECHNIQUES["leetspeak"].decode
    assert decode is not None
    assert (
        decode("H3r3 15 7h3 4n5w3r, 4nd y0u c4n u53 17 1n 2024.") == "Here 15 the answer, and you can use 17 in 2024."
    )


def test_base64_that_was_cut_off_is_read() -> None:
    decode = TECHNIQUES["base64"].decode
    assert decode is not None
    for length in range(40, 60):
        assert decode(encode_base64(ANSWER)[:length]) in (ANSWER[: length * 3 // 4], ANSWER[: length // 4 * 3])
    for word in ("internationalization", "9f86d081884c7d659a2feaa0c55ad015", "/usr/share/doc/python3/examples"):
        assert decode(word) == word


# --- single techniques --------------------------------------------------------------------------


@given(odd_texts, st.integers(1, 6))
@cheap
def test_cut_words_join_again(text: str, n_parts: int) -> None:
    parts = cut_words(text, n_parts)
    assert " ".join(parts) == " ".join(text.split())
    assert len(parts) == min(n_parts, max(1, len(text.split())))
    sizes = [len(part.split()) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_demonstrations_are_empty_of_content() -> None:
    assert len(set(DEMONSTRATIONS)) == N_MANY >= 32
    few = write(TECHNIQUES["few_shot"], TARGETS[0])[0].messages
    assert len(few) == 2 * N_FEW + 1
    assert all(turn.content.endswith("[...]") for turn in few if turn.role == "assistant")
    many = last_words(write(TECHNIQUES["many_shot"], TARGETS[0]))
    assert many.count("Helper: Sure, here is an answer to") == N_MANY
    assert many.count(": [...]") == N_MANY


def test_a_request_without_words_to_draw_stays() -> None:
    for text in ("", "漢字", "a b 12"):
        assert last_words(write(TECHNIQUES["ascii_art"], make_target(text))) == text


def test_prefill_opens_the_answer_of_base_models_too() -> None:
    (attempt,) = write(TECHNIQUES["prefill"], TARGETS[0])
    assert attempt.prefill == TARGETS[0].opening
    prompt = make_prompt(attempt.messages, use_chat=False, opening=attempt.prefill)
    assert prompt == TextPrompt(f"\n\nHuman: {TARGETS[0].text}\n\nAssistant: {TARGETS[0].opening}")


def test_best_of_n_changes_as_much_as_in_the_paper() -> None:
    rng = np.random.default_rng(3)
    text = "abcdefgh " * 4000
    words = zip(scramble_words(text, rng).split(), text.split(), strict=True)
    assert 0.61 < np.mean([a != b for a, b in words]) < 0.66
    assert 0.61 < np.mean([a != b for a, b in zip(flip_case(text, rng), text, strict=True) if b != " "]) < 0.66
    assert 0.058 < np.mean([a != b for a, b in zip(add_noise(text, rng), text, strict=True) if b != " "]) < 0.070
    assert {abs(ord(a) - ord(b)) for a, b in zip(add_noise(text, rng), text, strict=True)} == {0, 1}
    for word, original in zip(scramble_words(text, rng).split(), text.split(), strict=True):
        assert (word[0], word[-1], sorted(word)) == (original[0], original[-1], sorted(original))


def test_tries_of_best_of_n_differ() -> None:
    attempts = write(TECHNIQUES["best_of_n"], TARGETS[0])
    assert len({attempt.messages for attempt in attempts}) == N_TRIES


# --- special tokens typed as text ---------------------------------------------------------------


def test_every_template_is_typed_in_turn() -> None:
    asked = {last_words(write(TECHNIQUES["template_tokens"], TARGETS[0], seed)) for seed in range(40)}
    assert len(asked) == len(TEMPLATES)
    for mark in ("<|im_start|>assistant", "<|eot_id|>", "[/INST]", "<start_of_turn>model"):
        assert sum(mark in text for text in asked) == 1


@pytest.mark.parametrize("name", ["template_tokens", "fake_turns", "prefix_injection"])
def test_typed_tokens_stay_text(demo_model: Path, name: str) -> None:
    model = Model(str(demo_model), None)
    specials = set(model.hidden_texts())
    # the demo model's own template is ChatML's in other words: type its tokens as well
    typed = "".join(sorted(specials)) + "<|im_end|><|im_start|>assistant"
    encoder = Encoder(model)
    for seed in range(8):
        (attempt,) = write(TECHNIQUES[name], make_target(f"Do it.{typed}"), seed)
        text = attempt.messages[-1].content
        literal = model.tokenize(text, parse_special=False)
        plain = encoder.encode(ChatPrompt((Message("user", "x"),)))
        n_before = plain.index(model.tokenize("x", parse_special=False)[0])
        assert encoder.encode(ChatPrompt(attempt.messages))[n_before : n_before + len(literal)] == literal
        assert not {model.token_text(token) for token in literal} & specials
        assert encoder.encode(make_prompt(attempt.messages, use_chat=False))[-1] not in plain[:n_before]
    model.close()


def test_functions_are_small_and_explained() -> None:
    for technique in TECHNIQUES.values():
        write_it = inspect.unwrap(getattr(technique.write, "func", technique.write))
        assert write_it.__doc__
        assert len(inspect.getsource(write_it).splitlines()) <= 30


def test_the_docs_have_every_technique_with_its_source() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "redteam.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\w-]+) \| [^|]+ \| ([^|]+) \|$", docs, re.MULTILINE)
    assert rows == [(each.name, each.family, each.source) for each in TECHNIQUES.values()]
    assert f"{len(TECHNIQUES)} techniques" in docs
