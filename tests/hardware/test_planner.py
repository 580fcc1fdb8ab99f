"""What a person has decided of a plan, and how it is said where that cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recorded import load_machine, make_model

from llamabench.errors import PlanError
from llamabench.hardware.planner import plan_run
from llamabench.records import Demand, Overrides


@pytest.mark.parametrize("n_gpu_layers", [1, 99])
def test_layers_on_devices_need_a_device(n_gpu_layers: int) -> None:
    with pytest.raises(PlanError) as caught:
        plan_run(make_model(), load_machine("no_gpu"), Demand(700), overrides=Overrides(n_gpu_layers=n_gpu_layers))
    assert str(caught.value) == (
        "There is no device to put layers on. Leave --gpu-layers out, or say 0; `llamabench doctor` tells why."
    )


def test_more_threads_than_cores_are_warned_of() -> None:
    machine = replace(load_machine("no_gpu"), n_performance_cores=2)
    asked = plan_run(make_model(), machine, Demand(700), overrides=Overrides(n_threads=400))
    assert asked.n_threads == 400
    assert (
        "400 threads were asked for, and 2 cores can be used here: more threads than cores are slower, because they "
        "wait for each other."
    ) in asked.reasons
    for n_threads in (None, 2):
        plan = plan_run(make_model(), machine, Demand(700), overrides=Overrides(n_threads=n_threads))
        assert not any("threads were asked for" in reason for reason in plan.reasons)


def test_no_layers_on_devices_need_none() -> None:
    plan = plan_run(make_model(), load_machine("no_gpu"), Demand(700), overrides=Overrides(n_gpu_layers=0))
    assert plan.n_gpu_layers == 0
