"""How long a plan would take. Pure."""

from __future__ import annotations

from llamabench.hardware.contexts import Contexts
from llamabench.hardware.layout import Placement, weights_by_place
from llamabench.records import Demand, Machine, ModelFacts


class Forecast:
    """Seconds that a run would take."""

    def __init__(self, model: ModelFacts, machine: Machine, demand: Demand):
        self._model = model
        self._machine = machine
        self._demand = demand

    def seconds(self, placement: Placement, contexts: Contexts) -> float:
        """Seconds with layers placed and contexts opened so."""
        devices, host = weights_by_place(self._model, placement)
        per_token = sum(devices) / 4e11 + host / 4e10
        return per_token * (1 + 64 / contexts.scoring.n_batch)
