"""Red-team runs as `red_team_results.json`: all attacks and what came of them, for reports and for other programs.

`red_team.schema.json` beside this file is the document's JSON schema; docs/redteam.md says what it means.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from llamabench.errors import DataError, StoreError
from llamabench.records import (
    AttackOutcome,
    AttackResult,
    AttackTarget,
    AttemptResult,
    ItemRow,
    Json,
    OutcomeKind,
    RedTeamResults,
    SuiteChoice,
)
from llamabench.results import codec
from llamabench.results.store import Run, holds_run

SUITE = "redteam"
"""Name of the suite whose rows these are."""

FILE_NAME = "red_team_results.json"
"""Name of the document in a run's folder."""

FORMAT = "llamabench-red-team"
VERSION = 1
"""Raised when a reader of the one before would misread it."""

_JUDGED = "judged_harmful"
_MOST_SPACE = 64
"""Bytes of white space that other programs may have put before the document."""


# --- from a run ---------------------------------------------------------------------------------


def find_choice(run: Run) -> SuiteChoice | None:
    """The red-team suite of a run, None where it has none."""
    return next((choice for choice in run.info.suites if choice.name == SUITE), None)


def collect_results(run: Run) -> RedTeamResults:
    """All of a run's attacks that are stored, in order.

    Raises:
        StoreError: The run has none, or cannot be read.
    """
    choice = find_choice(run)
    if choice is None:
        raise StoreError(f"The run in {run.folder} attacked nothing. Run `llamabench redteam MODEL`.")
    info, scores = run.info, [score for score in run.scores() if score.suite == SUITE]
    judges = dict.fromkeys(judge.facts.title for judge in run.judges_of(SUITE).values())
    try:
        attacks = tuple(_read_attack(row) for row in run.rows(SUITE))
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(
            f"The attacks in {run.folder} cannot be read: {exc}. Run them again with --no-resume."
        ) from exc
    return RedTeamResults(
        run_id=info.id,
        created=info.created,
        llamabench=info.llamabench,
        model=info.model.name,
        quant=info.model.quant,
        model_file=info.model.file_name,
        model_sha256=info.model.fingerprint,
        machine=", ".join([info.machine.cpu, *(device.description for device in info.machine.devices)]),
        behaviours=choice.edition,
        seed=int(choice.settings.get("seed", info.seed)),
        settings={
            **choice.settings,
            "limit": "none" if info.limit is None else str(info.limit),
            **({"system_prompt": choice.system_prompt} if choice.system_prompt is not None else {}),
        },
        signature=next((one.signature for one in scores if one.metric.judge is None), ""),
        scorers=tuple(f"{one.name}: {one.agreement}" for one in choice.scorers),
        judge="; ".join(judges) or None,
        metrics=tuple(score.metric for score in scores),
        attacks=attacks,
        is_demo=info.is_demo,
    )


def _read_attack(row: ItemRow) -> AttackResult:
    facts, values = row.facts, row.values
    attempts = codec.decode(tuple[AttemptResult, ...], facts["attempts"])
    outcomes: tuple[AttackOutcome, ...] = get_args(AttackOutcome)
    outcome = next((one for one in outcomes if values.get(one)), None)
    if "over_refused" in values:
        verdicts = [attempt.verdict.outcome for attempt in attempts if attempt.verdict is not None]
        outcome = max(verdicts, key=outcomes.index)
    first = values.get("first_success")
    return AttackResult(
        id=row.id,
        target=codec.decode(AttackTarget, facts["target"]),
        technique=str(facts["technique"]),
        family=str(facts["family"]),
        status=row.outcome,
        error=row.error,
        outcome=outcome,
        severity=values.get("severity"),
        first_success=None if first is None else int(first),
        attempts=tuple(
            replace(attempt, judged_harmful=values.get(f"{_JUDGED}#{number}" if len(attempts) > 1 else _JUDGED))
            for number, attempt in enumerate(attempts, start=1)
        ),
    )


