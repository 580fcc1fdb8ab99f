"""What is imported on this computer: where it lies, what its manifests say, and whether it is unchanged."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llamabench.data.formats import Kind
from llamabench.data.sources import ITEM_KINDS, SOURCES, Edition, Source
from llamabench.errors import DataError, name_cause

MANIFEST = "manifest.json"
"""Name of the file that says what an edition's folder holds."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A stored file; `is_published` says whether it is the publisher's own, None where its digest is not known."""

    path: str
    kind: Kind
    n_bytes: int
    sha256: str
    n_rows: int
    is_published: bool | None


@dataclass(frozen=True, slots=True)
class Installed:
    """An edition on this computer.

    Attributes:
        source: Name of the data set.
        edition: Name of the edition.
        title: What a person should know about it.
        folder: Where its files are.
        files: Its files.
        n_items: Items in them.
        sha256: Digest over the files.
        origin: Where they came from, for people.
    """

    source: str
    edition: str
    title: str
    folder: Path
    files: tuple[InstalledFile, ...]
    n_items: int
    sha256: str
    origin: str

    @property
    def n_bytes(self) -> int:
        """Size of the files."""
        return sum(file.n_bytes for file in self.files)


class Verified(NamedTuple):
    """What `verify` found in an edition; `faults` has a sentence for each file that is not as it was imported."""

    source: str
    edition: str
    n_files: int
    faults: tuple[str, ...]


def data_folder() -> Path:
    """Returns the folder of the imported data: `LLAMABENCH_DATA`, else the user's data folder of this system."""
    chosen = os.environ.get("LLAMABENCH_DATA")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("llamabench", appauthor=False))


def count_items(files: Iterable[InstalledFile]) -> int:
    """Counts the items in files, some of which only add to others."""
    return sum(file.n_rows for file in files if file.kind in ITEM_KINDS)


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_files(parts: Sequence[tuple[str, str]]) -> str:
    """Returns the digest over names and the digests of what they name, whatever their order."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(parts))
    return hashlib.sha256(lines.encode()).hexdigest()


# --- manifests ----------------------------------------------------------------------------------


def write_manifest(home: Path, source: Source, installed: Installed) -> None:
    """Makes an edition the one that is found in its folder, in one step.

    Raises:
        OSError: The manifest cannot be written.
    """
    manifest = {
        "format": _FORMAT,
        "source": source.name,
        "edition": installed.edition,
        "url": source.url,
        "licence": source.licence,
        "origin": installed.origin,
        "folder": installed.folder.name,
        "n_items": installed.n_items,
        "sha256": installed.sha256,
        "files": [asdict(file) for file in installed.files],
    }
    partial = home / f"partial-{secrets.token_hex(4)}.json"
    partial.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    partial.replace(home / MANIFEST)


def list_installed() -> tuple[Installed, ...]:
    """Lists the imported editions, data set by data set, newest first.

    Raises:
        DataError: A manifest cannot be read.
    """
    return list_installed_of(SOURCES.values())


def list_installed_of(sources: Iterable[Source]) -> tuple[Installed, ...]:
    """Lists the imported editions of some data sets, newest first.

    Raises:
        DataError: A manifest cannot be read.
    """
    found = (_read_manifest(edition) for source in sources for edition in source.editions)
    return tuple(installed for installed in found if installed is not None)


def _read_manifest(edition: Edition) -> Installed | None:
    path = data_folder() / edition.source / edition.name / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise DataError(
                f"{path} was written by a newer llamabench. Update llamabench, or import the data set again."
            )
        files = tuple(InstalledFile(**file) for file in manifest["files"])
        folder = path.parent / manifest["folder"]
        n_items, sha256 = int(manifest["n_items"]), str(manifest["sha256"])
        origin = str(manifest.get("origin", "a folder"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DataError(f"{path} cannot be read ({name_cause(exc)}). Import {edition.source} again.") from exc
    return Installed(edition.source, edition.name, edition.title, folder, files, n_items, sha256, origin)


def verify() -> tuple[Verified, ...]:
    """Hashes every imported file again.

    Returns:
        What was found, an entry for each imported edition.

    Raises:
        DataError: A manifest cannot be read.
    """
    return tuple(_verify_edition(installed) for installed in list_installed())


def _verify_edition(installed: Installed) -> Verified:
    faults = []
    for file in installed.files:
        path = installed.folder / file.path
        if not path.is_file():
            faults.append(f"{path} is missing. Import {installed.source} again.")
            continue
        sha256 = hash_file(path)
        if sha256 != file.sha256:
            faults.append(
                f"{path} has changed: its sha256 is {sha256}, {file.sha256} was imported. "
                f"Import {installed.source} again."
            )
    return Verified(installed.source, installed.edition, len(installed.files), tuple(faults))
