"""Which file of a worker's machine is the model of a run: told by its contents, wherever it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from llamabench.data.local_models import list_local_models
from llamabench.data.models import list_models, locate_model
from llamabench.errors import LlamabenchError, ModelFileError
from llamabench.hardware.gguf import name_parts, read_model
from llamabench.records import ModelFacts
from llamabench.units import format_bytes


def find_file(model: ModelFacts, places: Sequence[Path], *, allows_other: bool = False) -> ModelFacts:
    """Finds a model on this machine by the digest of its file.

    Looked at are the places given, the path that it has where the run was started, the models named in `models.toml`,
    and those that other programs keep, in this order. Only files of the right size are opened.

    Args:
        model: The model as it is where the run was started.
        places: Files, and folders with files somewhere below them.
        allows_other: Whether a file of the same name with other contents will do where the model itself is not here.

    Returns:
        What the file here says.

    Raises:
        ModelFileError: There is no such file.
    """
    others = []
    for path in _candidates(model, places):
        if _size_of(path) == model.size_bytes and (found := _read(path)) and found.fingerprint == model.fingerprint:
            return found
        if path.name == Path(model.path).name and path.is_file():
            others.append(path)
    if others and allows_other:
        return read_model(others[0])
    where = ", ".join(map(str, places)) or "no folder was named"
    other = f" {others[0]} is another file of that name." if others else ""
    raise ModelFileError(
        f"{Path(model.path).name} ({format_bytes(model.size_bytes)}, fingerprint {model.fingerprint[:12]}) is not here "
        f"({where}).{other} Copy the file, and start the worker with --models FOLDER."
    )


def _candidates(model: ModelFacts, places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(place.rglob("*.gguf")) if place.is_dir() else [place]
    yield Path(model.path)
    for named in list_models().values():
        with contextlib.suppress(LlamabenchError):
            path = locate_model(named)
            if path is not None:
                yield path
    yield from (kept.path for kept in list_local_models())


def _size_of(path: Path) -> int | None:
    """Bytes of a model's file, or of all its parts; None where one is not there."""
    with contextlib.suppress(OSError):
        return sum(part.stat().st_size for part in name_parts(path))
    return None


def _read(path: Path) -> ModelFacts | None:
    """What a file says that may be the model; None where it is damaged."""
    with contextlib.suppress(ModelFileError):
        return read_model(path)
    return None
