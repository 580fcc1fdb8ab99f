"""What a terminal gets to see: every text with its hidden characters written out, so that none is obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from llamabench.hidden import show_hidden

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str = "", *, err: bool = False) -> None:
    """Prints a line. Names, paths and what models write may hold escapes, which would steer the terminal."""
    click.echo(show_hidden(text), err=err)


def open_console() -> Console:
    """A console that prints tables as `say` prints lines: no markup, no highlighting, no escape but its own."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Shown(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=show_hidden(segment.text))

    return Shown(markup=False, highlight=False, emoji=False, soft_wrap=False)
