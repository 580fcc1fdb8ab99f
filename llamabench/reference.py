"""A reference model beside a run's own: whether it was asked the same, and its numbers beside the items."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llamabench.errors import LlamabenchError, StoreError
from llamabench.hardware.gguf import read_model
from llamabench.records import ItemRow, ReferenceFacts, RunInfo, SuiteChoice
from llamabench.results.store import Run, holds_run, open_finished

_N_NAMED = 3


def read_fingerprint(reference: Path) -> str:
    """The fingerprint of a reference model.

    Args:
        reference: A model file, or the folder of a finished run.

    Raises:
        ModelFileError: The file cannot be read.
        StoreError: The run cannot be read.
        LlamabenchError: The run is not finished.
    """
    if not holds_run(reference):
        return read_model(reference).fingerprint
    with open_finished(reference, "reference run") as run:
        return run.info.model.fingerprint


def find_reference(reference: Path, out: Path, info: RunInfo, choices: Sequence[SuiteChoice]) -> Run | None:
    """The reference's run, open: the one that is named, or a finished one of the model that was asked the same.

    Args:
        reference: A model file, or the folder of a finished run.
        out: Folder of runs, where one may be found.
        info: The run that it is to be compared with.
        choices: Its suites that compare.

    Returns:
        The run; None where a model is named that was not asked yet.

    Raises:
        LlamabenchError: The run that is named is not finished.
    """
    if holds_run(reference):
        return open_finished(reference, "reference run")
    return _find_finished(out, read_model(reference).fingerprint, info, choices)


def _find_finished(out: Path, fingerprint: str, info: RunInfo, choices: Sequence[SuiteChoice]) -> Run | None:
    for folder in sorted(out.iterdir()) if out.is_dir() else ():
        with contextlib.suppress(StoreError):
            if not holds_run(folder):
                continue
            found = Run(folder)
            other = found.info
            fits = all(find_misfit(other, info, choice) is None for choice in choices)
            is_same = other.model.fingerprint == fingerprint and (other.limit, other.seed) == (info.limit, info.seed)
            if fits and is_same and found.is_finished:
                return found
            found.close()
    return None


def find_misfit(other: RunInfo, info: RunInfo, choice: SuiteChoice) -> str | None:
    """Says why a run cannot be the reference for a suite of another, None where it can."""
    mine = next((one for one in other.suites if one.name == choice.name), None)
    if mine is None:
        return f"it has not run {choice.name}"
    if (mine.edition, mine.data_sha256, mine.version) != (choice.edition, choice.data_sha256, choice.version):
        return f"its {choice.name} is {_name_data(mine)}, not {_name_data(choice)}"
    if any(end.suite == choice.name for end in other.ends):
        return f"a budget ended its {choice.name} early"
    if mine.winners_only:
        return f"it has scored only the winners of {choice.name}"
    if other.chat_template_sha256 != info.chat_template_sha256:
        return (
            f"conversations went through {_name_template(other)} there, and here through {_name_template(info)}; "
            "--chat-template and --no-chat settle that"
        )
    if mine.system_prompt != choice.system_prompt:
        return f"its conversations of {choice.name} began with another system prompt, which --system-prompt settles"
    return None


def take_reference(stored: Run, reference: Run, choices: Sequence[SuiteChoice]) -> None:
    """Puts the reference's numbers beside the items of a run, and its name into what the run is.

    Args:
        stored: The run, all of its items stored.
        reference: The finished run of the reference model.
        choices: Suites of `stored` that compare.

    Raises:
        LlamabenchError: The reference was not asked the same; nothing of that suite is stored then.
    """
    for choice in choices:
        misfit = find_misfit(reference.info, stored.info, choice)
        if misfit is not None:
            raise LlamabenchError(f"{reference.folder} cannot be the reference of this run: {misfit}.")
        if not stored.has_reference(choice.name):
            stored.save_reference(choice.name, _join(stored, reference, choice.name))
    facts = ReferenceFacts(reference.info.model, reference.info.id)
    stored.replace_info(replace(stored.info, reference=facts))


def _join(stored: Run, reference: Run, suite: str) -> dict[str, dict[str, float]]:
    """The reference's numbers for each item of a run; where it failed there are none."""
    wanted = {row.id: _digest_texts(row) for row in stored.rows(suite)}
    found: dict[str, dict[str, float]] = {}
    for row in reference.rows(suite):
        if row.id not in wanted:
            continue
        mine, theirs = wanted[row.id], _digest_texts(row)
        if mine is not None and theirs is not None and mine != theirs:
            raise LlamabenchError(
                f"{reference.folder} cannot be the reference of this run: {row.id} of {suite} is another text there."
            )
        found[row.id] = dict(row.values)
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        names = ", ".join(missing[:_N_NAMED]) + (", ..." if len(missing) > _N_NAMED else "")
        raise LlamabenchError(
            f"{reference.folder} cannot be the reference of this run: it lacks {len(missing):,} of {len(wanted):,} "
            f"items of {suite} ({names}). Run it with the same --limit and --seed, or without --limit."
        )
    return found


def _digest_texts(row: ItemRow) -> str | None:
    """Digest of what was read and scored, in text and not in tokens; None for an item that was not answered."""
    if row.outcome != "scored":
        return None
    texts = [text for one in row.exchanges for text in (one.prompt, *(str(answer["text"]) for answer in one.answers))]
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def _name_data(choice: SuiteChoice) -> str:
    return f"version {choice.version} with {choice.edition} ({choice.data_sha256[:8]})"


def _name_template(info: RunInfo) -> str:
    return f"the chat template {info.chat_template_sha256[:8]}" if info.chat_template_sha256 else "no chat template"
