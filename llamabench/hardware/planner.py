"""Pure planning: what a model needs, what a machine has and what a run asks for, to the fastest plan that fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from llamabench.errors import PlanError
from llamabench.hardware.contexts import CPU_BATCH, CPU_PACK, GPU_BATCH, HYBRID_BATCH, Contexts, shrinking_contexts
from llamabench.hardware.forecast import Forecast
from llamabench.hardware.layout import HOST, FormulaLayouts, Layout, Layouts, Placement
from llamabench.hardware.placing import Placed, Placer, Room, offload_devices, server_of_each
from llamabench.hardware.reasons import say_does_not_fit, say_reasons
from llamabench.records import Demand, DeviceBytes, Machine, ModelFacts, Overrides, Plan

_OFFLOAD_THREADS = 8  # with everything on devices, more only wait for them

_WITHOUT_FLASH = 1.1
"""An assumption: attention is a small part of the time at the lengths of benchmarks."""

_N_SETTLED, _CLEARLY_SLOWER = 2, 1.25
"""Of all that fits, so many are made the most of, unless they are expected to take so many times as long."""

NO_OVERRIDES = Overrides()


@dataclass(frozen=True, slots=True)
class Choice:
    """Contexts, where the layers go with them, and what was made the most of."""

    contexts: Contexts
    placed: Placed
    way: Literal["layers", "experts", "host"]


def plan_run(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    overrides: Overrides = NO_OVERRIDES,
    layouts: Layouts | None = None,
) -> Plan:
    """Plans how to run a model on a machine: what is expected to be fastest, never more than is free.

    Nothing that changes results is chosen here: the KV cache stays f16 unless a person says otherwise, and no sequence
    is cut. Weights on the host count in full although the system could drop mapped ones: decoding reads them all for
    every batch, and what does not stay in memory is read from the disk each time.

    Not covered: memory of the driver beyond the reserve; free memory is that of the moment the machine was read.

    Args:
        model: The model.
        machine: The machine.
        demand: What the run needs of a context.
        overrides: What a person has decided.
        layouts: Who knows what a placement takes; formulas where nobody is given.

    Returns:
        The plan; one more layer on the devices would not fit.

    Raises:
        PlanError: The model does not fit into memory, however small the batches; or what a person has decided cannot
            be, with the nearest plan that can.
    """
    room = Room.of(machine, overrides)
    if overrides.n_gpu_layers and not room.devices:
        raise PlanError(
            "There is no device to put layers on. Leave --gpu-layers out, or say 0; `llamabench doctor` tells why."
        )
    names = [device.name for device in room.devices]
    formulas = FormulaLayouts(model, names, kv_type=overrides.kv_type or "f16")
    asked = layouts or formulas
    placer = Placer(model, room, asked, overrides)
    forecast = Forecast(model, machine, demand)
    settled: list[Choice] = []
    # formulas are at hand and careful: llama.cpp is asked about all that might do only where by them nothing fits
    for rough in (Placer(model, room, formulas, overrides), placer):
        candidates = _candidates(model, demand, overrides, rough, has_devices=bool(names))
        settled = [one for one in map(partial(_settle, placer), _best(candidates, forecast)) if one is not None]
        if settled:
            break
    if not settled:
        raise _refusal(model, machine, demand, overrides=overrides, placer=placer, layouts=asked)
    choice = min(settled, key=partial(_expect_seconds, forecast))
    return _make_plan(model, machine, demand, overrides=overrides, choice=choice)


def _best(candidates: Iterable[Choice], forecast: Forecast) -> list[Choice]:
    """The candidates that may turn out the fastest, the most promising first."""
    seconds = {candidate: _expect_seconds(forecast, candidate) for candidate in candidates}
    ranked = sorted(seconds, key=lambda candidate: seconds[candidate])[:_N_SETTLED]
    return [candidate for candidate in ranked if seconds[candidate] <= seconds[ranked[0]] * _CLEARLY_SLOWER]


def _expect_seconds(forecast: Forecast, choice: Choice) -> float:
    """How long a run would take; a layout in which llama.cpp gives flash attention up counts for a little more."""
    seconds = forecast.seconds(choice.placed.placement, choice.contexts)
    is_without = any(layout.flash_attention is False for layout in choice.placed.layouts)
    return seconds * (_WITHOUT_FLASH if is_without else 1.0)


def _candidates(
    model: ModelFacts, demand: Demand, overrides: Overrides, placer: Placer, *, has_devices: bool
) -> Iterator[Choice]:
    """Everything that fits and might be fastest, roughly placed."""
    n_all = model.n_layers + 1
    if has_devices and overrides.n_gpu_layers != 0:
        for contexts in shrinking_contexts(model, demand, overrides, n_batch=GPU_BATCH):
            found = list(_on_devices(model, overrides, placer, contexts))
            yield from found
            if any(one.placed.placement.n_gpu_layers == n_all and one.way != "experts" for one in found):
                break
        else:
            # what stays on the host is sent over once for each batch, so larger ones may pay
            largest = next(shrinking_contexts(model, demand, overrides, n_batch=HYBRID_BATCH))
            yield from _on_devices(model, overrides, placer, largest)
    if not overrides.n_gpu_layers:
        for contexts in shrinking_contexts(model, demand, overrides, n_batch=CPU_BATCH):
            placed = placer.on_host(contexts)
            if placed is not None:
                yield Choice(contexts, placed, "host")
                return


def _on_devices(model: ModelFacts, overrides: Overrides, placer: Placer, contexts: Contexts) -> Iterator[Choice]:
    """Ways to use the devices with given contexts."""
    n_cpu_moe = overrides.n_cpu_moe or 0
    most = placer.most_layers(contexts, n_cpu_moe=n_cpu_moe, is_rough=True)
    if most is not None:
        yield Choice(contexts, most, "layers")
    has_all = most is not None and most.placement.n_gpu_layers > model.n_layers
    if has_all or overrides.n_cpu_moe is not None or not any(model.expert_bytes):
        return
    fewest = placer.fewest_experts_on_host(contexts, is_rough=True)
    if fewest is not None:
        yield Choice(contexts, fewest, "experts")
        return
    placed = placer.most_layers(contexts, n_cpu_moe=model.n_layers, is_rough=True)
    if placed is not None:
        yield Choice(contexts, placed, "layers")


def _settle(placer: Placer, choice: Choice) -> Choice | None:
    """The same with as much on devices as fits."""
    placement = choice.placed.placement
    if choice.way == "host":
        placed = placer.on_host(choice.contexts)
    elif choice.way == "experts":
        placed = placer.fewest_experts_on_host(choice.contexts)
    else:
        placed = placer.most_layers(choice.contexts, n_cpu_moe=placement.n_cpu_moe)
    return None if placed is None else replace(choice, placed=placed)


def _make_plan(model: ModelFacts, machine: Machine, demand: Demand, *, overrides: Overrides, choice: Choice) -> Plan:
    contexts, placement = choice.contexts, choice.placed.placement
    is_offloaded = placement.n_gpu_layers > 0
    is_full = placement.n_gpu_layers == model.n_layers + 1 and placement.n_cpu_moe == 0
    threads = max(machine.n_performance_cores, 1)
    parts = _larger_parts(choice.placed.layouts)
    return Plan(
        n_gpu_layers=placement.n_gpu_layers,
        tensor_split=placement.shares if is_offloaded and len(placement.shares) > 1 else (),
        n_cpu_moe=placement.n_cpu_moe if is_offloaded else 0,
        rpc_servers=server_of_each(offload_devices(machine)) if is_offloaded else (),
        n_threads=overrides.n_threads or (min(threads, _OFFLOAD_THREADS) if is_full else threads),
        scoring=contexts.scoring,
        generation=contexts.generation,
        pack_tokens=contexts.scoring.n_batch if is_offloaded else min(CPU_PACK, contexts.scoring.n_batch),
        kv_type=overrides.kv_type or "f16",
        flash_attention=overrides.flash_attention or "auto",
        is_mapped=not any(layout.is_repacked for layout in choice.placed.layouts),
        expected_bytes={part.device: part.total_bytes for part in parts},
        layout=parts,
        is_exact_layout=all(layout.is_exact for layout in choice.placed.layouts),
        reasons=tuple(
            say_reasons(model, machine, demand, overrides=overrides, contexts=contexts, placed=choice.placed)
        ),
    )


def _larger_parts(layouts: tuple[Layout, ...]) -> tuple[DeviceBytes, ...]:
    """What each device holds in the context that takes more of it; those that hold nothing are left out."""
    parts: dict[str, DeviceBytes] = {}
    for layout in layouts:
        for part in (*layout.devices, layout.host):
            if part.total_bytes > parts.get(part.device, part).total_bytes or part.device not in parts:
                parts[part.device] = part
    return tuple(part for part in parts.values() if part.total_bytes or part.device == HOST)


def _refusal(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    overrides: Overrides,
    placer: Placer,
    layouts: Layouts,
) -> PlanError:
    """Why there is no plan; where it is for what a person has decided, with a plan that there is."""
    n_batch = CPU_BATCH if overrides.n_gpu_layers in (0, None) else GPU_BATCH
    *_, smallest = shrinking_contexts(model, demand, overrides, n_batch=n_batch)
    n_devices = len(Room.of(machine, overrides).devices)
    n_gpu_layers = overrides.n_gpu_layers or 0
    shares = (1.0,) * n_devices if n_gpu_layers and n_devices else (0.0,) * n_devices
    needed = placer.ask(smallest, Placement(n_gpu_layers if n_devices else 0, shares, overrides.n_cpu_moe or 0))
    nearest = None
    if overrides != NO_OVERRIDES:
        free = Overrides(
            vram_limit_bytes=overrides.vram_limit_bytes,
            ram_limit_bytes=overrides.ram_limit_bytes,
            rpc_servers=overrides.rpc_servers,
        )
        try:
            nearest = plan_run(model, machine, demand, overrides=free, layouts=layouts) if free != overrides else None
        except PlanError:
            nearest = None
    return say_does_not_fit(model, machine, overrides, contexts=smallest, needed=needed, nearest=nearest)
