"""What goes to workers and comes back from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llamabench.engine.recovery import Items
from llamabench.records import Answers, Demand, Machine, ModelFacts, Overrides, Plan, WorkerFacts


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where the workers of a run are found, and which of them may take part.

    Attributes:
        scheduler: Address of the Dask scheduler, `tcp://HOST:PORT` or `tls://HOST:PORT`.
        allows_mixed: Whether workers may take part whose model file or build of llama.cpp is another.
        wait_s: Seconds to wait where no worker is there.
    """

    scheduler: str
    allows_mixed: bool = False
    wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to know of a run.

    Attributes:
        model: The model; its path is that of the machine that the run was started on.
        llama_cpp_commit: Commit of llama.cpp on that machine.
        demand: What the run needs of a context.
        overrides: What a person has decided of the plans.
        chat_template: Template to use instead of the file's.
        system_prompt: System message of conversations that have none of their own.
        is_exact: Whether sequences are scored one at a time.
        watchdog_s: Seconds that a decode may take, 0 for any time, None for what is generous.
        allows_mixed: Whether another model file of the same name, or another build of llama.cpp, will do.
    """

    model: ModelFacts
    llama_cpp_commit: str
    demand: Demand
    overrides: Overrides
    chat_template: str | None = None
    system_prompt: str | None = None
    is_exact: bool = False
    watchdog_s: float | None = None
    allows_mixed: bool = False


class Note(NamedTuple):
    """Something that a worker got over: its kind, and what it was in words."""

    kind: str
    text: str


class Arrival(NamedTuple):
    """A worker that has opened the model, and what it got over."""

    facts: WorkerFacts
    notes: tuple[Note, ...]


class Reply(NamedTuple):
    """The answers to a chunk, the plan in use at its end, and what the worker got over."""

    answers: Answers
    plan: Plan
    notes: tuple[Note, ...]


def find_like(known: Sequence[WorkerFacts], machine: Machine, fingerprint: str) -> WorkerFacts | None:
    """The first worker whose machine and model file are like these, so that its plan gives the same numbers there."""
    return next(
        (one for one in known if one.fingerprint == fingerprint and _kind_of(one.machine) == _kind_of(machine)), None
    )


def _kind_of(machine: Machine) -> tuple[object, ...]:
    devices = [(device.backend, device.description, device.total_bytes) for device in machine.devices]
    return (
        machine.cpu,
        machine.n_performance_cores,
        machine.ram_total_bytes,
        machine.llama_cpp_commit,
        machine.backends,
        devices,
    )


__all__ = ["Arrival", "ClusterOptions", "Items", "Job", "Note", "Reply", "find_like"]
