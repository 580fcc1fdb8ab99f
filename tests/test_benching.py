"""What is timed, in which order, and what is made of it; with an engine that follows a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llamabench import benching
from llamabench.benching import BenchOptions, bench_model, list_tests
from llamabench.engine.process import PLAIN_PLAN
from llamabench.errors import ModelFileError, OutOfMemoryError
from llamabench.hardware.speed import SpeedMemory
from llamabench.records import Overrides, SpeedTest


class FakeMeter:
    """Counts 10 joules from one reading to the next."""

    def __init__(self, *, has_devices: bool):
        self.notes = [f"devices: {has_devices}"]
        self.joules = 0.0

    def read(self) -> dict[str, float]:
        self.joules += 10
        return {"processor 0": self.joules}

    def close(self) -> None:
        self.notes.append("closed")


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "EnergyMeter", FakeMeter)


def test_the_tests_are_those_of_llama_bench_and_one_side_by_side() -> None:
    assert PLAIN_PLAN.generation.n_seq_max == 4
    assert list(list_tests(BenchOptions(), PLAIN_PLAN)) == [
        SpeedTest("prompt", 512),
        SpeedTest("generation", 128),
        SpeedTest("generation", 32, 4),
    ]
    assert list(list_tests(BenchOptions(n_prompt=0, n_generate=3), PLAIN_PLAN)) == [
        SpeedTest("generation", 3),
        SpeedTest("generation", 1, 4),
    ]
    assert list(list_tests(BenchOptions(n_generate=0), PLAIN_PLAN)) == [SpeedTest("prompt", 512)]


def test_everything_is_measured_once(demo_model: Path, engine_script: Any, meter: None) -> None:
    said: list[str] = []
    benched = bench_model(demo_model, BenchOptions(sustain_s=2.0), say=said.append)
    speed = benched.speed
    assert engine_script.calls == ["open_bench", "pp512", "tg128", "tg32 x 16", "close"]
    assert [timing.test.name for timing in speed.timings] == ["pp512", "tg128", "tg32 x 16"]
    assert speed.timings[0].seconds == (0.5, 0.51, 0.49, 0.5, 0.51)
    assert speed.timings[0].tokens_per_s[0] == 1024
    assert speed.timings[2].tokens_per_s[0] == 1024, "the tokens of all texts count"
    assert speed.first_token_s[0] == pytest.approx(0.51)
    assert speed.sustained is not None
    assert speed.sustained.test.name == "tg128"
    assert sum(speed.sustained.seconds) >= 2.0
    assert speed.load.seconds == 1.25
    assert said == [
        "Loading the model.",
        "pp512: 5 repeats.",
        "tg128: 5 repeats.",
        "tg128 for 2 s.",
        "tg32 x 16: 5 repeats.",
    ]


def test_energy_is_that_of_the_repeats_and_not_of_the_warm_up(
    demo_model: Path, engine_script: Any, meter: None
) -> None:
    speed = bench_model(demo_model, BenchOptions(n_generate=0), say=lambda _: None).speed
    assert speed.timings[0].joules == {"processor 0": 10}
    assert speed.timings[0].joules_per_token == {"processor 0": 10 / (5 * 512)}
    assert speed.no_energy == ("devices: False",)


def test_without_time_for_it_nothing_is_sustained(demo_model: Path, engine_script: Any, meter: None) -> None:
    speed = bench_model(demo_model, BenchOptions(sustain_s=0), say=lambda _: None).speed
    assert speed.sustained is None


def test_what_is_decided_of_the_plan_is_kept(demo_model: Path, engine_script: Any, meter: None) -> None:
    benched = bench_model(demo_model, overrides=Overrides(n_parallel=3, n_threads=7), say=lambda _: None)
    assert benched.plan.n_threads == 7
    assert engine_script.calls[3] == "tg32 x 3"


def test_steady_speeds_are_remembered_for_forecasts(
    demo_model: Path, engine_script: Any, meter: None, own_data_folder: Path
) -> None:
    bench_model(demo_model, say=lambda _: None)
    (place,) = SpeedMemory(own_data_folder / "speed.json").recall_places().values()
    assert place.bandwidth or place.overhead_s


def test_what_is_remembered_is_the_median_in_the_batch_that_was_read(
    demo_model: Path, engine_script: Any, meter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(
        benching, "keep_speeds", lambda *places, **speeds: kept.update(speeds, pack_tokens=places[3].pack_tokens)
    )
    bench_model(demo_model, BenchOptions(n_prompt=100), plan=PLAIN_PLAN, say=lambda _: None)
    assert kept == {"pack_tokens": 100, "prompt_tokens_per_s": 200.0, "generation_tokens_per_s": 256.0}


def test_doubtful_speeds_are_not_remembered(
    demo_model: Path, engine_script: Any, meter: None, own_data_folder: Path
) -> None:
    engine_script.repeat_s = (0.5, 0.5, 2.0)
    bench_model(demo_model, say=lambda _: None)
    assert SpeedMemory(own_data_folder / "speed.json").recall_places() == {}


def test_less_is_tried_when_memory_runs_out(
    demo_model: Path, engine_script: Any, meter: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_script.bench_failure = OutOfMemoryError("No room.")
    said: list[str] = []

    def restart(_: Any) -> None:
        engine_script.bench_failure = None

    monkeypatch.setattr(benching.Engine, "restart", restart)
    plan = bench_model(demo_model, plan=PLAIN_PLAN, say=said.append).plan
    assert plan.scoring.n_ubatch < PLAIN_PLAN.scoring.n_ubatch
    assert any("No room" in text for text in said)


def test_a_model_that_cannot_be_timed_is_an_error(demo_model: Path, engine_script: Any, meter: None) -> None:
    engine_script.bench_failure = ModelFileError("It makes embeddings.")
    with pytest.raises(ModelFileError, match="embeddings"):
        bench_model(demo_model, say=lambda _: None)
