"""Plan, ask, score, store, resume: how a run goes. Knows no suite by name."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from llamabench import __version__, selection
from llamabench.asking import ChunkAsker
from llamabench.auditing import audit_suite
from llamabench.benching import bench_run
from llamabench.budget import Watch
from llamabench.cluster.crew import Crew
from llamabench.cluster.dealing import Dealer
from llamabench.cluster.hiring import connect, hire
from llamabench.cluster.job import Job
from llamabench.data.cache import Dataset
from llamabench.data.own_tests import find_with_tests, takes_tests
from llamabench.demand import measure_demand
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.engine.recovery import Asker, open_with_less
from llamabench.errors import EngineError, LlamabenchError, ServerError, StoreError, UnknownNameError
from llamabench.hardware.gguf import chat_template, read_header, read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.planning import make_plan
from llamabench.opening import open_measured
from llamabench.records import (
    Demand,
    Machine,
    ModelFacts,
    Plan,
    RunInfo,
    StrategyName,
    SuiteChoice,
)
from llamabench.reference import find_reference, read_fingerprint, take_reference
from llamabench.results.folders import find_folders, name_folders
from llamabench.results.store import Run, holds_run, now
from llamabench.resuming import drop_parts, find_unfinished, refuse_changed_model
from llamabench.run_options import RunOptions, refuse_what_is_useless
from llamabench.selection import Task
from llamabench.suite_runs import Progress, run_suites, summarise_suite
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

__all__ = ["RunOptions", "find_suite", "run"]


def run(options: RunOptions, progress: Progress) -> Run:
    """Runs suites on a model, or goes on with a run that was cut short.

    Returns:
        The finished run, open.

    Raises:
        LlamabenchError: With what was stored before still there, and the same command going on from it.
    """
    began = time.perf_counter()
    found = _find_suites(options)
    refuse_what_is_useless(options, [suite for suite, _ in found])
    stored = _score(options, found, progress, began=began)
    try:
        if options.reference is not None:
            _add_reference(stored, options, progress)
        stored.finish()
    except BaseException:
        stored.close()
        raise
    return stored


def _score(options: RunOptions, found: Sequence[tuple[Suite, Dataset]], progress: Progress, *, began: float) -> Run:
    """Asks the model everything; all but the last word of the run, which is the caller's."""
    model = read_model(options.model)
    with contextlib.ExitStack() as opened:
        crew = None
        if options.cluster is not None:
            crew = opened.enter_context(connect(options.cluster, tell=lambda _, text: progress.note(text)))
        engine = opened.enter_context(_open_engine(options, model))
        template = engine.template_sha256() if options.use_chat is not False else None
        if options.use_chat and template is None:
            raise EngineError(f"{options.model} holds no chat template, so --chat is not possible without one.")
        use_chat = template is not None
        tasks = [_choose(suite, dataset, options, use_chat=use_chat) for suite, dataset in found]
        if options.system_prompt is not None and not any(task.system_prompt for task in tasks):
            progress.note("The system prompt plays no part: these suites ask no conversations.")
        setting = _Setting(model, *_look_around(options.overrides.rpc_servers), template)
        told: list[str] = []
        stored = _open_run(options, setting, tasks, engine=engine, say=told.append)
        try:
            if crew is not None:
                hire(crew, stored, _describe_job(options, setting, tasks, engine=engine), note=progress.note)
            progress.begin(stored)
            for text in told:
                progress.note(text)
            if options.is_benched:
                bench_run(stored, engine, say=progress.note)
            workplace = crew or engine
            asker = _make_asker(stored, workplace, progress)
            watch = Watch(time.perf_counter, began - sum(stored.timings().values()), options.budget)
            run_suites(stored, tasks, asker, progress, watch=watch)
            if options.n_audited:
                exact = _make_asker(stored, workplace, progress, strategy="single")
                for task in tasks:
                    audit_suite(stored, task, exact, options.n_audited, advance=progress.advance)
        except BaseException:
            stored.close()
            raise
    return stored


def _open_engine(options: RunOptions, model: ModelFacts) -> Engine:
    return Engine(
        model.path,
        chat_template=options.chat_template,
        system_prompt=options.system_prompt,
        watchdog_s=options.watchdog_s,
    )


def find_suite(
    name: str, tests: Sequence[Path] = (), configured: Mapping[str, Suite] | None = None
) -> tuple[Suite, Dataset]:
    """The suite and data that `NAME` or `NAME:EDITION` means, with tests of a person's own where the suite takes them.

    Args:
        name: The name.
        tests: Files of tests of a person's own.
        configured: Suites in place of those of the same name in `SUITES`.

    Raises:
        UnknownNameError: There is no such suite or edition; a near match is offered.
        DataError: The edition is not imported, or a file of tests is missing.
    """
    suite_name, _, edition = name.partition(":")
    if suite_name not in SUITES:
        raise UnknownNameError.for_name("suite", suite_name, SUITES)
    suite = {**SUITES, **(configured or {})}[suite_name]
    return suite, find_with_tests(suite.DATA_SOURCES, edition or None, tests)


