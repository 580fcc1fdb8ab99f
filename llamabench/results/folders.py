"""Where runs lie."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path


def name_folders(out: Path, model: str, run_id: str) -> Iterator[Path]:
    """Where a run may lie: a second run of the same command gets a folder of its own.

    >>> [folder.name for folder in itertools.islice(name_folders(Path("."), "a b", "0123456789ab"), 2)]
    ['a-b-01234567', 'a-b-01234567-2']

    Args:
        out: Folder that holds the folders of runs.
        model: What to call the model.
        run_id: Id of the run.
    """
    stem = _stem(model)
    yield out / f"{stem}-{run_id[:8]}"
    for number in itertools.count(2):
        yield out / f"{stem}-{run_id[:8]}-{number}"


def find_folders(out: Path, model: str) -> list[Path]:
    """The folders that may hold runs of a model; none where there is no such place."""
    if not out.is_dir():
        return []
    pattern = re.compile(rf"{re.escape(_stem(model))}-[0-9a-f]{{8}}(-[0-9]+)?")
    return sorted(folder for folder in out.iterdir() if pattern.fullmatch(folder.name))


def _stem(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")[:80] or "model"
