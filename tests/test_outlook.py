"""What a suite will ask for, and where a plan puts a model in a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llamabench.data.cache import find_dataset
from llamabench.engine.process import PLAIN_PLAN
from llamabench.hardware.gguf import read_model
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.rates import PlaceSpeed, host_key
from llamabench.hardware.speed import SpeedMemory
from llamabench.outlook import estimate_suite, judge, look_ahead
from llamabench.records import Machine, ModelFacts
from llamabench.report.plan_picture import share_columns
from llamabench.suites import SUITES

MODEL = ModelFacts(
    path="m.gguf", name="m", architecture="llama", quant="Q4_0", size_bytes=1, n_params=1, n_layers=4, n_ctx_train=1,
    n_vocab=1, n_embd=1, layer_bytes=(1,) * 4, output_bytes=1, input_bytes=1, kv_bytes_per_token=(1,) * 4,
    has_chat_template=False, fingerprint="0",
)  # fmt: skip


@pytest.mark.parametrize("name", SUITES)
def test_a_part_of_a_suite_asks_for_its_part(name: str) -> None:
    suite = SUITES[name]
    dataset = find_dataset(suite.DATA_SOURCES, "starter")
    whole = estimate_suite(suite, dataset, limit=None, use_chat=False)
    n_items = sum(1 for _ in suite.items(dataset, use_chat=False))
    assert (whole.suite, whole.edition, whole.n_items) == (name, dataset.edition, n_items)
    assert whole.demand.n_prompt_tokens + whole.demand.n_generated_tokens > n_items
    tenth = estimate_suite(suite, dataset, limit=n_items // 10, use_chat=False)
    for part, all_of_it in (
        (tenth.demand.n_prompt_tokens, whole.demand.n_prompt_tokens),
        (tenth.demand.n_generated_tokens, whole.demand.n_generated_tokens),
    ):
        assert part == pytest.approx(all_of_it * tenth.n_items / whole.n_items, rel=0.01)
    assert estimate_suite(suite, dataset, limit=10**9, use_chat=False) == whole


@pytest.mark.parametrize(
    ("n_gpu_layers", "n_cpu_moe", "verdict"),
    [(5, 0, "devices"), (5, 2, "experts_on_host"), (4, 0, "partly"), (4, 2, "partly"), (0, 0, "host")],
)
def test_verdicts(n_gpu_layers: int, n_cpu_moe: int, verdict: str) -> None:
    assert judge(MODEL, replace(PLAIN_PLAN, n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe)) == verdict
    assert judge(MODEL, None) == "does_not_fit"


def test_what_was_measured_is_expected_again(demo_model: Path, small_machine: Machine, tmp_path: Path) -> None:
    model, memory = read_model(demo_model), SpeedMemory(tmp_path / "speed.json")

    def look() -> tuple[str, str]:
        speed = look_ahead(model, small_machine, [], overrides=NO_OVERRIDES, memory=memory).speed
        assert speed is not None
        return speed.prompt.basis, speed.generation_1.basis

    assert look() == ("assumed", "assumed")
    memory.keep_places({host_key(small_machine, model): PlaceSpeed(bandwidth=2e10, overhead_s=0.001)})
    assert look() == ("assumed", "measured")


@pytest.mark.parametrize(
    ("sizes", "whole", "columns"),
    [
        ((50, 25, 1, 0), 100, [5, 2, 1, 0]),
        ((0, 0), 0, [0, 0]),
        ((90, 90, 90), 100, [3, 3, 3]),
        ((1, 1, 1, 9997), 10_000, [1, 1, 1, 7]),
    ],
)
def test_bars_are_never_longer_than_they_may_be(sizes: tuple[int, ...], whole: int, columns: list[int]) -> None:
    assert share_columns(sizes, whole, 10) == columns
