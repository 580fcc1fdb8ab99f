"""Tests of a person's own beside those that come with llamabench: files that a run names, and installed classes."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from llamabench.data.cache import BUILTIN, STARTER, DataFile, Dataset, find_dataset
from llamabench.data.installed import digest_files, hash_file
from llamabench.data.sources import find_source
from llamabench.errors import DataError, name_cause

ENTRY_POINTS = "llamabench.tests"
"""Entry point group of tests that are written in Python."""

OWN = "own"
"""Edition that leaves out what comes with llamabench."""

_NOT_IN_LABELS = re.compile(r"[^\w.-]+")


def takes_tests(suite_sources: Sequence[str]) -> bool:
    """Whether a suite takes tests of a person's own."""
    return any(find_source(name).takes_tests for name in suite_sources)


def find_with_tests(suite_sources: Sequence[str], wanted: str | None, files: Sequence[Path]) -> Dataset:
    """Finds the data a suite is to use, with tests of a person's own where it takes them.

    Args:
        suite_sources: Names in `SOURCES` that the suite can use.
        wanted: As for `find_dataset`; `own` for one's own tests alone, `builtin` or `starter` without installed ones.
        files: Files of tests.

    Returns:
        The data. Its edition and digest name everything that was added; what its tests are is for the suite to read.

    Raises:
        UnknownNameError: No edition or data set of this suite is called that.
        DataError: A file is missing, or there is no test at all.
    """
    if not takes_tests(suite_sources):
        return find_dataset(suite_sources, wanted)
    added = [_describe_file(path, number) for number, path in enumerate(files)]
    if wanted not in (STARTER, BUILTIN):
        added += [_describe_class(entry) for entry in sorted(entry_points(group=ENTRY_POINTS))]
    if wanted == OWN:
        if not added:
            raise DataError("There are no tests of your own. Name a file of them with --tests FILE.")
        base = Dataset((), OWN, (), digest_files([]), False, 0)
    else:
        base = find_dataset(suite_sources, wanted)
    if not added:
        return base
    digests = [(base.edition, base.sha256), *((f"{file.kind}/{file.name}", digest) for file, digest in added)]
    return replace(
        base,
        sources=(*base.sources, OWN),
        edition="+".join([base.edition, *(file.edition for file, _ in added)]),
        files=(*base.files, *(file for file, _ in added)),
        sha256=digest_files(digests),
    )


def _label(text: str) -> str:
    return _NOT_IN_LABELS.sub("-", text)[:40]


def _describe_file(path: Path, number: int) -> tuple[DataFile, str]:
    try:
        digest = hash_file(path)
    except (OSError, ValueError) as exc:
        raise DataError(f"{path} cannot be read: {name_cause(exc)}.") from exc
    return DataFile(OWN, _label(path.name), f"{number}/{_label(path.name)}", "tests", path), digest


def _describe_class(entry: EntryPoint) -> tuple[DataFile, str]:
    """An installed class, by its package's version and source files; nothing of it is imported."""
    version = entry.dist.version if entry.dist is not None else ""
    files = _source_files(entry.module.partition(".")[0])
    parts = [(entry.value, ""), ("version", version), *((path.name, hash_file(path)) for path in files)]
    path = files[0] if files else Path(entry.module)
    return DataFile(OWN, _label(entry.name), entry.name, "tests-python", path), digest_files(parts)


def _source_files(package: str) -> list[Path]:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    if found is None:
        return []
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    single = [Path(found.origin)] if found.origin and not folders else []
    paths = (path for folder in folders for path in folder.rglob("*.py"))
    return sorted(path for path in (*single, *paths) if path.is_file())
