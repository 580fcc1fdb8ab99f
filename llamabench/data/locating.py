"""Finds the files of a data set below a folder that a person names, whatever layout they lie in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from llamabench.data.formats import count_rows
from llamabench.data.reading import is_pointer
from llamabench.data.sources import ITEM_KINDS, Edition, Source, SourceFile
from llamabench.errors import DataError

_MAX_DEPTH = 5
_MAX_FILES = 20_000
_OTHER_VERSIONS = frozenset({"v0"})


class Found(NamedTuple):
    """A file that was found and read through: what it is, where it lies, how many rows it has."""

    part: SourceFile
    path: Path
    n_rows: int


class FoundEdition(NamedTuple):
    """The files found of one edition."""

    edition: Edition
    files: tuple[Found, ...]


def locate_editions(source: Source, folder: Path, only: Sequence[str] = ()) -> tuple[FoundEdition, ...]:
    """Finds and checks every edition of a data set that lies below a folder.

    A file is looked for where the publisher keeps it, then under its other names, in the folder itself first and then
    below it, nearest first. Which edition a file belongs to is decided by its rows, not by its name. Stand-ins that
    Git LFS leaves for files it did not fetch count as not there.

    Args:
        source: The data set.
        folder: The publishers' repository, a folder with the files flat, or a folder above either; or one file.
        only: Names of the editions to look for, none for all.

    Returns:
        The editions, at least one.

    Raises:
        DataError: The folder holds no edition, or an edition lacks a file, or a file is not what it should be.
    """
    names: tuple[str, ...]
    if folder.is_file():
        folder, names = folder.parent, (folder.name,)
    elif folder.is_dir():
        names = tuple(_list_files(folder))
    else:
        raise DataError(f"{folder} is not a folder. Name the folder that holds {source.title}: {source.url}")
    wanted = [edition for edition in source.editions if not only or edition.name in only]
    found = [_locate_edition(source, edition, folder, names) for edition in wanted]
    editions = tuple(edition for edition in found if edition is not None)
    if not editions:
        raise DataError(_nothing_found(source, folder, names))
    return editions


def _list_files(folder: Path) -> Iterator[str]:
    n_files = 0
    for base, folders, files in os.walk(folder):
        relative = Path(base).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _OTHER_VERSIONS)
        if len(relative.parts) >= _MAX_DEPTH:
            folders.clear()
        for name in sorted(files):
            n_files += 1
            if n_files > _MAX_FILES:
                raise DataError(f"{folder} holds more than {_MAX_FILES:,} files. Name the data set's own folder.")
            yield (relative / name).as_posix()


def _locate_edition(source: Source, edition: Edition, folder: Path, names: tuple[str, ...]) -> FoundEdition | None:
    located = [(part, _locate_part(source, part, folder, names)) for part in edition.parts]
    files = tuple(found for _, found in located if found is not None)
    if not any(found.part.kind in ITEM_KINDS for found in files):
        return None
    missing = [part.path for part, found in located if found is None and part.is_required]
    if missing:
        there = ", ".join(str(found.path) for found in files)
        raise DataError(
            f"{source.title} {edition.name} in {folder} is not complete: {', '.join(missing)} is missing "
            f"(found: {there}). Get it from {source.url}"
        )
    return FoundEdition(edition, files)


def _locate_part(source: Source, part: SourceFile, folder: Path, names: tuple[str, ...]) -> Found | None:
    misfit: Found | None = None
    for name in _candidates(part, names):
        path = folder / name
        if is_pointer(path):
            continue
        found = Found(part, path, count_rows(path, part.kind))
        if part.n_rows in (None, found.n_rows):
            return found
        if not _is_of_other_part(source, found):
            misfit = misfit or found
    if misfit is not None:
        raise DataError(
            f"{misfit.path} has {misfit.n_rows:,} rows, {part.path} of {source.title} has {part.n_rows:,}. "
            f"Get it again from {source.url}"
        )
    return None


def _candidates(part: SourceFile, names: tuple[str, ...]) -> Iterator[str]:
    patterns = (part.path, *part.other_paths)
    matches = [
        (is_below, name.count("/"), rank, name)
        for rank, pattern in enumerate(patterns)
        for name in names
        for is_below, form in enumerate((pattern, f"*/{pattern}"))
        if fnmatchcase(name, form)
    ]
    yield from dict.fromkeys(name for *_, name in sorted(matches))


def _is_of_other_part(source: Source, found: Found) -> bool:
    others = (part for edition in source.editions for part in edition.parts if part != found.part)
    return any(part.kind == found.part.kind and part.n_rows == found.n_rows for part in others)


def _nothing_found(source: Source, folder: Path, names: tuple[str, ...]) -> str:
    parts = [part for edition in source.editions for part in edition.parts if part.kind in ITEM_KINDS]
    pointers = [name for part in parts for name in _candidates(part, names) if is_pointer(folder / name)]
    there = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    message = (
        f"{folder} does not hold {source.title}: looked for {', '.join(part.path for part in parts)}; found {there}."
    )
    if pointers:
        return f"{message} {pointers[0]} is only a Git LFS pointer: run `git lfs pull` there first."
    return f"{message} Get it from {source.url}"
