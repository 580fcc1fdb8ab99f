"""The options that say how conversations are put to a model, the same for every command that asks one."""

from __future__ import annotations

from pathlib import Path

import click

from llamabench.errors import LlamabenchError, name_cause

chat_option = click.option(
    "--chat/--no-chat", default=None, help="Put conversations through the chat template. [if there is one]"
)
chat_template_option = click.option(
    "--chat-template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Jinja2 file to use instead of the model's own chat template.",
)
system_prompt_option = click.option(
    "--system-prompt",
    metavar="TEXT|@FILE",
    help="System message of conversations that have none of their own; '' for none. [what models.toml says]",
)


def read_template(path: Path) -> str:
    """The text of a chat template.

    Raises:
        LlamabenchError: It cannot be read.
    """
    return _read(path, "chat template")


def read_system_prompt(text: str | None) -> str | None:
    """The system prompt that `--system-prompt` means, None where it is not given.

    Raises:
        LlamabenchError: Its file cannot be read.
    """
    if text is None or not text.startswith("@"):
        return text
    return _read(Path(text[1:]), "system prompt").rstrip("\n")


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise LlamabenchError(f"The {what} {path} cannot be read: {name_cause(exc)}.") from exc