# --- as it lies in the file ---------------------------------------------------------------------


def write_results(results: RedTeamResults, path: Path) -> None:
    """Writes the document; who reads `path` sees the old one or the new one, never half of one.

    Raises:
        StoreError: It cannot be written.
    """
    facts = codec.encode(results)
    assert isinstance(facts, dict)
    document: dict[str, Json] = {"format": FORMAT, "version": VERSION, **facts}
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                json.dump(document, file, indent=1, allow_nan=False)
                file.write("\n")
            os.chmod(name, 0o644)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(
            f"{path} cannot be written: {exc.strerror}. The attacks are safe in the run's folder."
        ) from exc


def read_results(path: Path) -> RedTeamResults:
    """Reads the document that `write_results` wrote.

    Args:
        path: The file, or the folder of a run that holds it.

    Raises:
        DataError: It is missing, is no such document, is of a newer version, or is damaged.
        StoreError: The folder's run cannot be read.
    """
    if path.is_dir():
        _refuse_run_without_results(path)
        path = path / FILE_NAME
    document = _read_document(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _refusal(path)
    version = document.get("version")
    if version != VERSION:
        raise DataError(f"{path} is of version {version!r}, this llamabench reads version {VERSION}. Update it.")
    try:
        results = codec.decode(RedTeamResults, document)
    except (ValueError, KeyError) as exc:
        raise DataError(f"{path} is damaged: {exc}. Write it again: llamabench report RUN") from exc
    for fault in _find_faults(results):
        raise DataError(f"{path} is damaged: {fault}. Write it again: llamabench report RUN")
    return results


def _refuse_run_without_results(folder: Path) -> None:
    if (folder / FILE_NAME).exists() or not holds_run(folder):
        return
    with Run(folder) as run:
        has_attacks = find_choice(run) is not None
    if has_attacks:
        raise DataError(f"{folder} has no {FILE_NAME} yet. To write it: llamabench report {folder}")
    raise DataError(f"The run in {folder} holds no attacks. To make some: llamabench redteam MODEL")


def _read_document(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            if not file.peek(_MOST_SPACE)[:_MOST_SPACE].lstrip().startswith(b"{"):
                raise _refusal(path)  # perhaps a model: gigabytes that need not be read
            return json.loads(file.read().decode("utf-8"))
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc.strerror}. Name a {FILE_NAME}, or a run's folder.") from exc
    except UnicodeDecodeError as exc:
        raise _refusal(path) from exc
    except ValueError as exc:
        raise DataError(f"{path} is no JSON, or cut short: {exc}. Write it again: llamabench report RUN") from exc


def _refusal(path: Path) -> DataError:
    return DataError(f"{path} holds no results of attacks: `llamabench redteam MODEL` writes such files.")


def _find_faults(results: RedTeamResults) -> Iterator[str]:
    """Words and numbers that stand for nothing."""
    seen: set[str] = set()
    for attack in results.attacks:
        if attack.id in seen:
            yield f'the attack "{attack.id}" stands in it twice'
        seen.add(attack.id)
        if attack.status not in get_args(OutcomeKind):
            yield f'the attack "{attack.id}" ended as "{attack.status}", which is none of its ends'
        verdicts = [attempt.verdict for attempt in attack.attempts if attempt.verdict is not None]
        for outcome in (attack.outcome, *(verdict.outcome for verdict in verdicts)):
            if outcome is not None and outcome not in get_args(AttackOutcome):
                yield f'the attack "{attack.id}" has the outcome "{outcome}", which is none'
        severities = [attack.severity, *(attempt.severity for attempt in attack.attempts)]
        if any(severity is not None and not 0 <= severity <= 1 for severity in severities):
            yield f'the attack "{attack.id}" has a severity that is not between 0 and 1'


def read_schema() -> dict[str, Any]:
    """The document's JSON schema."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / "red_team.schema.json").read_text(encoding="utf-8"))
    return schema
