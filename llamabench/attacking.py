"""Has another model write attacks: it and the model under test take turns, one in memory at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from llamabench import __version__
from llamabench.asking import ask_chunks
from llamabench.data.cache import Dataset
from llamabench.demand import measure_demand
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Asker
from llamabench.errors import LlamabenchError, StoreError
from llamabench.hardware.gguf import read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.planning import make_plan
from llamabench.records import (
    Attack,
    AttackTarget,
    AttackVerdict,
    ChatPrompt,
    Failure,
    GenerateRequest,
    GenerateResult,
    Item,
    Message,
    Overrides,
    Result,
    Sampling,
)
from llamabench.results import codec
from llamabench.results.file import say_reason
from llamabench.selection import cut_chunks
from llamabench.suites.base import ask_no_more
from llamabench.suites.conversation import TRANSCRIPT_STOPS, make_prompt, strip_reasoning
from llamabench.suites.redteam.pair import (
    ATTACKER_STOPS,
    BEST_MARK,
    PAIR,
    PairStep,
    ask_attacker,
    make_attack,
    mark_answer,
    read_prompt,
)
from llamabench.suites.redteam.suite import Attacker, RedTeam

Judge = Callable[[str, str, str], AttackVerdict | None]
"""Says what an answer is, given the request, the prompt and the answer; None where it cannot be judged."""

_MOST_TOGETHER = 64
"""Attacks that are written, or answered, and kept together."""

_N_TRIES = 3
"""Answers of the attacker of which the first readable one counts. The paper asks up to five times."""

ATTACKER_TEMPERATURE, ATTACKER_TOP_P = 1.0, 0.9
"""How the attacker draws. Source: Chao et al. 2023, section 4."""

_SHOWN = 80
"""Characters of an attacker's answer that an error quotes."""


class Progress(Protocol):
    """Told how it goes."""

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """Attacks were written or answered; speed in tokens written per second."""

    def note(self, text: str) -> None:
        """Something went wrong and was got over."""


@dataclass(frozen=True, slots=True)
class AttackerOptions:
    """What a person asked for.

    Attributes:
        attacker: The attacker's GGUF file, an instruction model.
        subject: The GGUF file of the model under test.
        folder: Folder that keeps what was written.
        n_rounds: Prompts that the attacker writes for each target, at most.
        seed: Seed of the attacker's draws.
        max_tokens: Tokens of an answer of the model under test.
        attacker_tokens: Tokens of an answer of the attacker.
        use_chat: Whether the model under test is asked through its chat template; None when it has one.
        chat_template: Template of the model under test to use instead of its file's.
        system_prompt: System message of what the model under test is asked; None for none.
        attacker_template: The same of the attacker.
        watchdog_s: Seconds that a decode may take, 0 for any time, None for what is generous on this machine.
        overrides: What is decided of the plans.
    """

    attacker: Path
    subject: Path
    folder: Path
    n_rounds: int = 3
    seed: int = 0
    max_tokens: int = 256
    attacker_tokens: int = 500
    use_chat: bool | None = None
    chat_template: str | None = None
    system_prompt: str | None = None
    attacker_template: str | None = None
    watchdog_s: float | None = None
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class WrittenAttack:
    """An attack that another model wrote, and how: one without a readable prompt has no tries."""

    attack: Attack
    steps: tuple[PairStep, ...]

    @property
    def error(self) -> str | None:
        """Why there is nothing to ask; None where there is."""
        return None if self.attack.attempts else self.steps[-1].error


def write_attacks(
    options: AttackerOptions, targets: Sequence[AttackTarget], judge: Judge, progress: Progress
) -> list[WrittenAttack]:
    """Has the attacker write prompts for each target, or goes on where that was cut short.

    In each round it writes for all targets, then the model under test answers all; the prompts of the last round are
    left to the run. An attack that got an answer in full is not improved on.

    Args:
        options: The two models, and how they are asked.
        targets: What is to be got, each once.
        judge: Judges the answers.
        progress: Told how it goes.

    Returns:
        One attack for each target, in order.

    Raises:
        ModelFileError: A file cannot be read.
        EngineError: A model cannot be opened or brought back.
        StoreError: What was written cannot be kept.
        LlamabenchError: The attacker has no chat template.
    """
    work = _Work(options, _Notes(_name_notes(options, targets), targets), judge, progress)
    for number in range(options.n_rounds):
        goes_on = [target for target in targets if not _is_won(work.notes.steps[target.id])]
        unwritten = [target for target in goes_on if len(work.notes.steps[target.id]) == number]
        if unwritten:
            work.write(unwritten, number)
        unanswered = [target for target in goes_on if _wants_answer(work.notes.steps[target.id], number)]
        if unanswered and number + 1 < options.n_rounds:
            work.answer(unanswered, number)
    found = ((target, work.notes.steps[target.id]) for target in targets)
    return [WrittenAttack(make_attack(target, steps), tuple(steps)) for target, steps in found]


