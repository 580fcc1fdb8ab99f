"""How fast a model is on this machine: the tests of llama-bench with this machine's plan, and what they cost."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from llamabench.data.cache import data_folder
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Note, open_with_less
from llamabench.errors import EngineError
from llamabench.hardware.calibration import keep_speeds
from llamabench.hardware.gguf import read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.planning import make_plan
from llamabench.hardware.power import EnergyMeter
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Demand, Machine, ModelFacts, Overrides, Plan, Speed, SpeedTest, Timing
from llamabench.repeats import find_doubts
from llamabench.results.store import Run, now

_N_PARALLEL = 16
"""Texts side by side, where neither a run nor a person says how many."""

_SHORTER = 4
"""Texts side by side are so many times shorter: there are more of them, and they take as long together."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How much is timed.

    Attributes:
        n_prompt: Tokens of the prompt, 0 to time none.
        n_generate: Tokens to generate, 0 to time none.
        n_repeats: Repeats of each test.
        sustain_s: Seconds of further generation, to see whether the machine slows down.
    """

    n_prompt: int = 512
    n_generate: int = 128
    n_repeats: int = 5
    sustain_s: float = 20.0


DEFAULT_BENCH = BenchOptions()


@dataclass(frozen=True, slots=True)
class Benched:
    """A model's speed and what it was measured with."""

    model: ModelFacts
    machine: Machine
    plan: Plan
    speed: Speed


Say = Callable[[str], None]


def bench_model(
    path: Path,
    options: BenchOptions = DEFAULT_BENCH,
    *,
    overrides: Overrides = NO_OVERRIDES,
    plan: Plan | None = None,
    say: Say,
) -> Benched:
    """Measures a model's speed on this machine.

    Args:
        path: The GGUF file.
        options: How much is timed.
        overrides: What is decided of the plan.
        plan: The plan; made for these tests where there is none.
        say: Told what is being done and what goes wrong on the way.

    Raises:
        LlamabenchError: The model cannot be read, does not fit, or cannot be timed.
    """
    servers = overrides.rpc_servers if plan is None else tuple(dict.fromkeys(plan.rpc_servers))
    model, machine = read_model(path), read_machine(rpc_servers=servers)
    plan = plan or make_plan(model, machine, _demand(options, overrides), overrides=overrides)
    with Engine(model.path) as engine:
        plan, speed = measure_speed(engine, plan, options, note=lambda _, text: say(text), say=say)
    _remember(model, machine, plan, speed)
    return Benched(model, machine, plan, speed)


def bench_run(stored: Run, engine: Engine, *, say: Say) -> None:
    """Measures the speed of a run's plan once, in a process that has done nothing yet; a run can do without.

    Args:
        stored: The run, which keeps the speed.
        engine: Its engine; the model opens anew with the next call.
        say: Told what is being done and what goes wrong.
    """
    info = stored.info
    if stored.speeds():
        return
    try:
        engine.restart()
        plan, speed = measure_speed(engine, info.plan, note=stored.add_event, say=say)
    except EngineError as exc:
        text = f"The speed could not be measured. {exc}"
        stored.add_event("not measured", text)
        say(text)
        engine.restart()
        return
    stored.save_speed(speed)
    _remember(info.model, info.machine, plan, speed)


def _remember(model: ModelFacts, machine: Machine, plan: Plan, speed: Speed) -> None:
    """Lets later forecasts rest on what was measured, unless it is doubtful."""
    medians: dict[str, float] = {}
    for timing in speed.timings:
        speeds = timing.tokens_per_s
        if timing.test.n_parallel == 1 and not find_doubts(timing.test.name, speeds):
            medians[timing.test.kind] = statistics.median(speeds)
            if timing.test.kind == "prompt":
                # the batch that the prompt was really read in
                plan = replace(plan, pack_tokens=min(timing.test.n_tokens, plan.scoring.n_ubatch))
    keep_speeds(
        SpeedMemory(data_folder() / "speed.json"),
        model,
        machine,
        plan,
        prompt_tokens_per_s=medians.get("prompt"),
        generation_tokens_per_s=medians.get("generation"),
    )


def _demand(options: BenchOptions, overrides: Overrides) -> Demand:
    n_parallel = overrides.n_parallel or _N_PARALLEL
    return Demand(
        longest_sequence=max(options.n_prompt, 1),
        longest_generation=options.n_generate,
        n_parallel=n_parallel,
        n_prompt_tokens=options.n_prompt,
        n_generated_tokens=options.n_generate * n_parallel,
    )


def measure_speed(
    engine: Engine, plan: Plan, options: BenchOptions = DEFAULT_BENCH, *, note: Note, say: Say
) -> tuple[Plan, Speed]:
    """Measures a model's speed with a plan, or with a smaller one when memory runs out.

    Args:
        engine: The engine, best with a process that has done nothing yet: its peak of memory is reported.
        plan: The plan.
        options: How much is timed.
        note: Told of every restart and every smaller plan.
        say: Told what is being done.

    Returns:
        The plan that was measured, and the speed.

    Raises:
        EngineError: The model cannot be opened, however small the plan, or cannot be timed.
    """

    def measure(plan: Plan) -> tuple[Plan, Speed]:
        engine.use(plan)
        with contextlib.closing(EnergyMeter(has_devices=plan.n_gpu_layers > 0)) as meter:
            return plan, _measure(engine, plan, options, meter=meter, say=say)

    return open_with_less(engine, plan, measure, note=note)


def _measure(engine: Engine, plan: Plan, options: BenchOptions, *, meter: EnergyMeter, say: Say) -> Speed:
    say("Loading the model.")
    load = engine.open_bench()
    timings: list[Timing] = []
    first_token_s: tuple[float, ...] = ()
    sustained: Timing | None = None
    for test in list_tests(options, plan):
        say(f"{test.name}: {options.n_repeats} repeats.")
        engine.prepare_test(test)
        timing, first = _time(engine, test, meter, n_repeats=options.n_repeats)
        timings.append(timing)
        first_token_s = first or first_token_s
        if test.kind == "generation" and sustained is None and options.sustain_s > 0:
            say(f"{test.name} for {options.sustain_s:g} s.")
            sustained, _ = _time(engine, test, meter, least_s=options.sustain_s)
    return Speed(
        measured=now(),
        load=load,
        timings=tuple(timings),
        sustained=sustained,
        first_token_s=first_token_s,
        memory=engine.bench_memory(),
        no_energy=tuple(meter.notes),
    )


def list_tests(options: BenchOptions, plan: Plan) -> Iterator[SpeedTest]:
    """The tests: a prompt, one text, and as many texts side by side as the plan has."""
    if options.n_prompt:
        yield SpeedTest("prompt", options.n_prompt)
    if options.n_generate:
        yield SpeedTest("generation", options.n_generate)
        if plan.generation.n_seq_max > 1:
            yield SpeedTest("generation", max(options.n_generate // _SHORTER, 1), plan.generation.n_seq_max)


def _time(
    engine: Engine, test: SpeedTest, meter: EnergyMeter, *, n_repeats: int = 0, least_s: float = 0.0
) -> tuple[Timing, tuple[float, ...]]:
    """Repeats a test with the energy it took, and the times until a first token."""
    before = meter.read()
    repeats = engine.repeat_test(n_repeats, least_s)
    after = meter.read()
    joules = {name: after[name] - before[name] for name in after if name in before}
    return Timing(test, repeats.seconds, joules), repeats.first_token_s
