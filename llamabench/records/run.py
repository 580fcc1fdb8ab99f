"""What a run is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from llamabench.records.planning import Machine, ModelFacts, Plan


@dataclass(frozen=True, slots=True)
class ScorerFacts:
    """A built-in scorer of generated texts.

    Attributes:
        name: What it scores.
        sha256: Digest of its weights.
        agreement: How well it agrees with people, in a sentence.
    """

    name: str
    sha256: str
    agreement: str


@dataclass(frozen=True, slots=True)
class SuiteChoice:
    """One suite as a run uses it.

    Attributes:
        name: Name in `SUITES`.
        version: Version of the suite's code; scores of different versions are not comparable.
        edition: Edition of its data, `starter` for the items that ship with llamabench.
        n_items: Items chosen.
        n_available: Items in the edition.
        data_sha256: Digest over the edition's files.
        winners_only: Whether only the likeliest continuation of each request was asked for, so that those which could
            not win any more were left; the metrics that need all are not there.
        scorers: Scorers of what the model wrote.
        settings: What decides its items beside the data, by name; nothing where the data say all.
        system_prompt: System message of its conversations that have none of their own; None for none, and where it asks
            no conversations.
    """

    name: str
    version: int
    edition: str
    n_items: int
    n_available: int
    data_sha256: str
    winners_only: bool = False
    scorers: tuple[ScorerFacts, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    system_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ReferenceFacts:
    """A model that was asked the same, to compare with: the model, and the run that asked it."""

    model: ModelFacts
    run_id: str


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker of a cluster that takes part in a run.

    Attributes:
        name: What it is called.
        fingerprint: Digest of its model file, the run's own unless another was allowed.
        machine: Its machine, with its build of llama.cpp.
        plan: How it runs the model; the sizes of packs and chunks are the run's.
    """

    name: str
    fingerprint: str
    machine: Machine
    plan: Plan


@dataclass(frozen=True, slots=True)
class Budget:
    """What ends a run before all its items are done; None ends nothing.

    Attributes:
        time_s: Seconds that the run may take, earlier sessions included.
        precision: Half the width of a suite's first score's 95 % interval that is narrow enough, as a ratio.
    """

    time_s: float | None = None
    precision: float | None = None


EndReason = Literal["time", "precision"]
"""Why a suite ended before all its items were done."""


@dataclass(frozen=True, slots=True)
class SuiteEnd:
    """A suite that ended before all its items were done."""

    suite: str
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a suite that is under way.

    Attributes:
        metric: Its first score, None where that has no interval that may be looked at again and again.
        low: Lower end of that interval, None where there is none.
        high: Upper end.
        seconds_left: Seconds until the suite ends, about; None where that is not known yet.
    """

    metric: str | None = None
    low: float | None = None
    high: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run is: enough to repeat it, to resume it and to know what its scores may be compared with.

    Attributes:
        id: Short digest of all that decides the results; the same command gives the same.
        created: Start, ISO 8601 with time zone.
        llamabench: Version.
        model: The model.
        machine: The machine.
        plan: The plan.
        suites: What is run, in order.
        limit: Items per suite asked for, None for all.
        seed: Seed of every random choice.
        use_chat: Whether conversations go through the model's chat template.
        chat_template_sha256: Digest of that template, None where none is used.
        is_demo: Whether the model is one of the demo models that come with llamabench, toys all of them.
        reference: The model that it is compared with, None where there is none or it was not asked yet.
        budget: What may end it early, None for nothing; with one, items are run in random order, each group alike.
        ends: Suites that it ended before all their items were done.
        workers: Workers of a cluster that took part, one again when its plan changed; none where the run was asked on
            one machine. Machine and plan are those of the fastest at the start.
    """

    id: str
    created: str
    llamabench: str
    model: ModelFacts
    machine: Machine
    plan: Plan
    suites: tuple[SuiteChoice, ...]
    limit: int | None
    seed: int
    use_chat: bool
    chat_template_sha256: str | None
    is_demo: bool = False
    reference: ReferenceFacts | None = None
    budget: Budget | None = None
    ends: tuple[SuiteEnd, ...] = ()
    workers: tuple[WorkerFacts, ...] = ()

    @property
    def system_prompt(self) -> str | None:
        """The system message of conversations that have none of their own; None for none, and where none are asked."""
        return next((choice.system_prompt for choice in self.suites if choice.system_prompt is not None), None)


@dataclass(frozen=True, slots=True)
class ChunkTiming:
    """How long a chunk of a suite's items took, in seconds."""

    suite: str
    seconds: float
    n_items: int


@dataclass(frozen=True, slots=True)
class Audit:
    """How a suite's scores compare with the same items scored one sequence at a time.

    Attributes:
        suite: The suite.
        n_items: Items scored again.
        n_failed: Items among them that gave no number this time or the first.
        n_continuations: Continuations compared.
        largest_difference: Largest difference of a continuation's log-probability, in nats; None when none compared.
        largest_per_token: The same divided by the continuation's tokens.
        worst_item: Id of the item that it is in.
        n_changed: Items whose answer changed.
        changed_items: Ids of the first of them.
    """

    suite: str
    n_items: int
    n_failed: int
    n_continuations: int
    largest_difference: float | None
    largest_per_token: float | None
    worst_item: str | None
    n_changed: int
    changed_items: tuple[str, ...] = ()
