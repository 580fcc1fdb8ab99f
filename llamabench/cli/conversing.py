"""The options that say how conversations are put to a model, the same for every command that asks one."""

from __future__ import annotations

from pathlib import Path

import click

from llamabench.errors import LlamabenchError


def _read_prompt(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as exc:
        raise click.BadParameter(f"{text[1:]} cannot be read: {exc}.") from exc


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
    callback=_read_prompt,
    metavar="TEXT|@FILE",
    help="System message of conversations that have none of their own; '' for none. [what models.toml says]",
)


def read_template(path: Path) -> str:
    """The text of a chat template.

    Raises:
        LlamabenchError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise LlamabenchError(f"The chat template {path} cannot be read: {exc}.") from exc
