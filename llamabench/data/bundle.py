"""Bundles: imported data in one checksummed file, to be carried to a machine without a network.

A bundle is a zip archive that holds a manifest and the files, none of them compressed: so it has the same bytes
wherever it is made, and no file in it can be larger than the archive. Its digests find damage, not forgery: who can
write a bundle can write its manifest. The digests that publishers' files are known to have are compared as well.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llamabench.data.installed import Installed, InstalledFile, list_installed
from llamabench.data.installing import describe_file, install, staging
from llamabench.data.sources import SOURCES, Edition, SourceFile, find_editions
from llamabench.errors import DataError

_MANIFEST = "manifest.json"
_KIND = "llamabench data"
_FORMAT = 1
_MAX_MANIFEST_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BROKEN = (zipfile.BadZipFile, struct.error, OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError)


class Bundle(NamedTuple):
    """A bundle that was written: where, how large, and which editions are in it."""

    path: Path
    n_bytes: int
    editions: tuple[Installed, ...]


# --- export -------------------------------------------------------------------------------------


def export_bundle(path: Path, names: Sequence[str] = ()) -> Bundle:
    """Writes imported data to one file, which is there when it is complete and not before.

    Args:
        path: The file to make.
        names: Data sets or editions, none for all that is imported.

    Raises:
        UnknownNameError: No data set and no edition has one of the names.
        DataError: Something is not imported or has changed since, or the file is there already or cannot be written.
    """
    editions = _choose(names)
    if path.exists():
        raise DataError(f"{path} is there already. Name another file, or remove it.")
    partial = path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive:
            text = json.dumps(_describe(editions), indent=1, ensure_ascii=False) + "\n"
            archive.writestr(_member(_MANIFEST, len(text.encode())), text)
            for entry in editions:
                for file in sorted(entry.files, key=lambda file: file.path):
                    _add(archive, entry, file)
        partial.rename(path)
    except OSError as exc:
        raise DataError(f"{path} cannot be written: {exc.strerror or exc}.") from exc
    finally:
        partial.unlink(missing_ok=True)
    return Bundle(path, path.stat().st_size, tuple(editions))


def _choose(names: Sequence[str]) -> list[Installed]:
    installed = {entry.edition: entry for entry in list_installed()}
    if not names and not installed:
        raise DataError("Nothing is imported, so there is nothing to export. Begin with `llamabench data pull NAME`.")
    wanted = list(installed)
    if names:
        wanted = []
        for name in names:
            there = [edition.name for edition in find_editions(name) if edition.name in installed]
            if not there:
                raise DataError(f"{name} is not imported. `llamabench data list` says what is.")
            wanted += there
    return [installed[name] for name in sorted(set(wanted), key=lambda name: (installed[name].source, name))]


def _describe(editions: Sequence[Installed]) -> dict[str, Any]:
    entries = [
        {
            "source": entry.source,
            "edition": entry.edition,
            "title": entry.title,
            "url": SOURCES[entry.source].url,
            "licence": SOURCES[entry.source].licence,
            "citation": SOURCES[entry.source].citation,
            "n_items": entry.n_items,
            "sha256": entry.sha256,
            "files": [
                {
                    "path": file.path,
                    "kind": file.kind,
                    "n_bytes": file.n_bytes,
                    "sha256": file.sha256,
                    "n_rows": file.n_rows,
                }
                for file in sorted(entry.files, key=lambda file: file.path)
            ],
        }
        for entry in editions
    ]
    return {"bundle": _KIND, "format": _FORMAT, "editions": entries}


def _member(name: str, n_bytes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, wherever it is made
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.file_size = n_bytes
    return info


def _add(archive: zipfile.ZipFile, entry: Installed, file: InstalledFile) -> None:
    path = entry.folder / file.path
    digest = hashlib.sha256()
    with path.open("rb") as origin, archive.open(_member(_name_of(entry, file.path), file.n_bytes), "w") as target:
        while chunk := origin.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise DataError(f"{path} has changed since it was imported. Import {entry.source} again, then export.")


def _name_of(entry: Installed | Edition, path: str) -> str:
    edition = entry.edition if isinstance(entry, Installed) else entry.name
    return f"{entry.source}/{edition}/{path}"


# --- import -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stated:
    """A file as a bundle's manifest states it."""

    edition: Edition
    part: SourceFile
    n_bytes: int
    sha256: str
    n_rows: int

    @property
    def name(self) -> str:
        return _name_of(self.edition, self.part.path)


def import_bundle(path: Path) -> tuple[Installed, ...]:
    """Imports every edition of a bundle, after all of it was found sound; none where any of it is not.

    Args:
        path: A file that `export_bundle` wrote.

    Raises:
        DataError: The file is no bundle, is damaged, holds what its manifest does not say or what this llamabench does
            not know, or the data cannot be written.
    """
    with _open(path) as archive:
        members = _check_members(path, archive)
        stated = _read_manifest(path, archive)
        _check_names(path, members, stated)
        for file in stated:
            _check_content(path, archive, file)
        editions = list(dict.fromkeys(file.edition for file in stated))
        with staging(editions) as folders:
            files = {
                edition.name: tuple(
                    _unpack(path, archive, file, folders[edition.name]) for file in stated if file.edition == edition
                )
                for edition in editions
            }
            return tuple(
                install(SOURCES[edition.source], edition, folders[edition.name], files[edition.name], origin="a bundle")
                for edition in editions
            )


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise DataError(f"There is no bundle at {path}.")
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as exc:
        raise DataError(f"{path} is no bundle, or is damaged ({exc}). Export it again.") from exc
    with archive:
        yield archive


