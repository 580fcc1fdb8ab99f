"""Judges stored answers: a finished run, another model, and scores that rest on what it says. Nothing is generated."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from llamabench import __version__
from llamabench.asking import AskedItem, ask_chunks
from llamabench.demand import measure_demand
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Asker, Note, open_with_less
from llamabench.errors import LlamabenchError, UnknownNameError
from llamabench.hardware.gguf import chat_template, read_header, read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.planning import make_plan
from llamabench.opening import open_measured
from llamabench.records import (
    Item,
    JudgeFacts,
    Judgement,
    JudgeQuestion,
    Machine,
    ModelFacts,
    Overrides,
    Plan,
    Request,
    Result,
    ScoreResult,
)
from llamabench.results.judges import StoredJudge
from llamabench.results.store import Run
from llamabench.scorers.judge_formats import JUDGE_FORMATS, JudgeFormat, guess_format
from llamabench.selection import cut_chunks
from llamabench.suite_runs import summarise_judged
from llamabench.suites import SUITES
from llamabench.suites.base import Suite, ask_no_more, find_fault


class Progress(Protocol):
    """Told how judging goes."""

    def begin_judge(self, run: Run, judge: JudgeFacts) -> None:
        """The judge is opened and about to be asked."""

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """Items were judged; speed in decoded tokens per second, None when none were decoded now."""

    def note(self, text: str) -> None:
        """Something went wrong and was got over."""


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What a person asked for.

    Attributes:
        judge: The judge's GGUF file.
        format: Name in `JUDGE_FORMATS`; None for what the file says of itself.
        suites: Suites whose answers are judged; none for all that a judge can say something about.
        aspects: What to ask; nothing for all that suites and format have in common.
        chat_template: Template to use instead of the file's, where the format brings none.
        watchdog_s: Seconds that a decode may take, 0 for any time, None for what is generous on this machine.
        overrides: What is decided of the plan.
    """

    judge: Path
    format: str | None = None
    suites: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()
    chat_template: str | None = None
    watchdog_s: float | None = None
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class _Task:
    """A suite of a run, and what a judge is asked about its answers."""

    stored: Run
    suite: Suite
    format: JudgeFormat
    aspects: tuple[str, ...]

    def items(self) -> Iterator[Item]:
        """The stored items that have answers, as what a judge is asked about them."""
        for row in self.stored.rows(self.suite.NAME):
            questions = [one for one in self.suite.ask_judge(row) if one.aspect in self.aspects]
            if questions:
                asked = tuple(one for requests in self._ask(row.id, questions) for one in requests)
                yield Item(row.id, row.group, row.cluster, asked, {"questions": [asdict(one) for one in questions]})

    def _ask(self, item: str, questions: Sequence[JudgeQuestion]) -> list[tuple[Request, ...]]:
        return [self.format.ask(one, f"{item}?{number}") for number, one in enumerate(questions)]

    def read(self, asked: AskedItem) -> list[Judgement]:
        """What the judge said, question by question."""
        facts = asked.item.facts["questions"]
        assert isinstance(facts, list)
        questions = [JudgeQuestion(**one) for one in facts]  # type: ignore[arg-type]
        results = iter(asked.results)
        return [
            self._read(question, requests, [next(results) for _ in requests])
            for question, requests in zip(questions, self._ask(asked.item.id, questions), strict=True)
        ]

    def _read(self, question: JudgeQuestion, requests: Sequence[Request], results: Sequence[Result]) -> Judgement:
        fault = find_fault(requests, results)
        if fault is not None:
            return Judgement(question.aspect, question.number, "errored", error=fault)
        verdict = self.format.read(question, [one for one in results if isinstance(one, ScoreResult)])
        found = Judgement(
            question.aspect, question.number, "scored", verdict=verdict.name, value=verdict.value, mass=verdict.mass
        )
        if verdict.is_clear:
            return found
        error = f"The judge did not answer as {self.format.name}: its verdicts have {verdict.mass:.2g} of the weight."
        return replace(found, outcome="unparsed", error=error)


