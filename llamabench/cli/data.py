"""`llamabench data`: the data sets on this computer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.completing import complete_bundles, complete_sources
from llamabench.cli.screen import open_console, say
from llamabench.errors import DataError, LlamabenchError

if TYPE_CHECKING:
    from llamabench.data.installed import Installed
    from llamabench.data.sources import Edition


@click.group(short_help="List, pull, import, export and verify data sets.")
def command() -> None:
    """List, pull, import, export and verify data sets.

    Only `pull` opens a network connection.
    """


@command.command("list", short_help="List the data sets and which of them are imported.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def list_sources(*, as_json: bool) -> int:
    """List the data sets, where their files come from, and which of them are imported.

    Example: llamabench data list
    """
    from llamabench.data.cache import data_folder, list_installed
    from llamabench.data.sources import SOURCES
    from llamabench.units import format_bytes

    installed = {entry.edition: entry for entry in list_installed()}
    rows = [_list_row(name, edition, installed) for name, source in SOURCES.items() for edition in source.editions]
    if as_json:
        say(json.dumps(rows, indent=2))
        return 0
    from rich.table import Table
    from rich.text import Text

    console = open_console()
    for source in (source for source in SOURCES.values() if source.editions):
        say(f"{source.name}: {source.licence}, {source.url}")
        table = Table.grid(padding=(0, 2))
        for width in (2, 25, 13):
            table.add_column(width=width)
        table.add_column(overflow="fold")
        for edition in source.editions:
            entry = installed.get(edition.name)
            state = f"{entry.n_items:,} items\n{format_bytes(entry.n_bytes)}" if entry else "not imported"
            table.add_row("", Text(edition.name), state, Text(edition.title))
        console.print(table)
    say(f"\nImported data lies in {data_folder()}.")
    say("To add: llamabench data pull NAME, or llamabench data import NAME FOLDER")
    return 0


def _list_row(name: str, edition: Edition, installed: dict[str, Installed]) -> dict[str, Any]:
    from llamabench.data.sources import SOURCES

    source, entry = SOURCES[name], installed.get(edition.name)
    homes = source.homes_of(edition)
    return {
        "source": name,
        "edition": edition.name,
        "title": edition.title,
        "licence": source.licence,
        "url": source.url,
        "citation": source.citation,
        "hub_id": source.hub_id,
        "homes": [{"host": home.host, "name": home.name, "revision": home.revision} for home in homes],
        "expected_items": edition.n_items,
        "installed": entry is not None,
        "items": entry.n_items if entry else None,
        "bytes": entry.n_bytes if entry else None,
        "sha256": entry.sha256 if entry else None,
        "origin": entry.origin if entry else None,
    }


@command.command("pull", short_help="Fetch data sets from where they are published.")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_sources)
@click.option(
    "--from",
    "mirror",
    type=click.Path(file_okay=False, path_type=Path),
    help="Take the files from this folder, which holds copies of the repositories as OWNER/NAME.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def pull_sources(names: tuple[str, ...], *, mirror: Path | None, as_json: bool) -> int:
    """Fetch the data sets or editions NAMES from the Hugging Face Hub or GitHub.

    This is the only command that opens a network connection. Proxies, HF_ENDPOINT, HF_HOME and HF_TOKEN are respected.
    What arrives is checked like files that you import.

    Example: llamabench data pull truthfulqa bbq
    """
    from llamabench.data.pulling import pull

    imported: list[Installed] = []
    failures: list[str] = []
    for name in names:
        try:
            pulled = pull(name, mirror)
        except LlamabenchError as exc:
            failures.append(str(exc))
            continue
        for problem in pulled.problems:
            say(problem, err=True)
        imported += pulled.editions
    _show_imported(imported, as_json=as_json)
    if failures:
        raise DataError("\n".join(failures))
    return 0


@command.command("import", short_help="Import publishers' files, or a bundle.")
@click.argument("what", shell_complete=complete_bundles)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def import_files(what: str, folder: Path | None, *, as_json: bool) -> int:
    """Import the data set WHAT from FOLDER, which holds its publishers' own files; or the bundle WHAT.

    FOLDER may be one file. Nothing is imported unless all of it is sound.

    Example: llamabench data import bbq BBQ
    """
    from llamabench.data.bundle import import_bundle
    from llamabench.data.cache import import_source
    from llamabench.data.sources import SOURCES

    if folder is not None:
        imported = import_source(what, folder)
    elif what in SOURCES and not Path(what).is_file():
        raise click.UsageError(f"Where are the files of {what}? Run `llamabench data import {what} FOLDER`.")
    else:
        imported = import_bundle(Path(what).expanduser())
    _show_imported(imported, as_json=as_json)
    return 0


def _show_imported(imported: Sequence[Installed], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "source": entry.source,
                "edition": entry.edition,
                "items": entry.n_items,
                "sha256": entry.sha256,
                "origin": entry.origin,
            }
            for entry in imported
        ]
        say(json.dumps(rows, indent=2))
        return
    for entry in imported:
        say(f"{entry.source} {entry.edition}: {entry.n_items:,} items from {len(entry.files)} files")
        unknown = [file.path for file in entry.files if file.is_published is False]
        if unknown:
            say(f"  not the publishers' own bytes: {', '.join(unknown)}", err=True)


@command.command("export", short_help="Write imported data to one file, to carry it over.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1, shell_complete=complete_sources)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def export_files(file: Path, names: tuple[str, ...], *, as_json: bool) -> int:
    """Write the data sets or editions NAMES, or all that is imported, to the bundle FILE.

    On the other machine: llamabench data import FILE. The same data makes the same bytes.

    Example: llamabench data export carry.bundle
    """
    from llamabench.data.bundle import export_bundle
    from llamabench.units import format_bytes

    bundle = export_bundle(file.expanduser(), names)
    if as_json:
        rows = [{"source": entry.source, "edition": entry.edition, "items": entry.n_items} for entry in bundle.editions]
        say(json.dumps({"path": str(bundle.path), "bytes": bundle.n_bytes, "editions": rows}, indent=2))
        return 0
    for entry in bundle.editions:
        say(f"{entry.source} {entry.edition}: {entry.n_items:,} items")
    say(f"Wrote {bundle.path}, {format_bytes(bundle.n_bytes)}. To bring it in: llamabench data import FILE")
    return 0


@command.command("verify", short_help="Check every imported file against its digest.")
def verify_files() -> int:
    """Check every imported file against the digest taken when it was imported.

    Example: llamabench data verify
    """
    from llamabench.data.cache import verify

    checked = verify()
    if not checked:
        say("Nothing is imported.")
        return 0
    faults = [fault for entry in checked for fault in entry.faults]
    for entry in checked:
        say(f"{entry.source} {entry.edition}: {entry.n_files} files, {'damaged' if entry.faults else 'as imported'}")
    if faults:
        raise DataError("\n".join(faults))
    return 0
