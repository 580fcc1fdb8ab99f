"""Finds workers for a run, and keeps in the run who took part and what happened to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llamabench.cluster.connecting import DaskLink
from llamabench.cluster.crew import Crew, Tell
from llamabench.cluster.job import ClusterOptions, Job
from llamabench.records import WorkerFacts
from llamabench.results.store import Run


def connect(options: ClusterOptions, *, tell: Tell) -> Crew:
    """Connects to a scheduler; whoever is at work there is not known yet.

    Args:
        options: The cluster.
        tell: Told what happens until there is a run to keep it in.

    Raises:
        MissingPackageError: Dask is not installed.
        EngineError: The scheduler cannot be reached, or is of another version.
    """
    return Crew(DaskLink(options.scheduler), options, tell=tell)


def hire(crew: Crew, stored: Run, job: Job, *, note: Callable[[str], None]) -> None:
    """Has workers open the model of a run. A new run takes its machine and plan from the fastest.

    Args:
        crew: The workers.
        stored: The run; workers that took part before are known by it.
        job: What workers need to know.
        note: Told what happens to them from now on.

    Raises:
        EngineError: No worker came in time, or none may take part.
    """

    def tell(kind: str, text: str) -> None:
        stored.add_event(kind, text)
        note(text)

    def enlist(workers: tuple[WorkerFacts, ...]) -> None:
        first = workers[0]
        stored.replace_info(replace(stored.info, machine=first.machine, plan=first.plan, workers=workers))

    crew.tell, crew.enlist = tell, enlist
    known = stored.info.workers
    crew.hire(job, known, stored.info.plan if known else None)
