"""`llamabench suites`: what can be measured."""

from __future__ import annotations

import json

import click

from llamabench.cli.screen import open_console, say


@click.command(short_help="List the suites: what they measure, how, and with which items.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def command(*, as_json: bool) -> int:
    """List the suites: what they measure, how, where they fall short, and the items they would use now.

    Example: llamabench suites --json
    """
    from llamabench.data.cache import find_dataset
    from llamabench.suites import SUITES

    datasets = {name: find_dataset(suite.DATA_SOURCES) for name, suite in SUITES.items()}
    if as_json:
        rows = [
            {
                "name": name,
                "title": suite.TITLE,
                "focus": suite.FOCUS,
                "format": suite.FORMAT,
                "limitations": suite.LIMITATIONS,
                "source": suite.SOURCE,
                "licence": suite.LICENCE,
                "chance": suite.CHANCE,
                "edition": datasets[name].edition,
                "items": datasets[name].n_items,
            }
            for name, suite in SUITES.items()
        ]
        say(json.dumps(rows, indent=2))
        return 0
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = open_console()
    for name, suite in SUITES.items():
        data = datasets[name]
        edition = "starter items only, nothing is imported" if data.is_starter else f"edition {data.edition}"
        console.print(Text.assemble((name, "bold"), f"  {suite.TITLE}"))
        table = Table.grid(padding=(0, 2))
        table.add_row("focus", Text(suite.FOCUS))
        table.add_row("format", Text(suite.FORMAT))
        table.add_row("items", Text(f"{data.n_items:,}, {edition}"))
        table.add_row("limitations", Text(suite.LIMITATIONS))
        table.add_row("source", Text(f"{suite.SOURCE} ({suite.LICENCE})"))
        console.print(Padding(table, (0, 0, 1, 2)))
    return 0
