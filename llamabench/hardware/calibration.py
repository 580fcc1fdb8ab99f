"""What measured speeds say of the places that made them: the catalogue's figures, changed until they give the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeGuard

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
    found: dict[str, PlaceSpeed] = {}
    n_pack = plan.pack_tokens
    if _is_speed(prompt_tokens_per_s) and not any(place.is_helped(n_pack) for place in places):
        key = _slowest(places, traits, n_pack)
        rates = _fit(places, traits, key, n_tokens=n_pack, seconds=n_pack / prompt_tokens_per_s, levers=("flops",))
        if rates is not None:
            found[key] = PlaceSpeed(flops=rates.flops)
            places = _with_rates(places, key, rates)
    if _is_speed(generation_tokens_per_s):
        key = _slowest(places, traits, 1)
        levers = _generation_levers(places, traits, key)
        rates = _fit(places, traits, key, n_tokens=1, seconds=1 / generation_tokens_per_s, levers=levers)
        if rates is not None:
            before = found.get(key, PlaceSpeed())
            found[key] = replace(before, bandwidth=rates.bandwidth, overhead_s=rates.overhead_s)
    return found


def _is_speed(tokens_per_s: float | None) -> TypeGuard[float]:
    return tokens_per_s is not None and 0 < tokens_per_s < math.inf


def _slowest(places: Sequence[Place], traits: Traits, n_tokens: int) -> str:
    """The key whose places take the most of a decode; cards of one kind have one key."""

    def seconds(key: str) -> float:
        return decode_time([one for one in places if one.key == key], traits, n_tokens=n_tokens, n_ctx=0).total_s

    return max((place.key for place in places), key=seconds)


def _generation_levers(places: Sequence[Place], traits: Traits, key: str) -> tuple[_Lever, ...]:
    """What to change first of the slowest: what takes most of its time."""
    time = decode_time([place for place in places if place.key == key], traits, n_tokens=1, n_ctx=0)
    return ("bandwidth", "overhead") if time.weights_s > time.fixed_s else ("overhead", "bandwidth")


def _fit(
    places: Sequence[Place],
    traits: Traits,
    key: str,
    *,
    n_tokens: int,
    seconds: float,
    levers: tuple[_Lever, ...],
) -> Rates | None:
    """Rates of a place with which one decode of all takes so many seconds; None where no change of it gives that."""

    def time_with(rates: Rates) -> float:
        return decode_time(_with_rates(places, key, rates), traits, n_tokens=n_tokens, n_ctx=0).total_s

    rates = next(place.rates for place in places if place.key == key)
    for lever in levers * _ROUNDS:
        low, high = 1 / _MOST, _MOST
        for _ in range(_STEPS):
            middle = math.sqrt(low * high)
            if time_with(_faster(rates, lever, middle)) > seconds:
                low = middle
            else:
                high = middle
        rates = _faster(rates, lever, middle)
    return rates if abs(time_with(rates) / seconds - 1) < _TOLERANCE else None


def _faster(rates: Rates, lever: _Lever, factor: float) -> Rates:
    if lever == "bandwidth":
        return replace(rates, bandwidth=rates.bandwidth * factor)
    if lever == "overhead":
        return replace(rates, overhead_s=rates.overhead_s / factor)
    return replace(rates, flops=rates.flops * factor)


def _with_rates(places: Sequence[Place], key: str, rates: Rates) -> list[Place]:
    return [replace(place, rates=rates) if place.key == key else place for place in places]
