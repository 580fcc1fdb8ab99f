"""Commands that stand in documents, and whether the command line takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from llamabench.cli.main import group

ROOT = Path(__file__).parents[2]

_INLINE = re.compile(r"(?<!`)`(llamabench [^`\n]+)`(?!`)")
_FENCE = re.compile(r"^ *(```|~~~)")


class Shown(NamedTuple):
    """A command as a document shows it.

    Attributes:
        where: File and line.
        text: The command line.
        is_whole: Whether it stands in a block, to be typed as it is; in a sentence arguments may be left out.
    """

    where: str
    text: str
    is_whole: bool


def documents() -> list[Path]:
    """The documents that people read."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown_commands(path: Path) -> Iterator[Shown]:
    """The commands of llamabench in a document, those of blocks and those of sentences."""
    is_fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.relative_to(ROOT)}:{number}"
        if _FENCE.match(line):
            is_fenced = not is_fenced
        elif is_fenced or line.startswith("    "):
            text = line.strip().removeprefix("$ ")
            if text.startswith("llamabench "):
                yield Shown(where, text, is_whole=True)
        else:
            yield from (Shown(where, text, is_whole=False) for text in _INLINE.findall(line))


def check_command(text: str, *, is_whole: bool = True) -> None:
    """Refuses a command that the command line would not take; nothing is run, no file is looked for.

    Raises:
        click.UsageError: A command, an option or a value is not known, or an argument is missing.
    """
    words = shlex.split(text, comments=True)[1:]
    for sign in ("|", ">", "&&", ";"):
        words = words[: words.index(sign)] if sign in words else words
    command: click.Command = group
    context = click.Context(group, info_name="llamabench", **group.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if isinstance(command, click.Group) and (words or not is_whole):
        if not all(word.startswith("-") for word in words):
            raise click.UsageError(f"{text} names no command.")
        return
    _check_values(command, context, words, is_whole=is_whole)


def _check_values(command: click.Command, context: click.Context, words: list[str], *, is_whole: bool) -> None:
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    if rest:
        raise click.UsageError(f"{' '.join(rest)} is one argument too many.", context)
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            if is_whole and parameter.required and not (isinstance(value, str | tuple) and value):
                raise click.UsageError(f"{parameter.human_readable_name} is missing.", context)
        elif isinstance(value, str | list | tuple) and _is_to_be_read(parameter, value, is_whole=is_whole):
            value = parameter.type_cast_value(context, value)
            if parameter.callback is not None:
                parameter.callback(context, parameter, value)


def _is_to_be_read(parameter: click.Parameter, value: object, *, is_whole: bool) -> bool:
    """Files need not be there, and a sentence may write `HOST:PORT` for what is to be filled in."""
    words = [value] if isinstance(value, str) else value
    is_open = not is_whole and any(re.fullmatch(r"[A-Z:]+", str(word)) for word in words)  # type: ignore[union-attr]
    return not is_open and not isinstance(parameter.type, click.Path)
