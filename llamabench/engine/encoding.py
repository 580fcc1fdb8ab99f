"""Text to tokens, by the rules that make scores comparable.

Context and continuation are tokenised as one string and split at the context's token boundary, as
lm-evaluation-harness does (`TemplateLM._encode_pair` in lm_eval/api/model.py); trailing whitespace of a plain context
belongs to the continuation. The beginning-of-text token stands exactly once where the file asks for it. Special
tokens are recognised in what a chat template wrote, never in what a person wrote.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.engine.chat import ChatTemplate
from llamabench.engine.llama import Model, Tokens
from llamabench.engine.packing import TokenSequence, shared_length
from llamabench.errors import EngineError
from llamabench.records import ChatPrompt, Message, Prompt

# Text that spells a special token travels through a template as a numbered mark between two private-use characters.
_MARK_OPEN, _MARK_CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_MARK_OPEN}([0-9a-f]+){_MARK_CLOSE}")

_PROBE = "Zugzwang"
"""A message that no template writes by itself."""


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A context with a continuation in tokens, and how far their border had to move back."""

    sequence: TokenSequence
    border_shift: int


class Encoder:
    """Turns prompts into tokens for one model.

    Args:
        model: The model, or its tokeniser alone.
        template: Chat template to use instead of the file's own; None for the file's.
        system_prompt: System message of conversations that have none of their own; None for none.

    Raises:
        EngineError: The template is not valid or leaves users' messages out, or there is none that takes the system
            prompt.
    """

    def __init__(self, model: Model, template: str | None = None, system_prompt: str | None = None):
        self._model = model
        source = template or model.metadata("tokenizer.chat_template")
        self.template: ChatTemplate | None = None
        if source:
            self.template = ChatTemplate(source, bos=self._spell(model.bos), eos=self._spell(model.eos))
        if template:
            self.refuse_deaf()
        self._system: tuple[Message, ...] = ()
        if system_prompt is not None:
            _refuse_deaf(self.template)
            self._system = (Message("system", system_prompt),)
        self._hidden = [_MARK_OPEN, *sorted(set(model.hidden_texts()), key=len, reverse=True)]
        self._hidden_number = {text: number for number, text in enumerate(self._hidden)}
        self._hidden_pattern = re.compile("|".join(map(re.escape, self._hidden)))
        # the group makes a split keep the tokens; `(?!)` matches nothing, for a vocabulary without any
        self._special_pattern = re.compile(f"({'|'.join(map(re.escape, self._hidden[1:])) or '(?!)'})")

    def refuse_deaf(self) -> None:
        """Refuses a chat template with which every conversation would be the same.

        Raises:
            EngineError: It leaves users' messages out.
        """
        if self.template is not None and not _hears_users(self.template):
            raise EngineError(
                "The chat template leaves the user's message out, so the model would be asked the same by every item. "
                "Give another template with --chat-template, or run with --no-chat."
            )

    def _spell(self, token: int | None) -> str:
        return "" if token is None else self._model.token_text(token)

    def _shield(self, text: str) -> str:
        return self._hidden_pattern.sub(
            lambda match: f"{_MARK_OPEN}{self._hidden_number[match[0]]:x}{_MARK_CLOSE}", text
        )

    def _reveal(self, text: str) -> str:
        return _MARK.sub(lambda match: self._hidden[int(match[1], 16)], text)

    def render(self, prompt: Prompt) -> str:
        """The prompt as the model reads it.

        Raises:
            EngineError: A conversation is asked for and the model has no chat template, or it fails.
        """
        text = self._render(prompt)
        if isinstance(prompt, ChatPrompt):
            return self._reveal(text)
        return text

    def _render(self, prompt: Prompt) -> str:
        if not isinstance(prompt, ChatPrompt):
            return prompt.text
        if self.template is None:
            raise EngineError("The model file holds no chat template. Run with --no-chat, or give one.")
        has_own = any(message.role == "system" for message in prompt.messages)
        messages = prompt.messages if has_own else (*self._system, *prompt.messages)
        shielded = [Message(message.role, self._shield(message.content)) for message in messages]
        return self.template.render(shielded) + self._shield(prompt.prefill)

    def encode(self, prompt: Prompt) -> Tokens:
        """Tokens of a prompt, beginning-of-text token included."""
        return self._encode(self._render(prompt), is_template=isinstance(prompt, ChatPrompt))

    def encode_rendered(self, text: str, *, is_template: bool) -> Tokens:
        """Tokens of a text as `render` gave it; special tokens spelled in it are such where `is_template`."""
        return self._encode(text, is_template=is_template)

    def _encode(self, text: str, *, is_template: bool) -> Tokens:
        tokens = self._tokenize_template(text) if is_template else self._model.tokenize(text, parse_special=False)
        bos = self._model.bos
        if bos is not None and self._model.adds_bos and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        while bos is not None and tokens[:2] == [bos, bos]:
            del tokens[0]
        return tokens

    def _tokenize_template(self, text: str) -> Tokens:
        """Reads the stretches between the template's special tokens as plain text where they hold a mark.

        A stretch is read in one piece: some tokenisers put a space before each piece.
        """
        tokens: Tokens = []
        pieces = self._special_pattern.split(text)
        for has_mark, run in itertools.groupby(pieces, key=lambda piece: _MARK_OPEN in piece):
            tokens += self._model.tokenize(self._reveal("".join(run)), parse_special=not has_mark)
        return tokens

    def encode_pairs(
        self, prompt: Prompt, continuations: Sequence[str], *, ends_turn: bool = False
    ) -> list[EncodedPair]:
        """Tokens of a prompt with each of its continuations, split between the two.

        Args:
            prompt: The context.
            continuations: What is to be scored.
            ends_turn: Whether the end-of-turn token is to be scored after each.

        Raises:
            EngineError: There is nothing to score, or nothing to score it after.
        """
        is_template = isinstance(prompt, ChatPrompt)
        context, trailing = self._render(prompt), ""
        if is_template:
            continuations = [self._shield(text) for text in continuations]
        else:
            kept = len(context.rstrip())
            context, trailing = context[:kept], context[kept:]
        start = self._encode(context, is_template=is_template)
        wholes = [self._encode(context + trailing + text, is_template=is_template) for text in continuations]
        return [self._split(start, whole, ends_turn=ends_turn) for whole in wholes]

    def encode_pair(self, prompt: Prompt, continuation: str, *, ends_turn: bool = False) -> EncodedPair:
        """Tokens of a prompt with one continuation; see `encode_pairs`."""
        return self.encode_pairs(prompt, [continuation], ends_turn=ends_turn)[0]

    def _split(self, start: Tokens, whole: Tokens, *, ends_turn: bool) -> EncodedPair:
        n_context = shared_length(start, whole)
        shift = len(start) - n_context
        if ends_turn:
            whole = [*whole, *self._end_of_turn()]
        if n_context == 0:
            # as lm-evaluation-harness does without a context: the first token follows a beginning or end of text
            stand_in = self._model.bos if self._model.bos is not None else self._model.eos
            if stand_in is None:
                raise EngineError("The prompt is empty and the model has no beginning-of-text token to start from.")
            whole, n_context = [stand_in, *whole], 1
        if len(whole) <= n_context:
            raise EngineError("The continuation is empty: it adds no token to the prompt.")
        return EncodedPair(TokenSequence(tuple(whole), n_context), shift)

    def _end_of_turn(self) -> Tokens:
        token = self._model.eot if self._model.eot is not None else self._model.eos
        return [] if token is None else [token]


def _hears_users(template: ChatTemplate) -> bool:
    try:
        return _PROBE in template.render([Message("user", _PROBE)])
    except EngineError:
        return True  # a template that fails says so by itself, with every conversation


def _refuse_deaf(template: ChatTemplate | None) -> None:
    """Refuses a system prompt that the model would never read.

    Raises:
        EngineError: There is no chat template, or it leaves system messages out.
    """
    if template is None:
        raise EngineError(
            "A system prompt is part of a conversation, and the model file holds no chat template to put one into. "
            "Give a template with --chat-template, or no system prompt: --system-prompt ''."
        )
    if _PROBE not in template.render([Message("system", _PROBE), Message("user", "Hello.")]):
        raise EngineError(
            "The model's chat template leaves system messages out, so the model would not read the system prompt. "
            "Give another template with --chat-template, or no system prompt: --system-prompt ''."
        )
