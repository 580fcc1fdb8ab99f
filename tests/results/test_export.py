from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from llamabench.records import LoadTiming, MemoryUse, RunInfo, Score, Speed, SpeedTest, Timing
from llamabench.results.export import run_document
from llamabench.results.signature import make_signature
from llamabench.results.store import Run


def test_the_document_has_what_other_programs_need(tmp_path: Path, info: RunInfo, scores: list[Score]) -> None:
    with Run.create(tmp_path / "run", info) as run:
        run.save_scores("bbq", scores)
        document = json.loads(json.dumps(run_document(run), allow_nan=False))
    assert list(document) == ["run", "model", "machine", "plan", "workers", "scores", "audits", "speed"]
    assert document["run"]["id"] == info.id
    assert document["run"]["finished"] is False
    assert document["run"]["suites"][0]["edition"] == "2022"
    assert document["model"]["quant"] == "Q8_0"
    assert document["machine"]["devices"][0]["name"] == "CUDA0"
    assert document["plan"]["scoring"]["n_ctx"] == 4096
    whole, group = document["scores"]
    wanted = ("suite", "metric", "group", "value", "n", "low", "high", "unparsed", "errored", "signature")
    assert set(wanted) <= whole.keys()
    assert whole["group"] is None
    assert whole["value"] == 0.1 + 0.2
    assert (whole["unparsed"], whole["errored"]) == (1, 2)
    assert group["group"] == "Age"
    assert (group["value"], group["low"], group["high"]) == (None, None, None)


def test_a_run_without_scores_has_a_document(tmp_path: Path, info: RunInfo) -> None:
    with Run.create(tmp_path / "run", info) as run:
        assert run_document(run)["scores"] == []


def test_a_speed_has_every_repeat_and_what_makes_it_doubtful(tmp_path: Path, info: RunInfo) -> None:
    test = SpeedTest("generation", 100)
    speed = Speed(
        measured="2026-03-04T14:10:00+01:00",
        load=LoadTiming(1.5, None),
        timings=(Timing(test, (1.0, 2.0, 1.0), {"processor 0": 30.0}), Timing(SpeedTest("prompt", 10), (0.5,))),
        sustained=Timing(test, (1.0, 1.0, 2.0, 2.0)),
        first_token_s=(0.5,),
        memory=(MemoryUse("CPU", 9, 3),),
        no_energy=("No counter of the card.",),
    )
    with Run.create(tmp_path / "run", info) as run:
        assert run_document(run)["speed"] is None
        run.save_speed(speed)
        assert run.speeds() == [speed]
        run.save_speed(replace(speed, measured="later"))
        document = json.loads(json.dumps(run_document(run), allow_nan=False))["speed"]
    assert document["measured"] == "later"
    generation, prompt = document["tests"]
    assert generation["name"] == "tg100"
    assert generation["tokens_per_s"] == [100.0, 50.0, 100.0]
    assert generation["mean_tokens_per_s"] == pytest.approx(250 / 3)
    assert generation["stdev_tokens_per_s"] == pytest.approx(28.8675)
    assert generation["joules_per_token"] == {"processor 0": pytest.approx(0.1)}
    assert (prompt["stdev_tokens_per_s"], prompt["joules_per_token"]) == (None, None), "absent, not 0"
    assert document["load"] == {"seconds": 1.5, "disk_bytes": None}
    assert document["drift"]["change"] == -0.5
    assert len(document["warnings"]) == 2
    assert document["no_energy"] == ["No counter of the card."]


def test_the_signature_names_what_decides_the_scores(info: RunInfo) -> None:
    assert make_signature(info, info.suites[0]) == (
        "suite:bbq|v:1|data:2022@abababab|n:4|seed:7|chat:none|quant:Q8_0|kv:f16|fa:on|ub:256|how:packed|pack:128|ngl:3"
        "|llama.cpp:0c1e57098|llamabench:0.1.0"
    )