def _find_suites(options: RunOptions) -> list[tuple[Suite, Dataset]]:
    tests = options.tests
    found = [find_suite(name, tests, options.configured) for name in options.suites]
    chosen = [suite.NAME for suite, _ in found]
    twice = next((name for name in chosen if chosen.count(name) > 1), None)
    if twice is not None:
        # scores stand under the suite's name: two editions in one run could not be told apart
        raise LlamabenchError(f"{twice} is asked for twice. Run one edition of a suite at a time.")
    if tests and not any(takes_tests(suite.DATA_SOURCES) for suite, _ in found):
        able = ", ".join(name for name, suite in SUITES.items() if takes_tests(suite.DATA_SOURCES))
        raise LlamabenchError(f"--tests adds nothing to these suites. Run one that takes tests of your own: {able}.")
    return found


def _choose(suite: Suite, dataset: Dataset, options: RunOptions, *, use_chat: bool) -> Task:
    rng = np.random.default_rng([options.seed, *suite.NAME.encode()])
    choose = selection.choose_task if options.budget is None else selection.arrange_task
    task = choose(suite, dataset, limit=options.limit, rng=rng, use_chat=use_chat)
    task = replace(task, winners_only=options.winners_only and bool(suite.WINNER_METRICS))
    return task.with_system(options.system_prompt)


# --- starting or going on -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a run finds: the model, this machine, why servers are not part of it, and the chat template's digest."""

    model: ModelFacts
    machine: Machine
    absence: ServerError | None
    template: str | None


def _open_run(
    options: RunOptions,
    setting: _Setting,
    tasks: Sequence[Task],
    *,
    engine: Engine,
    say: Callable[[str], None],
) -> Run:
    model, machine = setting.model, setting.machine
    choices = tuple(task.choice for task in tasks)
    run_id = _run_id(options, setting, choices)
    label = options.name or Path(model.path).stem
    existing = list(itertools.takewhile(holds_run, name_folders(options.out, label, run_id)))
    budget = options.budget
    stored = None if options.resume is False else find_unfinished(existing, budget, say=lambda one: say(str(one)))
    if stored is None and options.resume is not False:
        _refuse_changed_model(options, setting, choices)
    if stored is None and options.resume:
        raise StoreError(f"There is no unfinished run of this command in {options.out}. Run without --resume.")
    if stored is None and options.resume is None and existing:
        say(_say_finished(existing[-1]))
    with contextlib.ExitStack() as undo:
        if stored is not None:
            undo.callback(stored.close)
            if stored.has_items:
                how = "went on with more of a budget" if stored.is_finished else "was cut short and went on"
                stored.reopen()
                drop_parts(stored, tasks)
                stored.replace_info(replace(stored.info, budget=options.budget, ends=()))
                stored.add_event("resumed", f"The run {how} from the last stored chunk.")
                undo.pop_all()
                return stored
        if setting.absence is not None:
            raise setting.absence
        plan = PLAIN_PLAN  # of a cluster, each worker makes its own
        if options.cluster is None:
            plan = make_plan(model, machine, _measure(tasks, engine), overrides=options.overrides)
        if options.is_exact:
            reason = "Every sequence is scored by itself, as asked for: slow, and nothing is shared."
            plan = replace(plan, strategy="single", reasons=(*plan.reasons, reason))
        info = RunInfo(
            id=run_id,
            created=now(),
            llamabench=__version__,
            model=model,
            machine=machine,
            plan=plan,
            suites=choices,
            limit=options.limit,
            seed=options.seed,
            use_chat=setting.template is not None,
            chat_template_sha256=setting.template,
            is_demo=options.is_demo,
            budget=options.budget,
        )
        if stored is None:
            # the folder is tried before the model is loaded: better to fail in the first second
            free = next(itertools.islice(name_folders(options.out, label, run_id), len(existing), None))
            stored = undo.enter_context(Run.create(free, info))
        if options.cluster is None:
            note = stored.add_event
            measured = open_with_less(
                engine, plan, lambda plan: open_measured(plan, model, machine, engine=engine, note=note), note=note
            )
            info = replace(info, plan=measured)
        stored.replace_info(info)
        undo.pop_all()
    return stored


def _say_finished(folder: Path) -> str:
    return f"A finished run of the same is in {folder}; this is a new one. To see that one: llamabench report {folder}"


def _measure(tasks: Sequence[Task], engine: Engine) -> Demand:
    return measure_demand((item for task in tasks for item in task.items()), engine.count_tokens)


