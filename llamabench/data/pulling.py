"""Fetches data sets from where they are published: the only code of llamabench that opens a network connection.

What arrives goes through the same checks as files that a person imports: the rows are read, counted and compared with
the publishers' digests where those are known, and nothing is installed that fails any of them.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from llamabench.data.installed import Installed, data_folder
from llamabench.data.installing import import_source
from llamabench.data.sources import Edition, Home, Source, SourceFile, find_editions, find_published
from llamabench.errors import DataError

_HUB_LOGGER = "huggingface_hub.utils._http"
_RETRY_WORDS = ("thrown while requesting", "Retrying in ")
"""What huggingface_hub says of each try that fails; the last one is told as an error, and waits for a limit are not
among them."""

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 18


class Pulled(NamedTuple):
    """What arrived, and a sentence for each place that was tried before and did not have it."""

    editions: tuple[Installed, ...]
    problems: tuple[str, ...]


def pull(name: str, mirror: Path | None = None) -> Pulled:
    """Fetches a data set, checks it and installs it.

    Args:
        name: A data set, or one of its editions. A data set stands for its editions that are not part of another one.
        mirror: A folder to take the files from instead of the network: copies of their homes as `OWNER/NAME`.

    Returns:
        What was installed.

    Raises:
        UnknownNameError: No data set and no edition is called that.
        DataError: It is published nowhere, cannot be reached, or is not what it should be.
    """
    editions = find_editions(name)
    source = find_published(editions[0].source if editions else name)
    whole = [edition for edition in editions if len(editions) == 1 or edition.part_of is None]
    wanted = [edition for edition in whole if source.homes_of(edition)]
    if not wanted:
        raise DataError(f"{source.title} {name} cannot be pulled. Run `llamabench data import {source.name} FOLDER`.")
    installed: list[Installed] = []
    problems: list[str] = []
    for homes in dict.fromkeys(_order_homes(source.homes_of(edition)) for edition in wanted):
        there = [edition for edition in wanted if _order_homes(source.homes_of(edition)) == homes]
        pulled = _pull_from_any(source, there, homes, mirror)
        installed += pulled.editions
        problems += pulled.problems
    return Pulled(tuple(installed), tuple(problems))


def _order_homes(homes: tuple[Home, ...]) -> tuple[Home, ...]:
    """Puts the Hub first where a person named another endpoint for it, as who cannot reach the rest does."""
    return tuple(sorted(homes, key=lambda home: home.host != "hub")) if os.environ.get("HF_ENDPOINT") else homes


def _pull_from_any(source: Source, editions: Sequence[Edition], homes: Sequence[Home], mirror: Path | None) -> Pulled:
    problems: list[str] = []
    for home in homes:
        try:
            if mirror is not None:
                return Pulled(_take_copy(source, editions, home, mirror), tuple(problems))
            fetch = _pull_from_hub if home.host == "hub" else _pull_from_github
            return Pulled(fetch(source, editions, home), tuple(problems))
        except DataError as exc:
            problems.append(f"{home}: {exc}")
    raise DataError(
        f"{source.title} could not be pulled. {' '.join(problems)} Try again later; or get it from {source.url} and "
        f"run `llamabench data import {source.name} FOLDER`; or carry it over, by `llamabench data export FILE`."
    )


def _take_copy(source: Source, editions: Sequence[Edition], home: Home, mirror: Path) -> tuple[Installed, ...]:
    folder = mirror / home.name
    names = [edition.name for edition in editions]
    return import_source(source.name, folder, only=names, origin=f"a copy of {home}", is_pinned=bool(home.revision))


# --- the Hugging Face Hub -----------------------------------------------------------------------


def _pull_from_hub(source: Source, editions: Sequence[Edition], home: Home) -> tuple[Installed, ...]:
    """Pulls through `huggingface_hub`, which keeps and resumes partial downloads in its own cache."""
    try:
        return _install_snapshot(source, editions, home, is_forced=False)
    except _NotReachedError:
        raise
    except DataError:
        # what an earlier download left in the cache may be the cause
        return _install_snapshot(source, editions, home, is_forced=True)


class _NotReachedError(DataError):
    """The files did not arrive."""


def _install_snapshot(
    source: Source, editions: Sequence[Edition], home: Home, *, is_forced: bool
) -> tuple[Installed, ...]:
    parts = [part for edition in editions for part in edition.parts]
    try:
        snapshots = [_download_part(home, part, is_forced=is_forced) for part in parts]
    except DataError:
        raise
    except Exception as exc:  # the library's, its HTTP client's and the system's own
        words = " ".join(str(exc).split())[:300].rstrip(".")
        raise _NotReachedError(f"{type(exc).__name__}, {words}.") from exc
    snapshot = next((folder for folder in snapshots if folder is not None), None)
    if snapshot is None:
        raise _NotReachedError(f"it has none of {', '.join(part.path for part in parts)}.")
    names, origin = [edition.name for edition in editions], f"{home} at {snapshot.name}"
    return import_source(source.name, snapshot, only=names, origin=origin, is_pinned=home.revision is not None)


def _download_part(home: Home, part: SourceFile, *, is_forced: bool) -> Path | None:
    """Returns the folder of the snapshot that a file was put in, None where the Hub does not have it."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    logging.getLogger(_HUB_LOGGER).addFilter(_is_no_retry)
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    endpoint = os.environ.get("HF_ENDPOINT")
    for path in _list_candidates(home, part, endpoint):
        try:
            file = hf_hub_download(
                home.name,
                path,
                repo_type="dataset",
                revision=home.revision,
                endpoint=endpoint,
                force_download=is_forced,
            )
        except LocalEntryNotFoundError:
            if not constants.HF_HUB_OFFLINE:
                raise
        except EntryNotFoundError:
            continue
        else:
            return Path(file).parents[path.count("/")]
    if part.is_required:
        raise _NotReachedError(f"it has no {part.path}.")
    return None