def judge_run(folder: Path, options: JudgeOptions, progress: Progress) -> Run:
    """Has a model judge the answers of a finished run, or goes on where that was cut short, and stores the scores.

    Args:
        folder: The run's own folder.
        options: The judge, and what it is asked.
        progress: Told how it goes.

    Returns:
        The run, open.

    Raises:
        LlamabenchError: With what was judged before still there, and the same command going on from it.
    """
    model, format_ = find_judge(options.judge, options.format)
    stored = Run(folder)
    stored.claim()

    def note(kind: str, text: str) -> None:
        stored.add_event(kind, f"While answers were judged: {text}")
        progress.note(text)

    try:
        if not stored.is_finished:
            raise LlamabenchError(f"The run in {folder} is not finished. Go on with it by its own command first.")
        tasks = _choose(stored, format_, options)
        template = format_.chat_template or options.chat_template
        with Engine(model.path, chat_template=template, watchdog_s=options.watchdog_s) as engine:
            setting = _read_setting(tasks, options, model, engine.template_sha256())
            judge = _open_judge(stored, tasks, setting, engine=engine, note=note)
            progress.begin_judge(stored, judge.facts)
            asker = _make_asker(stored, judge, setting.key, engine=engine, note=note)
            for task in tasks:
                _judge_suite(task, judge, asker, progress)
        stored.finish_judge(judge.number)
        for task in tasks:
            summarise_judged(stored, task.suite)
    except BaseException:
        stored.close()
        raise
    return stored


# --- who judges what ----------------------------------------------------------------------------


def find_judge(path: Path, format_name: str | None, *, option: str = "--format") -> tuple[ModelFacts, JudgeFormat]:
    """The judge, and the format it is asked in: the one that is named, or what its file says of itself.

    Args:
        path: The judge's GGUF file.
        format_name: Name in `JUDGE_FORMATS`; None for what the file says.
        option: What a person names a format with.

    Raises:
        ModelFileError: The file cannot be read.
        UnknownNameError: No format is called that; a near match is offered.
        LlamabenchError: The file does not say which format it is for.
    """
    if format_name is not None and format_name not in JUDGE_FORMATS:
        raise UnknownNameError.for_name("format", format_name, JUDGE_FORMATS)
    model = read_model(path)
    found = format_name or guess_format([model.name, path.stem], chat_template(read_header(path)))
    if found is None:
        raise LlamabenchError(
            f"{path.name} does not say how it wants to be asked. Name its format with {option}: "
            f"{', '.join(JUDGE_FORMATS)}; rubric is for any instruction model."
        )
    return model, JUDGE_FORMATS[found]


def check_suites(names: Sequence[str], format_: JudgeFormat, *, aspects: Sequence[str] = ()) -> None:
    """Refuses a judge that has nothing to say.

    Args:
        names: Suites that were run or are to be.
        format_: How the judge is asked.
        aspects: What a person wants it to be asked; nothing for all.

    Raises:
        UnknownNameError: An aspect is not known.
        LlamabenchError: The judge cannot be asked anything about any of the suites.
    """
    every = dict.fromkeys(aspect for name in SUITES for aspect in _aspects_of(name))
    for aspect in aspects:
        if aspect not in every:
            raise UnknownNameError.for_name("question for a judge", aspect, every)
    if any(_find_common(name, format_, aspects) for name in names):
        return
    can_ask = (*format_.aspects, *format_.on_request)
    known = [f"{name} ({', '.join(found)})" for name in SUITES if (found := _find_common(name, format_, can_ask))]
    raise LlamabenchError(
        f"A judge of the format {format_.name} has nothing to say about {', '.join(names)}"
        f"{' that was asked for' if aspects else ''}. It is of use for: {'; '.join(known)}. "
        f"Other formats: {', '.join(name for name in JUDGE_FORMATS if name != format_.name)}."
    )


def _aspects_of(suite: str) -> tuple[str, ...]:
    metrics = SUITES[suite].JUDGE_METRICS if suite in SUITES else {}
    return tuple(dict.fromkeys(aspect for aspects in metrics.values() for aspect in aspects))


def _find_common(suite: str, format_: JudgeFormat, wanted: Sequence[str]) -> tuple[str, ...]:
    """What a judge can be asked about a suite, and is to be."""
    if not wanted:
        return tuple(aspect for aspect in _aspects_of(suite) if aspect in format_.aspects)
    can_ask = {*format_.aspects, *format_.on_request} & set(wanted)
    return tuple(aspect for aspect in _aspects_of(suite) if aspect in can_ask)