def _refuse(path: Path, why: str) -> DataError:
    return DataError(f"{path} is refused: {why}. Nothing was imported. Export it again.")


def _check_members(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    """Returns the sizes of the members by name, after none was found that an export would not have written."""
    sizes: dict[str, int] = {}
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.filename in sizes:
            raise _refuse(path, f"{info.filename!r} is in it twice")
        if info.is_dir() or not (stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0):
            raise _refuse(path, f"{info.filename!r} is no plain file")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size != info.compress_size:
            raise _refuse(path, f"{info.filename!r} is compressed or encrypted, which no export does")
        sizes[info.filename] = info.file_size
    if sum(sizes.values()) > path.stat().st_size:
        raise _refuse(path, "its files are said to be larger than it is")
    return sizes


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> tuple[_Stated, ...]:
    try:
        info = archive.getinfo(_MANIFEST)
        if info.file_size > _MAX_MANIFEST_BYTES:
            raise _refuse(path, "its manifest is too large")
        manifest: Any = json.loads(archive.read(info).decode())
        if manifest["bundle"] != _KIND:
            raise _refuse(path, "it is not a bundle of data")
        if manifest["format"] != _FORMAT:
            raise DataError(f"{path} was written by another version of llamabench. Update the older of the two.")
        return tuple(_read_entry(path, edition, file) for edition in manifest["editions"] for file in edition["files"])
    except (*_BROKEN, TypeError, RecursionError) as exc:
        raise DataError(
            f"{path} is no bundle, or is damaged: its manifest cannot be read ({exc}). Export it again."
        ) from exc


def _read_entry(path: Path, stated: Any, file: Any) -> _Stated:
    source, name = str(stated["source"]), str(stated["edition"])
    editions = {edition.name: edition for edition in SOURCES[source].editions} if source in SOURCES else {}
    parts = {part.path: part for part in editions[name].parts} if name in editions else {}
    part = parts.get(str(file["path"]))
    if part is None or part.kind != file["kind"]:
        raise DataError(
            f"{path} is refused: it holds {source} {name} {str(file['path'])!r}, which this llamabench does not know. "
            "Nothing was imported. Update llamabench."
        )
    return _Stated(editions[name], part, int(file["n_bytes"]), str(file["sha256"]), int(file["n_rows"]))


def _check_names(path: Path, members: dict[str, int], stated: Sequence[_Stated]) -> None:
    expected = {file.name: file.n_bytes for file in stated}
    if len(expected) != len(stated):
        raise _refuse(path, "its manifest names a file twice")
    for name in members:
        if name not in expected and name != _MANIFEST:
            raise _refuse(path, f"it holds {name!r}, which its manifest does not name")
    for file in stated:
        if file.name not in members:
            raise _refuse(path, f"{file.name} is missing")
        if members[file.name] != file.n_bytes:
            raise _refuse(path, f"{file.name} has {members[file.name]:,} bytes, {file.n_bytes:,} were exported")
    if not stated:
        raise _refuse(path, "it is empty")
    for edition in {file.edition.name: file.edition for file in stated}.values():
        for part in edition.parts:
            if part.is_required and _name_of(edition, part.path) not in expected:
                raise _refuse(path, f"{edition.source} {edition.name} is not complete: {part.path} is missing")


def _check_content(path: Path, archive: zipfile.ZipFile, file: _Stated) -> None:
    digest = hashlib.sha256()
    for chunk in _read_chunks(path, archive, file):
        digest.update(chunk)
    if digest.hexdigest() != file.sha256:
        raise _refuse(path, f"{file.name} is damaged: its sha256 is {digest.hexdigest()}, {file.sha256} was exported")


def _read_chunks(path: Path, archive: zipfile.ZipFile, file: _Stated) -> Iterator[bytes]:
    try:
        with archive.open(file.name) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
    except _BROKEN as exc:
        raise _refuse(path, f"{file.name} is damaged ({exc})") from exc


def _unpack(path: Path, archive: zipfile.ZipFile, file: _Stated, folder: Path) -> InstalledFile:
    target = folder / file.part.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as copy:
        for chunk in _read_chunks(path, archive, file):
            copy.write(chunk)
    unpacked = describe_file(target, file.part)
    if unpacked.sha256 != file.sha256:
        raise _refuse(path, f"{file.name} changed while it was read")
    if unpacked.n_rows != file.n_rows or file.part.n_rows not in (None, unpacked.n_rows):
        raise _refuse(path, f"{file.name} has {unpacked.n_rows:,} rows, {file.part.n_rows or file.n_rows:,} are right")
    return unpacked
