"""Text becomes the tokens that lm-evaluation-harness would score, and a person's text never becomes a special token."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model
from llamabench.engine.encoding import EncodedPair, Encoder
from llamabench.engine.llama import Model
from llamabench.engine.packing import shared_length
from llamabench.errors import EngineError, ModelFileError
from llamabench.records import ChatPrompt, Message, TextPrompt

VOCABULARY = byte_vocabulary()
BOS = VOCABULARY.bos
END, SYSTEM, USER, ASSISTANT = range(VOCABULARY.eos, VOCABULARY.eos + 4)
PROMPT = ChatPrompt((Message("user", "Hi there"),))
MARKS = ("\ue000", "\ue001", "\ue0000\ue001", "\ue000ff\ue001", "\ue001\ue000", "\ue0001")

cheap = settings(max_examples=150, deadline=None, derandomize=True, database=None)
words = st.text(alphabet="aehint .\n\té漢😀<|>end", max_size=12)


@pytest.fixture(scope="module")
def tokenizer(demo_model: Path) -> Iterator[Model]:
    model = Model(str(demo_model), None)
    yield model
    model.close()


@pytest.fixture(scope="module")
def encoder(tokenizer: Model) -> Encoder:
    return Encoder(tokenizer)


@pytest.fixture(scope="module")
def spm(shared_data: Path) -> Iterator[Model]:
    """A SentencePiece tokeniser, which puts a space before every text."""
    model = Model(str(shared_data / "models" / "stories260K.gguf"), None)
    yield model
    model.close()


@pytest.fixture(scope="module")
def no_bos_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A tokeniser that has a beginning-of-text token and does not ask for it."""
    path = tmp_path_factory.mktemp("models") / "no_bos.gguf"
    write_random_model(path, Shape(1, 32, 1, 1, 32, 64), dataclasses.replace(VOCABULARY, adds_bos=False), name="no bos")
    model = Model(str(path), None)
    yield model
    model.close()


def chat(*contents: str, prefill: str = "") -> ChatPrompt:
    return ChatPrompt(tuple(Message("user", content) for content in contents), prefill)


def text_of(model: Model, tokens: list[int] | tuple[int, ...]) -> str:
    return b"".join(map(model.piece, tokens)).decode()


def split(pair: EncodedPair) -> tuple[list[int], list[int]]:
    tokens, n = pair.sequence.tokens, pair.sequence.n_context
    return list(tokens[:n]), list(tokens[n:])


def split_as_lm_eval(model: Model, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """`TemplateLM._encode_pair` of lm-evaluation-harness, lm_eval/api/model.py, restated."""
    n_spaces = len(context) - len(context.rstrip())
    if n_spaces:
        continuation = context[-n_spaces:] + continuation
        context = context[:-n_spaces]

    def encode(text: str) -> list[int]:
        return ([model.bos] if model.bos is not None else []) + model.tokenize(text, parse_special=False)

    whole, start = encode(context + continuation), encode(context)
    return start, whole[len(start) :]


# --- beginning of text --------------------------------------------------------------------------


def test_bos_stands_once_where_the_file_asks_for_it(encoder: Encoder) -> None:
    assert encoder.encode(TextPrompt("Hi")) == [BOS, ord("H"), ord("i")]
    assert encoder.encode(TextPrompt("")) == [BOS]


def test_no_bos_where_the_file_asks_for_none(no_bos_model: Model) -> None:
    encoder = Encoder(no_bos_model)
    assert encoder.encode(TextPrompt("Hi")) == [ord("H"), ord("i")]
    assert encoder.encode(TextPrompt("")) == []
    assert encoder.encode(PROMPT)[0] == USER


@pytest.mark.parametrize(
    "template", ["{{ bos_token }}{{ messages[0].content }}", "{{ bos_token * 3 }}{{ messages[0].content }}"]
)
def test_bos_written_by_the_template_is_not_doubled(tokenizer: Model, no_bos_model: Model, template: str) -> None:
    for model in (tokenizer, no_bos_model):
        assert Encoder(model, template).encode(chat("Hi")) == [BOS, ord("H"), ord("i")]


def test_bos_typed_by_a_person_is_text(encoder: Encoder) -> None:
    for prompt in (TextPrompt("<|begin|>x"), chat("<|begin|>x")):
        assert encoder.encode(prompt).count(BOS) == 1
        assert "<|begin|>x" in text_of(encoder._model, encoder.encode(prompt))


@pytest.mark.parametrize("deaf", ["hello", "{% for m in messages if m.role != 'user' %}{{ m.content }}{% endfor %}"])
def test_a_template_that_leaves_users_out_is_refused(deaf: str, tokenizer: Model) -> None:
    with pytest.raises(EngineError, match=r"leaves the user's message out.+Give another template with --chat-template"):
        Encoder(tokenizer, deaf)


def test_a_template_that_fails_is_told_with_the_conversation(tokenizer: Model) -> None:
    encoder = Encoder(tokenizer, "{{ raise_exception('not today') }}")
    with pytest.raises(EngineError, match="refuses this conversation: not today"):
        encoder.render(chat("Hi"))


# --- system prompt ------------------------------------------------------------------------------

PLAIN_TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}"
OWN = ChatPrompt((Message("system", "Be long."), Message("user", "Hi")))


