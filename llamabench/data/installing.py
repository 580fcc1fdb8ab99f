"""Copies data sets into the cache: everything is read through first, and an edition appears whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from llamabench.data.formats import copy_rows, count_rows
from llamabench.data.installed import (
    Installed,
    InstalledFile,
    count_items,
    data_folder,
    digest_files,
    hash_file,
    write_manifest,
)
from llamabench.data.locating import FoundEdition, locate_editions
from llamabench.data.sources import Edition, Source, SourceFile, find_published
from llamabench.errors import DataError


def import_source(
    name: str, folder: Path, *, only: Sequence[str] = (), origin: str = "a folder", is_pinned: bool = False
) -> tuple[Installed, ...]:
    """Copies a data set from its publishers' files; an edition that is there already is replaced in one step.

    Args:
        name: Name in `SOURCES`.
        folder: Where the files lie: the publishers' repository, the files flat, or a folder above either; or the one
            file that there is.
        only: Editions to look for, none for all.
        origin: What to remember of where they came from.
        is_pinned: Whether the files must be the publishers' own bytes, where their digests are known.

    Returns:
        The editions that were found, newest first.

    Raises:
        UnknownNameError: No data set has that name.
        DataError: The folder does not hold the data set, a file is not what it should be, or nothing can be written.
    """
    source = find_published(name)
    found = locate_editions(source, folder.expanduser(), only)
    with staging([entry.edition for entry in found]) as folders:
        copied = [_copy_edition(entry, folders[entry.edition.name]) for entry in found]
        if is_pinned:
            for entry, files in zip(found, copied, strict=True):
                _need_published(entry, files)
        return tuple(
            install(source, entry.edition, folders[entry.edition.name], files, origin=origin)
            for entry, files in zip(found, copied, strict=True)
        )


def _copy_edition(found: FoundEdition, folder: Path) -> tuple[InstalledFile, ...]:
    files = []
    for file in found.files:
        target = folder / file.part.path
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_rows(file.path, target, file.part.kind)
        copied = describe_file(target, file.part)
        if copied.n_rows != file.n_rows:
            raise DataError(f"{file.path} changed while it was copied. Import it again.")
        files.append(copied)
    return tuple(files)


def _need_published(found: FoundEdition, files: Sequence[InstalledFile]) -> None:
    for file, copied in zip(found.files, files, strict=True):
        if copied.is_published is False:
            raise DataError(
                f"{file.part.path} is not what its publishers released: its sha256 is {copied.sha256}, "
                f"{file.part.sha256} was expected."
            )


# --- one step -----------------------------------------------------------------------------------


@contextmanager
def staging(editions: Sequence[Edition]) -> Iterator[dict[str, Path]]:
    """Makes a folder for each edition to be written to; what was not installed from there is removed afterwards.

    Yields:
        The folders by the editions' names.

    Raises:
        DataError: Something cannot be written.
    """
    token = secrets.token_hex(4)
    folders = {edition.name: _home_of(edition) / f"partial-{token}" for edition in editions}
    try:
        for folder in folders.values():
            folder.mkdir(parents=True)
        yield folders
    except OSError as exc:
        names = ", ".join(folders)
        raise DataError(f"{names} cannot be copied to {data_folder()}: {exc.strerror or exc}.") from exc
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # a home that holds something stays
                folder.parent.rmdir()
                folder.parent.parent.rmdir()


def _home_of(edition: Edition) -> Path:
    return data_folder() / edition.source / edition.name


def describe_file(path: Path, part: SourceFile) -> InstalledFile:
    """Reads a stored file through, and says what it is.

    Raises:
        DataError: A row is not as it should be.
        OSError: The file cannot be read.
    """
    sha256 = hash_file(path)
    is_published = None if part.sha256 is None else sha256 == part.sha256
    return InstalledFile(part.path, part.kind, path.stat().st_size, sha256, count_rows(path, part.kind), is_published)


def install(
    source: Source, edition: Edition, folder: Path, files: tuple[InstalledFile, ...], *, origin: str
) -> Installed:
    """Puts an edition from its staging folder where it is found, and removes the one it replaces.

    Raises:
        OSError: Something cannot be written.
    """
    home = folder.parent
    digest = digest_files([(file.path, file.sha256) for file in files])
    final = home / f"files-{digest[:12]}-{secrets.token_hex(4)}"
    folder.rename(final)
    n_items = count_items(files)
    installed = Installed(source.name, edition.name, edition.title, final, files, n_items, digest, origin)
    write_manifest(home, source, installed)
    for old in home.iterdir():
        if old.is_dir() and old != final:
            shutil.rmtree(old, ignore_errors=True)
    return installed
