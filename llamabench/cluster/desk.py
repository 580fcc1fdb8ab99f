"""A worker's own side: the model that it holds, and the tasks that the cluster carries to it.

Light to import, as `engine/worker.py` is: whoever deals chunks out names these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from llamabench.cluster.finding import find_file
from llamabench.cluster.job import Arrival, Items, Job, Note, Reply, find_like
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Asker, open_with_less
from llamabench.errors import EngineError
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planning import make_plan
from llamabench.opening import open_measured
from llamabench.records import Machine, ModelFacts, Plan, WorkerFacts


class Desk:
    """Where a worker's process holds a model in a child of its own, until a run needs another.

    What goes wrong with llama.cpp is got over here, by the same means as in a run on one machine.

    Args:
        name: What the worker is called.
        places: Files, and folders of files, where models are looked for first.
        tell: Told in words what is opened.
    """

    def __init__(self, name: str, places: Sequence[Path], tell: Callable[[str], None]):
        self.name = name
        self._places = tuple(places)
        self._tell = tell
        self._is_closed = False
        self._notes: list[Note] = []
        self._job: Job | None = None
        self._engine: Engine | None = None
        self._model: ModelFacts | None = None
        self._machine: Machine | None = None
        self._asker: Asker | None = None
        self._asked_plan: Plan | None = None
        self._plan: Plan | None = None

    def prepare(self, job: Job, known: Sequence[WorkerFacts]) -> Arrival:
        """Opens the model with a plan for this machine, or with that of a worker whose machine is like this one.

        Args:
            job: The run.
            known: Workers that take part already.

        Raises:
            LlamabenchError: The model is not here, is another, or cannot be opened.
        """
        engine = self._open(job)
        assert self._model is not None
        assert self._machine is not None
        model, machine = self._model, self._machine
        like = find_like(known, machine, model.fingerprint)
        if like is not None:
            plan = open_with_less(engine, like.plan, engine.open, note=self._note)
        else:
            plan = make_plan(model, machine, job.demand, overrides=job.overrides)
            if job.is_exact:
                plan = replace(plan, strategy="single")
            plan = open_with_less(
                engine,
                plan,
                lambda plan: open_measured(plan, model, machine, engine=engine, note=self._note),
                note=self._note,
            )
        return Arrival(WorkerFacts(self.name, model.fingerprint, machine, plan), self._take_notes())

    def answer(self, job: Job, plan: Plan, items: Items) -> Reply:
        """Asks a chunk; what cannot be answered is a failure in its place.

        Args:
            job: The run.
            plan: How to run the model.
            items: The requests of each item.

        Raises:
            EngineError: The engine cannot be brought back.
            LlamabenchError: The model is not here, or is another.
        """
        engine = self._open(job)
        if self._asker is None or plan != self._asked_plan:
            engine.use(plan)
            self._asker = Asker(engine, plan, note=self._note, replan=self._replan)
            self._asked_plan = self._plan = plan
        try:
            self._asker.submit(items)
            answers = self._asker.next()
        except EngineError:
            self._leave()
            raise
        assert self._plan is not None
        return Reply(answers, self._plan, self._take_notes())

    def close(self) -> None:
        """Ends the engine in the middle of its work; nothing can be asked afterwards."""
        self._is_closed = True
        self._leave()

    def _open(self, job: Job) -> Engine:
        if self._engine is not None and self._job == job:
            return self._engine
        self._leave()
        machine = read_machine()
        model = find_file(job.model, self._places, allows_other=job.allows_mixed)
        if machine.llama_cpp_commit != job.llama_cpp_commit and not job.allows_mixed:
            raise EngineError(
                f"llama.cpp is of commit {machine.llama_cpp_commit} there and {job.llama_cpp_commit} where the run was "
                "started: last digits would differ. Install the same llama-cpp-python, or allow it with --allow-mixed."
            )
        self._tell(f"Opening {model.path} for a run.")
        self._engine = Engine(
            model.path,
            chat_template=job.chat_template,
            system_prompt=job.system_prompt,
            watchdog_s=job.watchdog_s,
        )
        self._job, self._model, self._machine = job, model, machine
        return self._engine

    def _leave(self) -> None:
        engine, self._engine, self._job, self._asker, self._asked_plan = self._engine, None, None, None, None
        if engine is not None:
            engine.close(now=True)

    def _replan(self, plan: Plan) -> None:
        self._plan = plan

    def _note(self, kind: str, text: str) -> None:
        if self._is_closed:
            # an engine that was ended on purpose is not brought back
            raise EngineError("The worker has ended.")
        self._tell(text)
        self._notes.append(Note(kind, text))

    def _take_notes(self) -> tuple[Note, ...]:
        notes, self._notes = tuple(self._notes), []
        return notes


# --- tasks --------------------------------------------------------------------------------------

_desk: Desk | None = None


def sit_at(desk: Desk | None) -> None:
    """Says which desk the tasks of this process are done at."""
    global _desk
    _desk = desk


def prepare(job: Job, known: Sequence[WorkerFacts]) -> Arrival:
    """Opens the model of a run."""
    return _find_desk().prepare(job, known)


def answer(job: Job, plan: Plan, items: Items) -> Reply:
    """Asks a chunk."""
    return _find_desk().answer(job, plan, items)


def _find_desk() -> Desk:
    if _desk is None:
        raise EngineError("It is a plain Dask worker, which holds no model. Start it with: llamabench worker")
    return _desk