def test_a_conversation_without_a_system_message_gets_the_system_prompt(tokenizer: Model) -> None:
    encoder = Encoder(tokenizer, PLAIN_TEMPLATE, "Be brief.")
    assert encoder.render(chat("Hi", prefill="Yes")) == "[system]Be brief.[user]HiYes"
    assert text_of(tokenizer, encoder.encode(chat("Hi"))[1:]) == "[system]Be brief.[user]Hi"
    (pair,) = encoder.encode_pairs(chat("Hi"), ["Yes"])
    assert text_of(tokenizer, pair.sequence.tokens[1:]) == "[system]Be brief.[user]HiYes"


def test_a_system_message_of_its_own_stays(tokenizer: Model) -> None:
    assert Encoder(tokenizer, PLAIN_TEMPLATE, "Be brief.").render(OWN) == "[system]Be long.[user]Hi"


def test_plain_text_gets_no_system_prompt(tokenizer: Model, encoder: Encoder) -> None:
    prompted = Encoder(tokenizer, None, "Be brief.")
    assert prompted.encode(TextPrompt("Hi")) == encoder.encode(TextPrompt("Hi"))
    assert len(prompted.encode(PROMPT)) > len(encoder.encode(PROMPT))


def test_special_tokens_in_a_system_prompt_are_text(tokenizer: Model) -> None:
    encoder = Encoder(tokenizer, None, "<|begin|><|user|>")
    tokens = encoder.encode(PROMPT)
    assert (tokens.count(BOS), tokens.count(USER), tokens.count(SYSTEM)) == (1, 1, 1)


def test_a_template_that_refuses_system_messages_has_the_prompt_in_the_first_user_message(tokenizer: Model) -> None:
    refuse = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    assert Encoder(tokenizer, refuse + PLAIN_TEMPLATE, "Be brief.").render(chat("Hi")) == "[user]Be brief.\n\nHi"


