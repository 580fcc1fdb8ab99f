"""A plan for a model on a machine that is there, or on one that is not: the planner with llama.cpp at its side."""

from __future__ import annotations

from dataclasses import replace

from llamabench.engine.process import PLAIN_PLAN
from llamabench.hardware.dry_layout import DryLayouts
from llamabench.hardware.placing import offload_devices, server_of_each
from llamabench.hardware.planner import NO_OVERRIDES, plan_run
from llamabench.records import Demand, Machine, ModelFacts, Overrides, Plan


def make_plan(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    overrides: Overrides = NO_OVERRIDES,
    is_virtual: bool = False,
) -> Plan:
    """Plans how to run a model, with layouts from llama.cpp itself.

    Args:
        model: The model, whose file or header is there.
        machine: The machine.
        demand: What the run needs of a context.
        overrides: What a person has decided.
        is_virtual: Whether the machine's devices are not there and only looked like.

    Returns:
        The plan; its last reason says so where llama.cpp could not be asked.

    Raises:
        PlanError: As `plan_run`.
    """
    devices = offload_devices(machine)
    settings = replace(
        PLAIN_PLAN,
        kv_type=overrides.kv_type or "f16",
        flash_attention=overrides.flash_attention or "auto",
        rpc_servers=server_of_each(devices),
    )
    with DryLayouts(model, devices, settings, are_virtual=is_virtual) as layouts:
        plan = plan_run(model, machine, demand, overrides=overrides, layouts=layouts)
        return plan if layouts.note is None else replace(plan, reasons=(*plan.reasons, layouts.note))
