from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamabench.records import (
    Backend,
    Card,
    ContextPlan,
    Demand,
    Device,
    Exchange,
    Failure,
    Generated,
    GenerateResult,
    ItemRow,
    ItemScore,
    Machine,
    Message,
    Metric,
    ModelFacts,
    ModelSpec,
    Plan,
    Processor,
    RunInfo,
    Sampling,
    Scored,
    ScoreResult,
    SuiteChoice,
    TextPrompt,
)
from llamabench.results import codec

TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63)
FLOATS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
FACTS = st.dictionaries(TEXTS, JSON, max_size=3)
CONTEXTS = st.builds(ContextPlan)
PLANS = st.builds(
    Plan,
    tensor_split=st.lists(FLOATS, max_size=3).map(tuple),
    kv_type=TEXTS,
    chunk_tokens=NUMBERS,
    flash_attention=st.sampled_from(["auto", "on", "off"]),
    expected_bytes=st.dictionaries(TEXTS, NUMBERS, max_size=3),
    reasons=st.lists(TEXTS, max_size=3).map(tuple),
)
BACKENDS = st.builds(Backend, features=st.dictionaries(TEXTS, TEXTS, max_size=3))
MACHINES = st.builds(
    Machine,
    notes=st.lists(TEXTS, max_size=2).map(tuple),
    backends=st.lists(BACKENDS, max_size=2).map(tuple),
    cards=st.lists(st.builds(Card, power_limit_w=st.none() | FLOATS, has_display=...), max_size=2).map(tuple),
    processor=st.none() | st.builds(Processor, quota=st.none() | FLOATS),
    is_on_battery=...,
    environment=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
EXCHANGES = st.builds(Exchange, prompt=TEXTS, answers=st.lists(FACTS, max_size=2).map(tuple))
KINDS: dict[type, st.SearchStrategy[Any]] = {
    ContextPlan: CONTEXTS,
    Demand: st.builds(Demand),
    Device: st.builds(Device),
    Exchange: EXCHANGES,
    Failure: st.builds(Failure),
    GenerateResult: st.builds(GenerateResult),
    Generated: st.builds(Generated),
    ItemRow: st.builds(
        ItemRow,
        facts=FACTS,
        values=st.dictionaries(TEXTS, FLOATS, max_size=3),
        exchanges=st.lists(EXCHANGES, max_size=2).map(tuple),
    ),
    ItemScore: st.builds(ItemScore, values=st.dictionaries(TEXTS, FLOATS, max_size=3), error=st.none() | TEXTS),
    Machine: MACHINES,
    Message: st.builds(Message),
    Metric: st.builds(Metric, value=st.none() | FLOATS, low=st.none() | FLOATS, high=FLOATS, group=st.none() | TEXTS),
    ModelFacts: st.builds(ModelFacts),
    ModelSpec: st.builds(ModelSpec, plan=st.none() | PLANS, chat_template=st.none() | TEXTS),
    Plan: PLANS,
    RunInfo: st.builds(RunInfo, machine=MACHINES, plan=PLANS, limit=st.none() | NUMBERS, is_demo=st.booleans()),
    Sampling: st.builds(Sampling, temperature=FLOATS, stop=st.lists(TEXTS, max_size=2).map(tuple)),
    ScoreResult: st.builds(ScoreResult),
    Scored: st.builds(Scored, logprob_sum=FLOATS, token_logprobs=st.lists(FLOATS, max_size=3).map(tuple)),
    SuiteChoice: st.builds(SuiteChoice, system_prompt=st.none() | TEXTS),
    TextPrompt: st.builds(TextPrompt),
}


def through_json(kind: type, record: Any) -> Any:
    return codec.decode(kind, json.loads(json.dumps(codec.encode(record))))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    record = data.draw(KINDS[kind])
    # NaN is not equal to itself, its text is
    assert repr(through_json(kind, record)) == repr(record)


def test_a_whole_run_comes_back(info: RunInfo) -> None:
    again = through_json(RunInfo, info)
    assert again == info
    assert isinstance(again.plan.reasons, tuple)
    assert isinstance(again.machine.devices[1], Device)


def test_a_field_added_later_takes_its_default(info: RunInfo) -> None:
    old: Any = codec.encode(info)
    del old["is_demo"], old["plan"]["chunk_tokens"], old["machine"]["notes"]
    again = codec.decode(RunInfo, old)
    assert again == replace(info, plan=replace(info.plan, chunk_tokens=2048))


def test_a_field_of_a_newer_version_is_left_out(info: RunInfo) -> None:
    newer: Any = codec.encode(info)
    newer["mood"] = "good"
    newer["plan"]["scoring"]["colour"] = "blue"
    assert codec.decode(RunInfo, newer) == info


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), None),
        (("id",), 5),
        (("seed",), "7"),
        (("suites",), "bbq"),
        (("suites",), {"0": 1}),
        (("suites",), [5]),
        (("plan",), None),
        (("plan",), []),
        (("plan", "scoring"), 4096),
        (("plan", "tensor_split"), ["half"]),
        (("plan", "expected_bytes"), {"CPU": "all"}),
        (("plan", "expected_bytes"), [1]),
        (("plan", "flash_attention"), 1),
        (("use_chat",), "yes"),
        (("limit",), "all"),
    ],
)
def test_a_field_of_another_type_is_refused(info: RunInfo, path: tuple[str, ...], value: Any) -> None:
    broken: Any = codec.encode(info)
    place = broken
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match="RunInfo cannot be made of it"):
        codec.decode(RunInfo, broken)


def test_a_missing_field_is_named(info: RunInfo) -> None:
    broken: Any = codec.encode(info)
    del broken["model"]["quant"]
    with pytest.raises(ValueError, match="quant"):
        codec.decode(RunInfo, broken)


@pytest.mark.parametrize("value", [None, 5, "text", [], [1]])
def test_what_is_no_object_is_no_record(value: Any) -> None:
    with pytest.raises(ValueError, match="Metric"):
        codec.decode(Metric, value)


def test_only_records_are_encoded() -> None:
    with pytest.raises(TypeError, match="set is no record"):
        codec.encode({1, 2})
    with pytest.raises(TypeError, match="type is no record"):
        codec.encode(Metric)
