"""Unfinished runs to go on with: found, mended where they are damaged, refused where the model's file has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from llamabench.budget import may_go_on
from llamabench.errors import DamagedError, ModelFileError, StoreError
from llamabench.records import Budget, ModelFacts, RunInfo
from llamabench.results.file import holds_run, say_reason
from llamabench.results.salvage import SALVAGED, Salvage, finish_salvage, salvage
from llamabench.results.store import Run
from llamabench.selection import Task
from llamabench.units import format_bytes


def find_unfinished(folders: Sequence[Path], budget: Budget | None, *, say: Callable[[Salvage], None]) -> Run | None:
    """The first run that is not finished, or that a larger budget lets go on; claimed.

    Args:
        folders: Folders that hold runs of one command.
        budget: The budget now.
        say: Told what was saved of a damaged run, and what is lost.

    Raises:
        StoreError: A run cannot be read, or another process is at work on it.
    """
    for folder in folders:
        stored = open_sound(folder, say=say)
        if not stored.is_finished or may_go_on(stored.info, budget):
            stored.claim()
            return stored
        stored.close()
    return None


def open_sound(folder: Path, *, say: Callable[[Salvage], None]) -> Run:
    """Opens a run of which every page and every item is read first; of a damaged one, what can be saved.

    Args:
        folder: The run's own folder.
        say: Told what was saved, and what is lost.

    Raises:
        StoreError: It cannot be read, or nothing of it can be saved.
    """
    try:
        finish_salvage(folder)
    except OSError as exc:
        raise StoreError(f"The run folder {folder} cannot be written: {say_reason(exc)}.") from exc
    stored = None
    try:
        stored = Run(folder)
        stored.check()
        return stored
    except DamagedError as exc:
        if stored is not None:
            stored.close()
        say(salvage(folder, exc.reason))
        return Run(folder)


def drop_parts(stored: Run, tasks: Iterable[Task]) -> None:
    """Takes out of a run that was saved what is left of chunks that are not whole.

    The last digits of an answer depend on what it was asked with, so a chunk is asked again whole.

    Raises:
        StoreError: The run cannot be written to.
    """
    if not any(event.kind == SALVAGED for event in stored.events()):
        return
    for task in tasks:
        name = task.suite.NAME
        stored.forget(name, list(task.parts(stored.info.plan.chunk_tokens, stored.done_ids(name))))


def refuse_changed_model(model: ModelFacts, folders: Iterable[Path], is_same: Callable[[RunInfo], bool]) -> None:
    """Refuses a model whose file is not the one that an unfinished run of the same command began with.

    Args:
        model: The model as it is now.
        folders: Folders that may hold runs.
        is_same: Whether the command would have been that of a run, had the model not changed.

    Raises:
        ModelFileError: There is such a run.
    """
    for folder in folders:
        try:
            if not holds_run(folder):
                continue
            with Run(folder) as stored:
                info, is_open = stored.info, stored.has_items and not stored.is_finished
        except StoreError:
            continue  # not to be gone on with, whatever it is
        is_changed = is_open and info.model.fingerprint != model.fingerprint
        if is_changed and Path(info.model.path).absolute() == Path(model.path).absolute() and is_same(info):
            raise ModelFileError(
                f"{model.path} is not the file that the unfinished run in {folder} began with: "
                f"{_tell_apart(info.model, model)}. Put the old file back to go on with that run, or begin a new one "
                "with --no-resume."
            )


def _tell_apart(old: ModelFacts, new: ModelFacts) -> str:
    """What of two files with different fingerprints differs, in words."""
    facts = (
        ("name", old.name, new.name),
        ("quantization", old.quant, new.quant),
        ("layers", str(old.n_layers), str(new.n_layers)),
        ("size", _say_size(old.size_bytes), _say_size(new.size_bytes)),
        ("fingerprint", old.fingerprint[:12], new.fingerprint[:12]),
    )
    return ", ".join(f"{name} {now} in place of {then}" for name, then, now in facts if then != now)


def _say_size(n_bytes: int) -> str:
    return f"{format_bytes(n_bytes)} ({n_bytes:,} bytes)"
