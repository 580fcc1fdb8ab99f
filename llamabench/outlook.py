"""What to expect of a model on a machine before anything is loaded: where it goes, how fast, how long each suite."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from llamabench.data.cache import Dataset
from llamabench.demand import estimate_tokens, measure_demand
from llamabench.errors import PlanError
from llamabench.hardware.forecast import forecast_plan
from llamabench.hardware.layout import FormulaLayouts
from llamabench.hardware.placing import offload_devices
from llamabench.hardware.planner import plan_run
from llamabench.hardware.planning import make_plan
from llamabench.hardware.quants import list_other_quants
from llamabench.hardware.rates import PlaceSpeed
from llamabench.hardware.reasons import describe_flags
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Demand, Machine, ModelFacts, Overrides, Plan
from llamabench.records.outlook import Outlook, QuantOutlook, SuiteDemand, SuiteOutlook, Verdict
from llamabench.records.speeds import add_ranges
from llamabench.suites.base import Suite

_MOST_READ = 2000
"""Items of a suite whose texts are measured; what more of them ask for is reckoned from these."""
_MODEST = Demand(2048, 1024, 1)
"""A modest conversation."""


def estimate_suite(suite: Suite, dataset: Dataset, *, limit: int | None, use_chat: bool) -> SuiteDemand:
    """What a suite would ask for, from the bytes of its first items.

    Args:
        suite: The suite.
        dataset: Its data.
        limit: Items to run at most, None for all.
        use_chat: Whether conversations go through the model's chat template.

    Raises:
        DataError: A row of the data is not as it should be.
    """
    items = list(itertools.islice(suite.items(dataset, use_chat=use_chat), _MOST_READ))
    # how many items a suite makes of its data it alone knows
    n_available = len(items) if len(items) < _MOST_READ else dataset.n_items
    n_items = min(n_available, limit or n_available)
    demand = measure_demand(items, estimate_tokens)
    ratio = n_items / max(len(items), 1)
    scaled = replace(
        demand,
        n_prompt_tokens=round(demand.n_prompt_tokens * ratio),
        n_generated_tokens=round(demand.n_generated_tokens * ratio),
    )
    return SuiteDemand(suite.NAME, dataset.edition, n_items, scaled)


def look_ahead(
    model: ModelFacts,
    machine: Machine,
    suites: Sequence[SuiteDemand],
    *,
    overrides: Overrides,
    is_imagined: bool = False,
    memory: SpeedMemory,
) -> Outlook:
    """What to expect of a model on a machine.

    Args:
        model: The model, whose file or header is there.
        machine: The machine.
        suites: What each suite asks for.
        overrides: What a person has decided of the plan.
        is_imagined: Whether the machine's devices are not there.
        memory: Speeds that were measured.
    """
    demand = _sum_demands([suite.demand for suite in suites])
    plan, refusal = None, None
    try:
        plan = make_plan(model, machine, demand, overrides=overrides, is_virtual=is_imagined)
    except PlanError as exc:
        refusal = str(exc)
    measured = memory.recall_places()
    speed = forecast_plan(model, machine, demand, plan=plan, measured=measured) if plan else None
    times = tuple(
        SuiteOutlook(suite, speed.seconds_for(suite.demand.n_prompt_tokens, suite.demand.n_generated_tokens))
        for suite in suites
        if speed
    )
    return Outlook(
        model=model,
        machine=machine,
        is_imagined=is_imagined,
        verdict=judge(model, plan),
        plan=plan,
        refusal=refusal,
        speed=speed,
        suites=times,
        total=add_ranges([one.seconds for one in times]) if times else None,
        quants=tuple(_other_quants(model, machine, demand, overrides=overrides, measured=measured)),
        flags=describe_flags(plan) if plan else "",
    )


def judge_fit(model: ModelFacts, machine: Machine) -> Verdict:
    """Where a model would go for a modest conversation, by formulas alone: in milliseconds, and about right."""
    layouts = FormulaLayouts(model, [device.name for device in offload_devices(machine)])
    try:
        return judge(model, plan_run(model, machine, _MODEST, layouts=layouts))
    except PlanError:
        return "does_not_fit"


def judge(model: ModelFacts, plan: Plan | None) -> Verdict:
    """Where a plan puts a model, in a word."""
    if plan is None:
        return "does_not_fit"
    if plan.n_gpu_layers == 0:
        return "host"
    if plan.n_gpu_layers <= model.n_layers:
        return "partly"
    return "experts_on_host" if plan.n_cpu_moe else "devices"


def _sum_demands(demands: Iterable[Demand]) -> Demand:
    """What suites that run one after the other need together; of nothing, a modest conversation."""
    every = list(demands) or [_MODEST]
    return Demand(
        longest_sequence=max(one.longest_sequence for one in every),
        longest_generation=max(one.longest_generation for one in every),
        n_parallel=max(one.n_parallel for one in every),
        n_prompt_tokens=sum(one.n_prompt_tokens for one in every),
        n_generated_tokens=sum(one.n_generated_tokens for one in every),
    )


def _other_quants(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    overrides: Overrides,
    measured: Mapping[str, PlaceSpeed],
) -> Iterator[QuantOutlook]:
    """Other quantizations by formulas alone, within the same limits and with nothing else decided."""
    limits = Overrides(vram_limit_bytes=overrides.vram_limit_bytes, ram_limit_bytes=overrides.ram_limit_bytes)
    names = [device.name for device in offload_devices(machine)]
    for other in list_other_quants(model):
        layouts = FormulaLayouts(other.model, names)
        try:
            plan = plan_run(other.model, machine, demand, overrides=limits, layouts=layouts)
        except PlanError:
            yield QuantOutlook(other.quant, other.model.size_bytes, "does_not_fit", 0, None)
            continue
        speed = forecast_plan(other.model, machine, demand, plan=plan, measured=measured)
        verdict = judge(other.model, plan)
        yield QuantOutlook(other.quant, other.model.size_bytes, verdict, plan.n_gpu_layers, speed.generation_1)
