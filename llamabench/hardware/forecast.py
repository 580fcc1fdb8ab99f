"""How fast a plan is and how long it would take. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from llamabench.hardware.contexts import CPU_PACK, Contexts
from llamabench.hardware.layout import Placement, first_on_devices, spread_layers
from llamabench.hardware.placing import offload_devices
from llamabench.hardware.rates import (
    MEASURED_DOUBT,
    Link,
    PlaceSpeed,
    Rates,
    device_key,
    device_link,
    device_rates,
    host_key,
    host_rates,
    replace_measured,
)
from llamabench.hardware.roofline import Helper, Part, Place, Traits, decode_time
from llamabench.records import Basis, Demand, Device, Machine, ModelFacts, Plan, Range, SpeedForecast
from llamabench.records.speeds import weaker_basis

_EMPTY = Part(0, 0, 0, 0)
_NOTHING: Mapping[str, PlaceSpeed] = {}


class Forecast:
    """Speeds that a model is expected to have on a machine, and the seconds that a run would take.

    Every figure depends on what it is given alone.

    Args:
        model: The model.
        machine: The machine, there or not.
        demand: What the run needs; where nobody counted tokens, one prompt and as many texts as run side by side.
        measured: What was measured, by `device_key` and `host_key`; it replaces the catalogue.
    """

    def __init__(
        self, model: ModelFacts, machine: Machine, demand: Demand, *, measured: Mapping[str, PlaceSpeed] = _NOTHING
    ):
        self._model = model
        self._demand = demand
        self._traits = model_traits(model)
        self._sites = Sites(model, machine, measured)

    def seconds(self, placement: Placement, contexts: Contexts) -> float:
        """Seconds that the run would take at the expected speeds."""
        return self.speeds(placement, contexts).seconds.expected

    def speeds(self, placement: Placement, contexts: Contexts) -> SpeedForecast:
        """The speeds of a placement with given contexts, and the seconds that the run would take."""
        demand = self._demand
        places = self._sites.places(placement)
        n_parallel = contexts.generation.n_seq_max
        prompt = self._speed(places, prompt_batch(placement, contexts, demand), 0, is_prompt=True)
        generation_n = self._speed(places, n_parallel, demand.longest_generation)
        forecast = SpeedForecast(
            prompt=prompt,
            generation_1=self._speed(places, 1, 0),
            generation_n=generation_n,
            n_parallel=n_parallel,
            seconds=prompt,
        )
        return replace(forecast, seconds=forecast.seconds_for(*_tokens(demand, n_parallel)))

    def _speed(self, places: Sequence[Place], n_tokens: int, n_ctx: int, *, is_prompt: bool = False) -> Range:
        time = decode_time(places, self._traits, n_tokens=n_tokens, n_ctx=n_ctx)
        expected = n_tokens / time.total_s
        doubts: list[float] = []
        bases: list[Basis] = []
        for rates in _rates_in_use(places, n_tokens):
            is_measured = rates.is_prompt_measured if is_prompt else rates.is_generation_measured
            doubts.append(MEASURED_DOUBT if is_measured else rates.doubt)
            bases.append("measured" if is_measured else rates.basis)
        doubt = max(doubts)
        return Range(expected * (1 - doubt), expected, expected * (1 + doubt), weaker_basis(bases))


class Sites:
    """The places that a machine has for a model.

    Args:
        model: The model.
        machine: The machine.
        measured: What was measured of them.
    """

    def __init__(self, model: ModelFacts, machine: Machine, measured: Mapping[str, PlaceSpeed]):
        self._model = model
        self._devices = offload_devices(machine)
        self._keys = [device_key(device, model) for device in self._devices]
        self._rates = [
            replace_measured(device_rates(device, model), measured.get(key))
            for device, key in zip(self._devices, self._keys, strict=True)
        ]
        self._host_key = host_key(machine, model)
        self._host_rates = replace_measured(host_rates(machine, model), measured.get(self._host_key))

    def places(self, placement: Placement) -> list[Place]:
        """Where a placement puts the model, the host last; places that hold nothing are left out."""
        *on_devices, on_host = split_model(self._model, placement)
        places = [
            Place(key, part, rates, link=_network(device))
            for key, part, rates, device in zip(self._keys, on_devices, self._rates, self._devices, strict=False)
        ]
        helper = self._helper() if placement.n_gpu_layers else None
        places.append(Place(self._host_key, on_host, self._host_rates, helper=helper))
        return [place for place in places if place.part != _EMPTY]

    def _helper(self) -> Helper | None:
        """The first card; servers of other machines compute only what lies there."""
        for device, rates in zip(self._devices, self._rates, strict=True):
            link = device_link(device)
            if not link.is_network:
                return Helper(rates, link)
        return None


def forecast_plan(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    plan: Plan,
    measured: Mapping[str, PlaceSpeed] = _NOTHING,
) -> SpeedForecast:
    """The speeds of a plan, and the seconds that its run would take; arguments as of `Forecast`."""
    contexts = Contexts(plan.scoring, plan.generation, is_generating=demand.longest_generation > 0)
    return Forecast(model, machine, demand, measured=measured).speeds(plan_placement(plan, machine), contexts)


def plan_placement(plan: Plan, machine: Machine) -> Placement:
    """Where a plan puts the layers; as each device has memory free, where the plan leaves it to llama.cpp."""
    shares = plan.tensor_split or tuple(float(device.free_bytes) for device in offload_devices(machine))
    return Placement(plan.n_gpu_layers if any(shares) else 0, shares, plan.n_cpu_moe)


def prompt_batch(placement: Placement, contexts: Contexts, demand: Demand) -> int:
    """Tokens that are computed at once when prompts are read."""
    context = contexts.scoring if demand.longest_sequence else contexts.generation
    return context.n_ubatch if placement.n_gpu_layers else min(context.n_ubatch, CPU_PACK)


def model_traits(model: ModelFacts) -> Traits:
    """What of a model is the same wherever it lies."""
    share = model.n_experts_used / model.n_experts if model.n_experts and model.n_experts_used else 1.0
    return Traits(2 * model.n_params / model.size_bytes, min(share, 1.0), model.n_embd)


def split_model(model: ModelFacts, placement: Placement) -> list[Part]:
    """What of a model each device gets, in llama.cpp's order, and the host last.

    A layer whose experts stay on the host counts half there and half where the rest of it is.
    """
    experts = model.expert_bytes or (0,) * model.n_layers
    is_held = [layer < placement.n_cpu_moe and size > 0 for layer, size in enumerate(experts)]
    dense = [whole - part for whole, part in zip(model.layer_bytes, experts, strict=True)] + [model.output_bytes]
    moved = [0 if held else size for held, size in zip(is_held, experts, strict=True)] + [0]
    caches = [*model.kv_bytes_per_token, 0]
    halves = [1 if held else 2 for held in is_held] + [0]
    columns = [spread_layers(column, placement) for column in (dense, moved, caches, halves)]
    parts = [Part(weights, inside, cache, n / 2) for weights, inside, cache, n in zip(*columns, strict=True)]
    first = first_on_devices(model, placement)
    on_host = Part(
        dense_bytes=sum(dense[:first]),
        expert_bytes=sum(experts) - sum(moved[first:]),
        kv_bytes_per_token=sum(caches[:first]),
        n_layers=min(first, model.n_layers) + sum(is_held[first:]) / 2,
    )
    return [*parts, on_host]


def _tokens(demand: Demand, n_parallel: int) -> Iterator[int]:
    """Tokens to read and to generate, where nobody counted those of one prompt and of the texts side by side."""
    if demand.n_prompt_tokens or demand.n_generated_tokens:
        return iter((demand.n_prompt_tokens, demand.n_generated_tokens))
    return iter((demand.longest_sequence, demand.longest_generation * max(demand.n_parallel, 1)))


def _rates_in_use(places: Sequence[Place], n_tokens: int) -> Iterator[Rates]:
    for place in places:
        yield place.rates
        if place.helper is not None and place.is_helped(n_tokens):
            yield place.helper.rates


def _network(device: Device) -> Link | None:
    link = device_link(device)
    return link if link.is_network else None