def _is_no_retry(record: logging.LogRecord) -> bool:
    return not any(words in record.getMessage() for words in _RETRY_WORDS)


def _list_candidates(home: Home, part: SourceFile, endpoint: str | None) -> Iterator[str]:
    """Yields the paths a file may have, those of patterns last, for which the Hub must be asked what it has."""
    from huggingface_hub import HfApi

    paths = (part.path, *part.other_paths)
    yield from (path for path in paths if "*" not in path)
    if part.is_required:
        siblings = HfApi(endpoint=endpoint).dataset_info(home.name, revision=home.revision).siblings or ()
        names = sorted(sibling.rfilename for sibling in siblings)
        yield from (name for name in names if any(fnmatchcase(f"/{name}", f"*/{path}") for path in paths))


# --- GitHub -------------------------------------------------------------------------------------


def _pull_from_github(source: Source, editions: Sequence[Edition], home: Home) -> tuple[Installed, ...]:
    """Pulls raw files of one commit; a download that breaks off is kept and resumed where the commit is pinned."""
    revision = home.revision or "HEAD"
    folder = data_folder() / "downloads" / home.name.replace("/", "--") / revision
    if home.revision is None:
        shutil.rmtree(folder, ignore_errors=True)  # of what may be another commit
    try:
        for edition in editions:
            for part in edition.parts:
                _fetch_part(home, revision, part, folder)
        names = [edition.name for edition in editions]
        origin = f"{home} at {revision}"
        installed = import_source(source.name, folder, only=names, origin=origin, is_pinned=home.revision is not None)
    except _NotReachedError:
        raise
    except DataError:
        _discard(folder)
        raise
    _discard(folder)
    return installed


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # where other downloads wait
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


def _fetch_part(home: Home, revision: str, part: SourceFile, folder: Path) -> None:
    endpoint = os.environ.get("LLAMABENCH_GITHUB_RAW", "https://raw.githubusercontent.com").rstrip("/")
    plain = [path for path in (part.path, *part.other_paths) if "*" not in path]
    for path in plain:
        url = f"{endpoint}/{home.name}/{revision}/{quote(path)}"
        if _fetch(url, folder / part.path):
            return
    if part.is_required:
        raise _NotReachedError(f"it has no {part.path}.")


def _fetch(url: str, target: Path) -> bool:
    """Downloads a file unless it is there already; False where the server has no such file."""
    if target.is_file():
        return True
    partial = target.with_name(f"{target.name}.partial")
    n_kept = partial.stat().st_size if partial.is_file() else 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        n_bytes = _download(url, partial, n_kept)
        if n_bytes not in (None, partial.stat().st_size):
            raise _NotReachedError(
                f"{url} broke off after {partial.stat().st_size:,} of {n_bytes:,} bytes; the same command goes on."
            )
        partial.replace(target)
    except HTTPError as exc:
        if exc.code == 404:
            return False
        if exc.code == 416 and n_kept:  # nothing is left to send, or what was kept is of something else
            partial.unlink()
            return _fetch(url, target)
        raise _NotReachedError(f"{url} answers {exc.code} {exc.reason}.") from exc
    except (OSError, HTTPException, ValueError) as exc:
        raise _NotReachedError(f"{url} cannot be fetched ({getattr(exc, 'reason', None) or exc}).") from exc
    return True


def _download(url: str, partial: Path, n_kept: int) -> int | None:
    """Adds to what was kept of a file, or begins again; returns its size as the server says it, None if it does not."""
    request = Request(url, headers={"Range": f"bytes={n_kept}-"} if n_kept else {})
    with urlopen(request, timeout=_TIMEOUT_S) as response:  # nosec B310 # ours, or the user's own
        goes_on = response.status == 206
        with partial.open("ab" if goes_on else "wb") as stream:
            shutil.copyfileobj(response, stream, _CHUNK_BYTES)
        length: str | None = response.headers["Content-Length"]
    return None if length is None else int(length) + n_kept * goes_on