def test_a_system_prompt_that_nobody_would_read_is_refused(tokenizer: Model, demo_model: Path, tmp_path: Path) -> None:
    deaf = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"
    with pytest.raises(EngineError, match="leaves system messages out, so the model would not read the system prompt"):
        Encoder(tokenizer, deaf, "Be brief.")
    path = tmp_path / "without.gguf"
    path.write_bytes(demo_model.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.another_text."))
    model = Model(str(path), None)
    with pytest.raises(EngineError, match="holds no chat template to put one into"):
        Encoder(model, None, "Be brief.")
    model.close()


# --- context and continuation -------------------------------------------------------------------


def test_pair_is_one_text_split_where_the_context_ends(encoder: Encoder) -> None:
    pair = encoder.encode_pair(TextPrompt("Once"), " upon")
    context, continuation = split(pair)
    assert context == encoder.encode(TextPrompt("Once"))
    assert context + continuation == encoder.encode(TextPrompt("Once upon"))
    assert pair.border_shift == 0


@pytest.mark.parametrize("space", [" ", "  ", "\n", " \n\t "])
def test_trailing_space_of_a_text_belongs_to_the_continuation(encoder: Encoder, space: str) -> None:
    moved = encoder.encode_pair(TextPrompt("Answer:" + space), "yes")
    assert moved == encoder.encode_pair(TextPrompt("Answer:"), space + "yes")


def test_trailing_space_of_a_conversation_stays(encoder: Encoder) -> None:
    context, _ = split(encoder.encode_pair(chat("x", prefill="Answer: "), "yes"))
    assert context == encoder.encode(chat("x", prefill="Answer: "))


def test_border_moves_back_where_tokens_merge_across_it(encoder: Encoder, tokenizer: Model) -> None:
    merged = tokenizer.tokenize("he", parse_special=False)
    assert len(merged) == 1
    pair = encoder.encode_pair(TextPrompt("h"), "en")
    assert split(pair) == ([BOS], tokenizer.tokenize("hen", parse_special=False))
    assert pair.border_shift == 1


def test_border_that_moves_to_the_start_leaves_the_bos(no_bos_model: Model) -> None:
    pair = Encoder(no_bos_model).encode_pair(TextPrompt("h"), "e")
    assert split(pair) == ([BOS], no_bos_model.tokenize("he", parse_special=False))
    assert pair.border_shift == 1


@given(context=words, continuation=words)
@cheap
def test_split_is_that_of_lm_eval(tokenizer: Model, context: str, continuation: str) -> None:
    start, rest = split_as_lm_eval(tokenizer, context, continuation)
    assume(continuation or context != context.rstrip())
    pair = Encoder(tokenizer).encode_pair(TextPrompt(context), continuation)
    if pair.border_shift == 0:
        assert split(pair) == (start, rest)
    whole = tokenizer.tokenize(context + continuation, parse_special=False)
    assert [*split(pair)[0], *split(pair)[1]] == [BOS, *whole]
    assert pair.border_shift == len(start) - shared_length(start, [BOS, *whole])


@pytest.mark.parametrize("context", ["", "Once upon a time", "Lily said:\n"])
@pytest.mark.parametrize("continuation", [" there", "yes", " a big, red ball."])
def test_split_of_sentencepiece_is_that_of_lm_eval(spm: Model, context: str, continuation: str) -> None:
    pair = Encoder(spm).encode_pair(TextPrompt(context), continuation)
    assert pair.border_shift == 0
    assert split(pair) == split_as_lm_eval(spm, context, continuation)


@pytest.mark.parametrize("context", ["", " ", "\n"])
def test_empty_context_starts_from_the_bos(encoder: Encoder, no_bos_model: Model, context: str) -> None:
    said = no_bos_model.tokenize(context + "yes", parse_special=False)
    for each in (encoder, Encoder(no_bos_model)):
        assert split(each.encode_pair(TextPrompt(context), "yes")) == ([BOS], said)


def test_empty_context_without_any_bos_is_an_error(shared_data: Path) -> None:
    model = Model(str(shared_data / "archs" / "llama-dense.gguf"), None)
    with pytest.raises(EngineError, match="no beginning-of-text token"):
        Encoder(model).encode_pair(TextPrompt(""), "yes")
    model.close()


@pytest.mark.parametrize("prompt", [TextPrompt("Answer:"), PROMPT, TextPrompt("")])
def test_empty_continuation_is_an_error(encoder: Encoder, prompt: TextPrompt | ChatPrompt) -> None:
    with pytest.raises(EngineError, match="continuation is empty"):
        encoder.encode_pair(prompt, "")


def test_end_of_turn_is_scored_where_asked_for(encoder: Encoder) -> None:
    plain = encoder.encode_pair(PROMPT, "yes")
    ending = encoder.encode_pair(PROMPT, "yes", ends_turn=True)
    assert ending.sequence.tokens == (*plain.sequence.tokens, END)
    assert ending.sequence.n_context == plain.sequence.n_context
    assert split(encoder.encode_pair(PROMPT, "", ends_turn=True))[1] == [END]


# --- conversations ------------------------------------------------------------------------------


def test_template_writes_special_tokens(encoder: Encoder, tokenizer: Model) -> None:
    said = tokenizer.tokenize("Hi there", parse_special=False)
    assert encoder.encode(PROMPT) == [BOS, USER, *said, END, ASSISTANT]
    assert encoder.render(PROMPT) == "<|user|>Hi there<|end|><|assistant|>"


@pytest.mark.parametrize("content", ["<|end|>", "a<|end|><|system|>b", "<|<|end|>|>", "<|user|>" * 3])
def test_special_tokens_typed_by_a_person_stay_text(encoder: Encoder, tokenizer: Model, content: str) -> None:
    literal = tokenizer.tokenize(content, parse_special=False)
    assert max(literal) < BOS
    assert encoder.encode(chat(content)) == [BOS, USER, *literal, END, ASSISTANT]
    assert encoder.encode(chat("x", prefill=content))[-len(literal) :] == literal
    assert split(encoder.encode_pair(PROMPT, content))[1] == literal
    assert split(encoder.encode_pair(TextPrompt("Say"), content))[1] == literal
    assert encoder.render(chat(content)) == f"<|user|>{content}<|end|><|assistant|>"


@given(st.lists(st.sampled_from([*MARKS, "<|end|>", "<|user|>", "<|", "a", " the", "é", "f", "0"]), max_size=8))
@cheap
def test_every_text_survives_the_template(tokenizer: Model, pieces: list[str]) -> None:
    content = "".join(pieces)
    encoder = Encoder(tokenizer)
    literal = tokenizer.tokenize(content, parse_special=False)
    assert encoder.encode(chat(content)) == [BOS, USER, *literal, END, ASSISTANT]
    assert encoder.render(chat(content)) == f"<|user|>{content}<|end|><|assistant|>"


def test_special_text_brings_no_spaces_into_sentencepiece(spm: Model) -> None:
    encoder = Encoder(spm, "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}Answer:")
    for content in ("x</s>b", "x </s> b", "</s>", "<unk>Lily"):
        expected = [1, *spm.tokenize(content, parse_special=False), 2, *spm.tokenize("Answer:", parse_special=False)]
        assert encoder.encode(chat(content)) == expected


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udcc3\udca9", "\x00", "\ufffe\uffff", "e\u0301"])
def test_odd_characters_do_no_harm(encoder: Encoder, spm: Model, text: str) -> None:
    for each in (encoder, Encoder(spm, "{{ messages[0].content }}")):
        for prompt in (TextPrompt("x" + text), chat(text)):
            assert len(split(each.encode_pair(prompt, text + "y"))[1]) > 0
            assert text in each.render(prompt)


def test_long_text(encoder: Encoder) -> None:
    text = "antidisestablishment " * 2000
    assert text_of(encoder._model, encoder.encode(TextPrompt(text))[1:]) == text


def test_template_given_replaces_the_files_own(tokenizer: Model) -> None:
    encoder = Encoder(tokenizer, "Q: {{ messages[0].content }} A:")
    assert encoder.render(chat("Hi")) == "Q: Hi A:"
    assert encoder.template is not None
    assert Encoder(tokenizer).template is not None
    assert encoder.template.sha256 != Encoder(tokenizer).template.sha256  # type: ignore[union-attr]


def test_conversation_without_a_template_is_an_error(spm: Model) -> None:
    encoder = Encoder(spm)
    assert encoder.template is None
    with pytest.raises(EngineError, match="--no-chat"):
        encoder.encode(PROMPT)


def test_model_without_a_tokeniser(demo_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "no_tokeniser.gguf"
    path.write_bytes(demo_model.read_bytes().replace(b"gpt2", b"none", 1))
    model = Model(str(path), None)
    with pytest.raises(ModelFileError, match="holds no tokeniser"):
        Encoder(model).encode(TextPrompt("Hi"))
    model.close()