def add_written(
    suite: RedTeam, dataset: Dataset, options: AttackerOptions, *, judge: Judge, progress: Progress
) -> RedTeam:
    """The suite with the attacks in it that the attacker writes for those of its targets that are to have one.

    Raises:
        LlamabenchError: As `write_attacks`.
    """
    facts = describe_attacker(options)
    planned = RedTeam(suite.options, suite.techniques, attacker=Attacker(facts)).plan(dataset)
    targets = {attack.target.id: attack.target for attack in planned if attack.technique == PAIR.name}
    written = {one.attack.target.id: one for one in write_attacks(options, list(targets.values()), judge, progress)}
    attacker = Attacker(
        facts,
        attempts={name: one.attack.attempts for name, one in written.items()},
        errors={name: one.error for name, one in written.items() if one.error is not None},
    )
    return RedTeam(suite.options, suite.techniques, attacker=attacker)


def describe_attacker(options: AttackerOptions) -> dict[str, str]:
    """What of the attacker decides the attacks, by name: for settings and signatures.

    Raises:
        ModelFileError: Its file cannot be read.
    """
    model = read_model(options.attacker)
    return {
        "attacker": f"{model.name} {model.quant}",
        "attacker_sha256": model.fingerprint,
        "attacker_rounds": str(options.n_rounds),
        "attacker_tokens": str(options.attacker_tokens),
    }


def _is_won(steps: Sequence[PairStep]) -> bool:
    return bool(steps) and steps[-1].mark == BEST_MARK


def _wants_answer(steps: Sequence[PairStep], number: int) -> bool:
    return len(steps) == number + 1 and steps[-1].error is None and steps[-1].answer is None


# --- what is kept -------------------------------------------------------------------------------