def _choose(stored: Run, format_: JudgeFormat, options: JudgeOptions) -> list[_Task]:
    """The suites that a judge is asked about.

    Raises:
        UnknownNameError: A suite that is named was not run.
        LlamabenchError: There is nothing to judge.
    """
    choices = {choice.name: choice for choice in stored.info.suites}
    for name in options.suites:
        if name not in choices:
            raise UnknownNameError.for_name("suite in this run", name, choices)
    names = options.suites or tuple(choices)
    check_suites(names, format_, aspects=options.aspects)
    tasks = []
    for name in names:
        aspects = _find_common(name, format_, options.aspects)
        if not aspects:
            continue
        if choices[name].version != SUITES[name].VERSION:
            raise LlamabenchError(
                f"{name} was run in version {choices[name].version}, and is version {SUITES[name].VERSION} here. "
                "Run it again, or leave it out with --suite."
            )
        tasks.append(_Task(stored, SUITES[name], format_, aspects))
    if not any(next(task.items(), None) for task in tasks):
        raise LlamabenchError(f"The run in {stored.folder} holds no answer that a {format_.name} judge could read.")
    return tasks


# --- asking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Setting:
    """All that decides what a judge says, beside the answers and its plan."""

    model: ModelFacts
    format: str
    template_sha256: str | None
    machine: Machine
    overrides: Overrides
    aspects: Mapping[str, tuple[str, ...]]

    @property
    def key(self) -> str:
        """Digest that tells this judge from others."""
        devices = [device.description for device in self.machine.devices if device.backend != "RPC"]
        parts = [
            __version__,
            self.model.fingerprint,
            self.format,
            self.template_sha256,
            # another processor, device or build of llama.cpp gives other last digits: verdicts are not mixed
            [self.machine.cpu, self.machine.llama_cpp_commit, *devices],
            asdict(self.overrides),
            dict(self.aspects),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _read_setting(tasks: Sequence[_Task], options: JudgeOptions, model: ModelFacts, template: str | None) -> _Setting:
    format_ = tasks[0].format
    if format_.needs_template and template is None:
        raise LlamabenchError(
            f"{options.judge} holds no chat template, and {format_.name} asks through one. "
            "Take an instruction model, or give a template with --chat-template."
        )
    machine = read_machine(rpc_servers=options.overrides.rpc_servers)
    aspects = {task.suite.NAME: task.aspects for task in tasks}
    return _Setting(model, format_.name, template, machine, options.overrides, aspects)


def _open_judge(
    stored: Run, tasks: Sequence[_Task], setting: _Setting, *, engine: Engine, note: Note
) -> StoredJudge[JudgeFacts]:
    """The judge as it was opened before, or planned and opened now."""
    judge = stored.find_judge(setting.key, JudgeFacts)
    if judge is not None:
        return judge
    model, machine = setting.model, setting.machine
    demand = measure_demand((item for task in tasks for item in task.items()), engine.count_tokens)
    plan = make_plan(model, machine, demand, overrides=setting.overrides)
    plan = open_with_less(
        engine, plan, lambda plan: open_measured(plan, model, machine, engine=engine, note=note), note=note
    )
    facts = JudgeFacts(
        model, setting.format, setting.template_sha256, plan, machine.llama_cpp_commit, dict(setting.aspects)
    )
    return stored.save_judge(setting.key, facts)


def _make_asker(stored: Run, judge: StoredJudge[JudgeFacts], key: str, *, engine: Engine, note: Note) -> Asker:
    facts = judge.facts

    def replan(plan: Plan) -> None:
        # judging goes on with it, also when it is resumed
        stored.save_judge(key, replace(facts, plan=replace(plan, strategy=facts.plan.strategy)))

    engine.use(facts.plan)
    return Asker(engine, facts.plan, note=note, replan=replan)


def _judge_suite(task: _Task, judge: StoredJudge[JudgeFacts], asker: Asker, progress: Progress) -> None:
    stored, name = task.stored, task.suite.NAME
    done = stored.judged_ids(judge.number, name)
    n_total = sum(1 for _ in task.items())
    chunks = (
        (0, items)
        for items in cut_chunks(task.items(), judge.facts.plan.chunk_tokens)
        if any(item.id not in done for item in items)
    )
    title = f"answers of {name}"
    progress.advance(title, n_done=len(done), n_total=n_total, tokens_per_s=None)
    started = time.perf_counter()
    for chunk in ask_chunks(chunks, asker, ask_no_more):
        said = {asked.item.id: task.read(asked) for asked in chunk.items}
        stored.save_judgements(judge.number, name, said)
        seconds, started = time.perf_counter() - started, time.perf_counter()
        done |= said.keys()
        progress.advance(title, n_done=len(done), n_total=n_total, tokens_per_s=chunk.n_decoded / max(seconds, 1e-9))
