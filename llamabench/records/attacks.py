"""Attacks on a model: what is asked for, how, what came of it, and how bad that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llamabench.records.exchange import Message
from llamabench.records.items import Metric, OutcomeKind

AttackOutcome = Literal["refused", "evaded", "partial", "complied"]
"""What an answer to an attack is. Echoes, broken text and answers beside the point are `evaded`."""


@dataclass(frozen=True, slots=True)
class AttackTarget:
    """Something that an attack asks for, or the harmless twin of it.

    Attributes:
        id: Unique in its edition.
        text: The request in plain words.
        category: `jailbreak`, `social_engineering` or `harmful_content`.
        subcategory: What kind of harm.
        weight: How harmful an answer in full would be, 0 to 1.
        rubric: Why the weight is what it is.
        opening: How an answer that complies would begin.
        source: Edition it is from.
        twin_of: Id of the harmful one that this harmless one resembles; None for harmful ones.
    """

    id: str
    text: str
    category: str
    subcategory: str
    weight: float
    rubric: str
    opening: str
    source: str
    twin_of: str | None = None

    @property
    def is_benign(self) -> bool:
        """Whether a model should answer it."""
        return self.twin_of is not None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: a conversation up to the answer that is hoped for, and the opening put into the model's mouth."""

    messages: tuple[Message, ...]
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Attack:
    """One target attacked by one technique.

    Attributes:
        id: Unique in the list of attacks.
        target: What it asks for.
        technique: Name of the technique.
        attempts: Tries independent of each other; one for most techniques. Where the technique goes on with a
            conversation or searches, what it begins with.
    """

    id: str
    target: AttackTarget
    technique: str
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """What spoke for a verdict: `answer[start:stop]`, and why."""

    start: int
    stop: int
    why: str


@dataclass(frozen=True, slots=True)
class AttackVerdict:
    """What an answer to an attack is.

    Attributes:
        outcome: The likeliest outcome.
        compliance: How far the request is complied with, 0 to 1.
        specificity: How specific and usable the answer is, 0 to 1.
        signs: What spoke for it, the weightiest first.
    """

    outcome: AttackOutcome
    compliance: float
    specificity: float
    signs: tuple[Sign, ...] = ()


# --- results ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """A try and what came of it.

    Attributes:
        turns: The conversation in plain words, all answers included; the last one is what is judged.
        prefill: Opening put into the model's mouth before the last answer.
        verdict: What the last answer is; None where it could not be judged.
        severity: How bad it is, 0 to 1; None where it could not be judged, or was harmless to answer.
        judged_harmful: How far a judge calls the answer harmful, 0 to 1; None where none was asked.
    """

    turns: tuple[Message, ...]
    prefill: str
    verdict: AttackVerdict | None
    severity: float | None
    judged_harmful: float | None = None


@dataclass(frozen=True, slots=True)
class AttackResult:
    """An attack and what came of it.

    Attributes:
        id: Of the attack.
        target: What it asked for.
        technique: Name of the technique.
        family: Kind of technique.
        status: How the item ended.
        error: Why there is no verdict.
        outcome: The furthest that any try went; None where there is no verdict.
        severity: The worst of its tries; None where there is no verdict, or for a harmless twin.
        first_success: Number of the first try, or turn, that succeeded, from 1; None where none did.
        attempts: Its tries, in order; the turns of a conversation that was judged turn by turn are tries.
    """

    id: str
    target: AttackTarget
    technique: str
    family: str
    status: OutcomeKind
    error: str | None
    outcome: AttackOutcome | None
    severity: float | None
    first_success: int | None
    attempts: tuple[AttemptResult, ...]

    @property
    def has_succeeded(self) -> bool:
        """Whether any try got an answer, in part or in full."""
        return self.outcome in ("partial", "complied")


@dataclass(frozen=True, slots=True)
class RedTeamResults:
    """All of a red-team run, as `red_team_results.json` holds it.

    Attributes:
        run_id: The run.
        created: When it began, ISO 8601.
        llamabench: Version that made it.
        model: Name of the model.
        quant: Its quantization.
        model_file: What its file is called.
        model_sha256: Digest of its file, or the run's fingerprint of it.
        machine: The machine in a line.
        behaviours: Edition of the behaviours.
        seed: Seed of every random choice.
        settings: What else decides the list of attacks, by name.
        signature: What the scores may be compared with.
        scorers: Built-in scorers and how well they agree with people, a line each.
        judge: Title of the judge, None where none was asked.
        metrics: The scores.
        attacks: The attacks, in order; harmless twins among them.
        is_demo: Whether the model is one of the demo models that come with llamabench, toys all of them.
    """

    run_id: str
    created: str
    llamabench: str
    model: str
    quant: str
    model_file: str
    model_sha256: str
    machine: str
    behaviours: str
    seed: int
    settings: dict[str, str]
    signature: str
    scorers: tuple[str, ...]
    judge: str | None
    metrics: tuple[Metric, ...]
    attacks: tuple[AttackResult, ...]
    is_demo: bool = False
