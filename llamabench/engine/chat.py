"""Chat templates: the model's own Jinja2 text, run in a sandbox, within limits."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llamabench.engine.limits import MEMORY_BYTES, TIME_S, OverrunError, limited
from llamabench.errors import EngineError, RunawayTemplateError
from llamabench.records import Message
from llamabench.units import format_bytes

_MOST_CHARS, _MOST_GROWTH = 1 << 20, 4
"""What a template may write: so many characters, and so many times the conversation."""
_MOST_WORDS = 300
_TODAY = datetime.datetime(2024, 7, 26)
"""What templates are told that ask for the date: what those of Llama 3.1 and later say where nobody tells them."""
_ADVICE = "Run with --no-chat, or give another template."


class _Refused(Exception):
    """The template itself called `raise_exception`."""


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


class _GenerationBlock(Extension):
    """`{% generation %}`, by which Hugging Face's templates mark what is trained on, prints what it holds."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Replaces the block by its content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


class ChatTemplate:
    """Renders conversations as the model was trained to read them.

    The variables are those that llama.cpp and Hugging Face give to templates, but for the date, which is always the
    same: a run that goes on after midnight, or is compared with one of last week, asks the same. Thinking is switched
    off where the template knows the switch: a log-probability right after the prompt must be that of an answer.

    Args:
        source: Jinja2 text.
        bos: Spelling of the beginning-of-text token, empty if there is none.
        eos: Spelling of the end-of-text token.

    Raises:
        RunawayTemplateError: The text takes too long to read, or too much memory.
        EngineError: The text is not a valid template.
    """

    def __init__(self, source: str, *, bos: str, eos: str):
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationBlock]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: _TODAY.strftime(form)
        self.sha256 = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._runaway: str | None = None
        try:
            with self._bounded():
                self._template = environment.from_string(source)
        except RunawayTemplateError:
            raise
        except Exception as exc:  # Jinja2 writes Python, which has limits of its own
            raise EngineError(f"The model's chat template is not valid Jinja2 ({_words(exc)}). {_ADVICE}") from exc

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as text, up to where the assistant's answer begins.

        A template that refuses a system message gets it at the head of the first user message instead, as the
        model's makers advise for such models.

        Raises:
            RunawayTemplateError: The template takes too long, too much memory, or writes too much; from then on it
                is not tried again.
            EngineError: The template fails on this conversation.
        """
        try:
            return self._render(messages)
        except _Refused as exc:
            merged = _merge_system(messages)
            if merged == list(messages):
                raise _refusal(exc) from exc
        try:
            return self._render(merged)
        except _Refused as exc:
            raise _refusal(exc) from exc

    def _render(self, messages: Sequence[Message]) -> str:
        if self._runaway is not None:
            raise RunawayTemplateError(self._runaway)
        plain = [{"role": message.role, "content": message.content} for message in messages]
        limit = _MOST_CHARS + _MOST_GROWTH * sum(len(message.content) for message in messages)
        try:
            with self._bounded():
                pieces = self._template.generate(
                    messages=plain, add_generation_prompt=True, enable_thinking=False, tools=None, **self._tokens
                )
                return "".join(self._bound_length(pieces, limit))
        except (_Refused, RunawayTemplateError):
            raise
        except Exception as exc:  # a program from the model file: it can fail in every way that Python can
            raise EngineError(f"The model's chat template fails: {_words(exc)}. Run with --no-chat.") from exc

    def _bound_length(self, pieces: Iterator[str], limit: int) -> Iterator[str]:
        for piece in pieces:
            limit -= len(piece)
            if limit < 0:
                raise self._run_away("writes far more than the conversation")
            yield piece

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Ends what takes too long or too much memory, and remembers that it did."""
        try:
            with limited():
                yield
        except OverrunError as exc:
            raise self._run_away(f"did not end within {TIME_S:g} s of processor time") from exc
        except MemoryError as exc:
            raise self._run_away(f"asks for more than {format_bytes(MEMORY_BYTES)}") from exc

    def _run_away(self, how: str) -> RunawayTemplateError:
        self._runaway = f"The model's chat template {how}. {_ADVICE}"
        return RunawayTemplateError(self._runaway)


def _words(exc: Exception) -> str:
    return str(exc)[:_MOST_WORDS].rstrip(".") or type(exc).__name__


def _refusal(exc: _Refused) -> EngineError:
    return EngineError(f"The model's chat template refuses this conversation: {_words(exc)}. Run with --no-chat.")


def _merge_system(messages: Sequence[Message]) -> list[Message]:
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return list(messages)
    merged = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
    return [merged, *messages[2:]]