def _describe_job(options: RunOptions, setting: _Setting, tasks: Sequence[Task], *, engine: Engine) -> Job:
    """What workers need to know of the run."""
    assert options.cluster is not None
    return Job(
        model=setting.model,
        llama_cpp_commit=setting.machine.llama_cpp_commit,
        demand=_measure(tasks, engine),
        overrides=options.overrides,
        chat_template=options.chat_template,
        system_prompt=options.system_prompt,
        is_exact=options.is_exact,
        watchdog_s=options.watchdog_s,
        allows_mixed=options.cluster.allows_mixed,
    )


def _look_around(rpc_servers: Sequence[str]) -> tuple[Machine, ServerError | None]:
    """The machine with its servers; where one is absent, without them, and why: a run under way may need none."""
    try:
        return read_machine(rpc_servers=rpc_servers), None
    except ServerError as exc:
        return read_machine(), exc


def _refuse_changed_model(options: RunOptions, setting: _Setting, choices: Sequence[SuiteChoice]) -> None:
    def is_same(info: RunInfo) -> bool:
        template = None if options.use_chat is False else info.chat_template_sha256
        return info.id == _run_id(options, replace(setting, model=info.model, template=template), choices)

    folders = find_folders(options.out, options.name or Path(setting.model.path).stem)
    refuse_changed_model(setting.model, folders, is_same)


def _run_id(options: RunOptions, setting: _Setting, choices: Sequence[SuiteChoice]) -> str:
    machine = setting.machine
    # another processor, device or build of llama.cpp gives other last digits: its answers are not mixed with these
    where = [machine.cpu, machine.llama_cpp_commit, *(d.description for d in machine.devices if d.backend != "RPC")]
    if options.cluster is not None:
        # workers come and go, and it is stored which of them answered what
        where = ["cluster", machine.llama_cpp_commit, *(["mixed"] if options.cluster.allows_mixed else [])]
    parts = [
        __version__,
        setting.model.fingerprint,
        where,
        [[c.name, c.version, c.edition, c.n_items, c.data_sha256] for c in choices],
        options.limit,
        options.seed,
        setting.template,
        [options.is_exact, options.n_audited],
        *([read_fingerprint(options.reference)] if options.reference is not None else []),
        # how large a budget is decides how far a run goes, not what it is: with more of it, it goes on
        *(["drawn"] if options.budget is not None else []),
        *(["winners only"] if any(choice.winners_only for choice in choices) else []),
        *(one.sha256 for choice in choices for one in choice.scorers),
        *(dict(choice.settings) for choice in choices if choice.settings),
        *([choice.name, choice.system_prompt] for choice in choices if choice.system_prompt is not None),
        *([asdict(options.overrides)] if options.overrides != NO_OVERRIDES else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


# --- asking -------------------------------------------------------------------------------------


def _make_asker(
    stored: Run, workplace: Engine | Crew, progress: Progress, *, strategy: StrategyName | None = None
) -> ChunkAsker:
    if isinstance(workplace, Crew):
        return Dealer(workplace, strategy)

    def note(kind: str, text: str) -> None:
        stored.add_event(kind, text)
        progress.note(text)

    def replan(plan: Plan) -> None:
        # the run goes on with it, also when it is resumed
        stored.replace_info(replace(stored.info, plan=replace(plan, strategy=stored.info.plan.strategy)))

    plan = replace(stored.info.plan, strategy=strategy or stored.info.plan.strategy)
    workplace.use(plan)
    return Asker(workplace, plan, note=note, replan=replan)


# --- a reference model --------------------------------------------------------------------------


def _add_reference(stored: Run, options: RunOptions, progress: Progress) -> None:
    """Asks the reference model the same, once the other one has left the memory, and scores them side by side."""
    assert options.reference is not None
    choices = [choice for choice in stored.info.suites if SUITES[choice.name].REFERENCE_METRICS]
    found = find_reference(options.reference, options.out, stored.info, choices)
    with found or run(_ask_the_same(options, stored.info, choices), progress) as reference:
        take_reference(stored, reference, choices)
    for choice in choices:
        summarise_suite(stored, SUITES[choice.name])


def _ask_the_same(options: RunOptions, info: RunInfo, choices: Sequence[SuiteChoice]) -> RunOptions:
    assert options.reference is not None
    template = options.chat_template or chat_template(read_header(options.model))
    return replace(
        options,
        model=options.reference,
        suites=tuple(f"{choice.name}:{choice.edition}" for choice in choices),
        resume=None,
        use_chat=info.use_chat,
        chat_template=template if info.use_chat else None,  # the same text, or there is nothing to compare
        is_demo=options.is_demo and options.reference == options.model,
        n_audited=0,
        is_benched=False,
        reference=None,
    )
