"""What measured speeds say of the places that made them: the catalogue's figures, changed until they give the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llamabench.hardware.forecast import Sites, model_traits, plan_placement
from llamabench.hardware.rates import PlaceSpeed, Rates
from llamabench.hardware.roofline import Place, Traits, decode_time
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Machine, ModelFacts, Plan

_Lever = Literal["bandwidth", "overhead", "flops"]

_MOST, _ROUNDS = 4.0, 3
"""A figure is changed by no more than this factor before the other is, in so many rounds."""

_STEPS = 50
_TOLERANCE = 0.01


def keep_speeds(
    memory: SpeedMemory,
    model: ModelFacts,
    machine: Machine,
    plan: Plan,
    *,
    prompt_tokens_per_s: float | None = None,
    generation_tokens_per_s: float | None = None,
) -> None:
    """Remembers what measured speeds say of the places that a plan uses, for the next forecast.

    Args:
        memory: Where to remember it.
        model: The model that was measured.
        machine: The machine it was measured on.
        plan: The plan it was measured with; prompts in batches of `pack_tokens`.
        prompt_tokens_per_s: Speed of reading, None where it was not measured.
        generation_tokens_per_s: Speed of one text, at its beginning; None where it was not measured.
    """
    known = memory.recall_places()
    found = calibrate(
        model,
        machine,
        plan,
        known=known,
        prompt_tokens_per_s=prompt_tokens_per_s,
        generation_tokens_per_s=generation_tokens_per_s,
    )
    memory.keep_places(found)


def calibrate(
    model: ModelFacts,
    machine: Machine,
    plan: Plan,
    *,
    known: Mapping[str, PlaceSpeed],
    prompt_tokens_per_s: float | None = None,
    generation_tokens_per_s: float | None = None,
) -> dict[str, PlaceSpeed]:
    """What measured speeds say of the slowest place of a plan, with which a forecast gives what was measured.

    Where several places share the work, the others keep what is known of them. A speed that no change of the slowest
    explains says nothing, and neither does that of prompts for which weights were sent to a card.

    Args:
        model: The model.
        machine: The machine.
        plan: The plan.
        known: What was measured before.
        prompt_tokens_per_s: Speed of reading in batches of `pack_tokens`.
        generation_tokens_per_s: Speed of one text, at its beginning.

    Returns:
        Speeds by `device_key` and `host_key`; empty where nothing was learnt.
    """
    places = Sites(model, machine, known).places(plan_placement(plan, machine))
    traits = model_traits(model)
    prompt = _Measurement(plan.pack_tokens, prompt_tokens_per_s, is_prompt=True)
    generation = _Measurement(1, generation_tokens_per_s, is_prompt=False)
    if any(place.is_helped(prompt.n_tokens) for place in places):
        prompt = replace(prompt, tokens_per_s=None)
    found: dict[str, PlaceSpeed] = {}
    for measurement in (prompt, generation, prompt, generation):  # what one changes may move the other
        if not measurement.makes_sense:
            continue
        key = _slowest(places, traits, measurement.n_tokens)
        rates = _fit(places, traits, key, measurement)
        if rates is not None:
            places = _with_rates(places, key, rates)
            found[key] = measurement.learn(found.get(key, PlaceSpeed()), rates)
    return found


@dataclass(frozen=True, slots=True)
class _Measurement:
    """A speed that was measured: tokens of one decode, and tokens per second."""

    n_tokens: int
    tokens_per_s: float | None
    is_prompt: bool

    @property
    def makes_sense(self) -> bool:
        return self.tokens_per_s is not None and 0 < self.tokens_per_s < math.inf

    @property
    def seconds(self) -> float:
        """What one decode took."""
        assert self.tokens_per_s is not None
        return self.n_tokens / self.tokens_per_s

    def learn(self, speed: PlaceSpeed, rates: Rates) -> PlaceSpeed:
        """A place's speed with what this says of it."""
        if self.is_prompt:
            return replace(speed, flops=rates.flops)
        return replace(speed, bandwidth=rates.bandwidth, overhead_s=rates.overhead_s)


def _slowest(places: Sequence[Place], traits: Traits, n_tokens: int) -> str:
    """The key whose places take the most of a decode; cards of one kind have one key."""

    def seconds(key: str) -> float:
        return decode_time([one for one in places if one.key == key], traits, n_tokens=n_tokens, n_ctx=0).total_s

    return max((place.key for place in places), key=seconds)


def _levers(place: Place, traits: Traits, measurement: _Measurement) -> tuple[_Lever, ...]:
    """What to change of a place, what takes most of its time first."""
    if measurement.is_prompt:
        return ("flops",)
    time = decode_time([place], traits, n_tokens=1, n_ctx=0)
    return ("bandwidth", "overhead") if time.weights_s > time.fixed_s else ("overhead", "bandwidth")


def _fit(places: Sequence[Place], traits: Traits, key: str, measurement: _Measurement) -> Rates | None:
    """Rates of a place with which one decode of all takes as long as measured; None where no change of it does that."""

    def ratio_with(rates: Rates) -> float:
        time = decode_time(_with_rates(places, key, rates), traits, n_tokens=measurement.n_tokens, n_ctx=0)
        return time.total_s / measurement.seconds

    place = next(place for place in places if place.key == key)
    rates = place.rates
    for lever in _levers(place, traits, measurement) * _ROUNDS:
        low, high = 1 / _MOST, _MOST
        for _ in range(_STEPS):
            middle = math.sqrt(low * high)
            if ratio_with(_faster(rates, lever, middle)) > 1:
                low = middle
            else:
                high = middle
        rates = _faster(rates, lever, high)
    return rates if abs(ratio_with(rates) - 1) < _TOLERANCE else None


def _faster(rates: Rates, lever: _Lever, factor: float) -> Rates:
    if lever == "bandwidth":
        return replace(rates, bandwidth=rates.bandwidth * factor)
    if lever == "overhead":
        return replace(rates, overhead_s=rates.overhead_s / factor)
    return replace(rates, flops=rates.flops * factor)


def _with_rates(places: Sequence[Place], key: str, rates: Rates) -> list[Place]:
    return [replace(place, rates=rates) if place.key == key else place for place in places]
