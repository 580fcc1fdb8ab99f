"""The data that suites ask for: what is imported, or the starter items that stand in for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from llamabench.data.formats import Kind
from llamabench.data.installed import (
    Installed,
    InstalledFile,
    Verified,
    data_folder,
    digest_files,
    hash_file,
    list_installed,
    list_installed_of,
    verify,
)
from llamabench.data.installing import import_source
from llamabench.data.reading import read_rows
from llamabench.data.sources import SOURCES, STARTER_KINDS, Source, find_source
from llamabench.errors import DataError, UnknownNameError

__all__ = [
    "BUILTIN",
    "STARTER",
    "DataFile",
    "Dataset",
    "Installed",
    "InstalledFile",
    "Verified",
    "data_folder",
    "find_dataset",
    "import_source",
    "list_installed",
    "verify",
]

STARTER = "starter"
"""Edition label of the items that ship with llamabench and stand in for a published data set."""

BUILTIN = "builtin"
"""Edition label of the items that ship with llamabench and stand in for nothing."""


class DataFile(NamedTuple):
    """A file of a data set as a suite reads it."""

    source: str
    edition: str
    name: str
    kind: Kind
    path: Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a suite makes its items of.

    Attributes:
        sources: Names of the data sets, `starter` for the items that ship with llamabench.
        edition: Label of the editions, joined with "+"; `starter` for the items that ship with llamabench, `builtin`
            where they are the data set itself.
        files: The files, in the order the items come in.
        sha256: Digest over the files.
        is_starter: Whether these are items that stand in for a published data set.
        n_items: Items in the files; tests of a person's own are not counted.
    """

    sources: tuple[str, ...]
    edition: str
    files: tuple[DataFile, ...]
    sha256: str
    is_starter: bool
    n_items: int


def find_dataset(suite_sources: Sequence[str], wanted: str | None = None) -> Dataset:
    """Finds the data a suite is to use.

    Args:
        suite_sources: Names in `SOURCES` that the suite can use; the first one's starter items stand in for all.
        wanted: An edition, a data set, several of them joined with "+", or `starter`; None for the newest imported
            edition where the suite has one data set, every imported edition where it has several, and the starter
            items where nothing is imported, or where the first data set is llamabench's own. Editions that are part
            of another imported one are left out unless asked for by name.

    Returns:
        The data, its files checked for their size.

    Raises:
        UnknownNameError: No edition or data set of this suite is called that.
        DataError: What was asked for is not imported, or its files are not as they were imported.
    """
    sources = [find_source(name) for name in suite_sources]
    if wanted == STARTER or (wanted in (None, BUILTIN, sources[0].name) and not sources[0].editions):
        return _starter(sources[0])
    installed = list_installed_of(sources)
    if wanted is None:
        whole = _leave_out_parts(installed)
        chosen = list(whole[:1] if len(sources) == 1 else whole)
    else:
        chosen = [entry for name in wanted.split("+") for entry in _choose(name.strip(), sources, installed)]
    if not chosen:
        return _starter(sources[0])
    return _join(list(dict.fromkeys(chosen)))


def _leave_out_parts(installed: Sequence[Installed]) -> list[Installed]:
    part_of = {edition.name: edition.part_of for source in SOURCES.values() for edition in source.editions}
    names = {entry.edition for entry in installed}
    return [entry for entry in installed if part_of[entry.edition] not in names]


def _choose(name: str, sources: Sequence[Source], installed: Sequence[Installed]) -> list[Installed]:
    owners = {edition.name: source for source in sources for edition in source.editions}
    owners |= {source.name: source for source in sources}
    if name not in owners:
        raise UnknownNameError.for_name("edition", name, [*owners, STARTER])
    source = owners[name]
    chosen = [entry for entry in installed if name == entry.edition]
    if name == source.name:
        chosen = _leave_out_parts([entry for entry in installed if entry.source == name])
    if not chosen:
        raise DataError(f"{source.title} {name} is not imported. {_say_how_to_get(source)}")
    return chosen if len(sources) > 1 else chosen[:1]


def _say_how_to_get(source: Source) -> str:
    pull = f"Run `llamabench data pull {source.name}`, or get" if source.can_be_pulled else "Get"
    return f"{pull} it from {source.url} and run `llamabench data import {source.name} FOLDER`."


def _join(chosen: Sequence[Installed]) -> Dataset:
    for entry in chosen:
        _check_sizes(entry)
    files = [
        DataFile(entry.source, entry.edition, file.path, file.kind, entry.folder / file.path)
        for entry in chosen
        for file in entry.files
    ]
    parts = [(f"{entry.source}/{entry.edition}", entry.sha256) for entry in chosen]
    return Dataset(
        sources=tuple(dict.fromkeys(entry.source for entry in chosen)),
        edition="+".join(entry.edition for entry in chosen),
        files=tuple(files),
        sha256=chosen[0].sha256 if len(chosen) == 1 else digest_files(parts),
        is_starter=False,
        n_items=sum(entry.n_items for entry in chosen),
    )


def _check_sizes(installed: Installed) -> None:
    for file in installed.files:
        path = installed.folder / file.path
        if not path.is_file():
            raise DataError(f"{path} is missing. Import {installed.source} again.")
        if path.stat().st_size != file.n_bytes:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes, {file.n_bytes:,} were imported. "
                f"Import {installed.source} again."
            )


def _starter(source: Source) -> Dataset:
    if source.starter is None:
        raise DataError(f"{source.title} is not imported, and has no starter items. {_say_how_to_get(source)}")
    path = Path(str(resources.files("llamabench.data") / "builtin" / source.starter))
    if not path.is_file():
        raise DataError(f"The starter items {source.starter} are not in this installation. Install llamabench again.")
    kind = STARTER_KINDS[source.starter]
    edition = STARTER if source.editions else BUILTIN
    file = DataFile(edition, edition, source.starter, kind, path)
    digest = digest_files([(source.starter, hash_file(path))])
    n_items = sum(1 for _ in read_rows(path))
    return Dataset((edition,), edition, (file,), digest, edition == STARTER, n_items)