def _name_notes(options: AttackerOptions, targets: Sequence[AttackTarget]) -> Path:
    """The file that belongs to these models, targets and options."""
    attacker, subject = read_model(options.attacker), read_model(options.subject)
    parts = [
        __version__,
        [attacker.fingerprint, options.attacker_template],
        [subject.fingerprint, options.chat_template, options.use_chat],
        *([options.system_prompt] if options.system_prompt is not None else []),
        [options.n_rounds, options.seed, options.max_tokens, options.attacker_tokens],
        [asdict(target) for target in targets],
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
    return options.folder / f"attacks-by-{options.attacker.stem}-{digest}.json"


class _Notes:
    """The rounds of each attack, kept in a file.

    Args:
        path: The file; made when there is something to keep.
        targets: What the attacks are to get.

    Raises:
        StoreError: The file is there and cannot be read.
    """

    def __init__(self, path: Path, targets: Sequence[AttackTarget]):
        self._path = path
        self.steps: dict[str, list[PairStep]] = {target.id: [] for target in targets}
        try:
            kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            found = codec.decode(dict[str, tuple[PairStep, ...]], kept)
        except (OSError, ValueError) as exc:
            raise StoreError(
                f"{path}, which keeps what the attacker wrote, cannot be read: {say_reason(exc)}. "
                "Move it away to have the attacks written again."
            ) from exc
        self.steps |= {name: list(steps) for name, steps in found.items()}

    def keep(self) -> None:
        """Writes all to the file, whole or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(codec.encode(self.steps), indent=1), encoding="utf-8")
            os.replace(unfinished, self._path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise StoreError(f"What the attacker wrote cannot be kept in {self._path}: {say_reason(exc)}.") from exc


# --- asking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Work:
    """Writes and answers, and keeps what came of it."""

    options: AttackerOptions
    notes: _Notes
    judge: Judge
    progress: Progress

    def write(self, targets: Sequence[AttackTarget], number: int) -> None:
        """Has the attacker write the prompts of a round."""
        options = self.options
        with Engine(options.attacker, chat_template=options.attacker_template, watchdog_s=options.watchdog_s) as engine:
            if engine.template_sha256() is None:
                raise LlamabenchError(
                    f"The attacker {options.attacker} holds no chat template. "
                    "Take an instruction model: it has to understand what it is to write."
                )
            asked = {target.id: ask_attacker(target, self.notes.steps[target.id]) for target in targets}
            sampling = Sampling(
                options.attacker_tokens,
                ATTACKER_TEMPERATURE,
                top_p=ATTACKER_TOP_P,
                stop=ATTACKER_STOPS,
                seed=options.seed + number,
            )
            requests = [
                GenerateRequest(name, ChatPrompt((message,), prefill), sampling, n=_N_TRIES)
                for name, (message, prefill) in asked.items()
            ]

            def take(name: str, result: Result) -> None:
                self.notes.steps[name].append(_read_step(result, asked[name][1]))

            self._ask(engine, options.attacker, requests=requests, take=take, title=f"prompts, round {number + 1}")

    def answer(self, targets: Sequence[AttackTarget], number: int) -> None:
        """Has the model under test answer the prompts of a round."""
        options, named = self.options, {target.id: target for target in targets}
        with _open_subject(options) as engine:
            use_chat = options.use_chat is not False and engine.template_sha256() is not None
            sampling = Sampling(options.max_tokens, stop=() if use_chat else TRANSCRIPT_STOPS)
            requests = []
            for name in named:
                prompt = self.notes.steps[name][-1].prompt
                assert prompt is not None, "only what was written is answered"
                requests.append(
                    GenerateRequest(name, make_prompt([Message("user", prompt)], use_chat=use_chat), sampling)
                )

            def take(name: str, result: Result) -> None:
                step = self.notes.steps[name][-1]
                self.notes.steps[name][-1] = _add_answer(step, named[name], result, self.judge)

            self._ask(engine, options.subject, requests=requests, take=take, title=f"answers, round {number + 1}")

    def _ask(
        self,
        engine: Engine,
        model: Path,
        *,
        requests: Sequence[GenerateRequest],
        take: Callable[[str, Result], None],
        title: str,
    ) -> None:
        """Plans, asks, and keeps what was taken chunk by chunk."""
        items = [Item(request.id, "", request.id, (request,), {}) for request in requests]
        machine = read_machine(rpc_servers=self.options.overrides.rpc_servers)
        demand = measure_demand(items, engine.count_tokens)
        plan = make_plan(read_model(model), machine, demand, overrides=self.options.overrides)
        engine.use(plan)
        asker = Asker(engine, plan, note=lambda kind, text: self.progress.note(text), replan=lambda plan: None)
        n_done, started = 0, time.perf_counter()
        chunks = ((0, chunk) for chunk in cut_chunks(items, sys.maxsize, most_items=_MOST_TOGETHER))
        for chunk in ask_chunks(chunks, asker, ask_no_more):
            for asked in chunk.items:
                take(asked.item.id, asked.results[0])
            self.notes.keep()
            n_done += len(chunk.items)
            seconds, started = time.perf_counter() - started, time.perf_counter()
            speed = chunk.n_decoded / max(seconds, 1e-9)
            self.progress.advance(title, n_done=n_done, n_total=len(items), tokens_per_s=speed)


def _open_subject(options: AttackerOptions) -> Engine:
    return Engine(
        options.subject,
        chat_template=options.chat_template,
        system_prompt=options.system_prompt,
        watchdog_s=options.watchdog_s,
    )


def _read_step(result: Result, prefill: str) -> PairStep:
    if not isinstance(result, GenerateResult):
        return PairStep(None, error=f"The attacker could not be asked: {_say_fault(result)}")
    prompt = read_prompt(result.texts, prefill)
    if prompt is not None:
        return PairStep(prompt)
    return PairStep(None, error=f"No prompt can be read in what the attacker wrote: {result.texts[0].text!r:.{_SHOWN}}")


def _add_answer(step: PairStep, target: AttackTarget, result: Result, judge: Judge) -> PairStep:
    if not isinstance(result, GenerateResult):
        return replace(step, error=f"The model under test gave no answer: {_say_fault(result)}")
    assert step.prompt is not None, "it was answered"
    answer = strip_reasoning(result.texts[0].text)
    return replace(step, answer=answer, mark=mark_answer(judge(target.text, step.prompt, answer)))


def _say_fault(result: Result) -> str:
    return result.message if isinstance(result, Failure) else f"it was answered by a {type(result).__name__}."
