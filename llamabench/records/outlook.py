"""What is to be expected of a model on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llamabench.records.planning import Demand, Machine, ModelFacts, Plan
from llamabench.records.speeds import Range, SpeedForecast

Verdict = Literal["devices", "experts_on_host", "partly", "host", "does_not_fit"]
"""Where a model runs: all on devices, all but experts, some layers, on the processor, or nowhere."""


@dataclass(frozen=True, slots=True)
class SuiteDemand:
    """What one suite asks for.

    Attributes:
        suite: Its name.
        edition: Edition of its data.
        n_items: Items that would be run.
        demand: Tokens of all of them, estimated from their bytes.
    """

    suite: str
    edition: str
    n_items: int
    demand: Demand


@dataclass(frozen=True, slots=True)
class SuiteOutlook:
    """How long a suite would take.

    Attributes:
        suite: What it asks for.
        seconds: How long that takes, loading not counted.
    """

    suite: SuiteDemand
    seconds: Range


@dataclass(frozen=True, slots=True)
class QuantOutlook:
    """Another quantization of the model, estimated.

    Attributes:
        quant: Its name.
        size_bytes: Its file, about.
        verdict: Where it would run.
        n_gpu_layers: Layers on devices.
        generation: Tokens per second of one text; None where it does not fit.
    """

    quant: str
    size_bytes: int
    verdict: Verdict
    n_gpu_layers: int
    generation: Range | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a model on a machine, there or not.

    Attributes:
        model: The model.
        machine: The machine.
        is_imagined: Whether the machine's devices are not there.
        verdict: Where the model runs.
        plan: How; None where it does not fit.
        refusal: Why there is no plan.
        speed: How fast; None without a plan.
        suites: How long each suite takes; empty without a plan.
        total: How long they take together, one after the other; None where there are none.
        quants: What other quantizations would do.
        flags: The options that make the same plan again.
    """

    model: ModelFacts
    machine: Machine
    is_imagined: bool
    verdict: Verdict
    plan: Plan | None
    refusal: str | None
    speed: SpeedForecast | None
    suites: tuple[SuiteOutlook, ...]
    total: Range | None
    quants: tuple[QuantOutlook, ...]
    flags: str
