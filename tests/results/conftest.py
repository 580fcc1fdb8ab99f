"""A run to store, with rows of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llamabench.records import (
    ContextPlan,
    Device,
    Exchange,
    ItemRow,
    Machine,
    Metric,
    ModelFacts,
    Plan,
    RunInfo,
    Score,
    SuiteChoice,
)

PLAN = Plan(
    n_gpu_layers=3,
    tensor_split=(0.25, 0.75),
    n_threads=4,
    scoring=ContextPlan(4096, 64, 512, 256, 512, True),
    generation=ContextPlan(2048, 4, 512, 256, 64, False),
    strategy="packed",
    pack_tokens=128,
    chunk_tokens=777,
    flash_attention="on",
    expected_bytes={"CUDA0": 5 << 30, "CPU": 1},
    reasons=("Because.", "And „so“."),
)

INFO = RunInfo(
    id="0123456789ab",
    created="2026-03-04T14:05:09+01:00",
    llamabench="0.1.0",
    model=ModelFacts(
        path="models/tiny.gguf",
        name="tiny",
        architecture="llama",
        quant="Q8_0",
        size_bytes=1 << 33,
        n_params=7,
        n_layers=2,
        n_ctx_train=4096,
        n_vocab=300,
        n_embd=8,
        layer_bytes=(10, 11),
        output_bytes=3,
        input_bytes=4,
        kv_bytes_per_token=(5, 6),
        has_chat_template=True,
        fingerprint="f00d",
    ),
    machine=Machine(
        os="Linux",
        cpu="A processor",
        n_performance_cores=4,
        ram_total_bytes=1 << 40,
        ram_available_bytes=1 << 39,
        devices=(Device("CUDA0", "A card", "gpu", "CUDA", 1, 2), Device("CUDA1", "Another", "igpu", "CUDA", 3, 4)),
        llama_cpp_python="0.3.36",
        llama_cpp_commit="0c1e57098",
    ),
    plan=PLAN,
    suites=(SuiteChoice("bbq", 1, "2022", 4, 58492, "ab" * 32), SuiteChoice("alpha", 2, "starter", 1, 1, "cd" * 32)),
    limit=None,
    seed=7,
    use_chat=False,
    chat_template_sha256=None,
)


def _make_rows(n: int, *, suite: str = "bbq", start: int = 0) -> list[ItemRow]:
    """Rows whose ids do not sort in their order."""
    return [
        ItemRow(
            suite=suite,
            id=f"{suite}-{number * 7919 % 1000:03}-{number}",
            group=f"Gr\u00fcppe {number % 3}",
            cluster=f"template {number % 2}",
            outcome="scored",
            facts={"label": number % 3, "nested": {"a": [1, None, "x", {"b": True}]}, "loc": None},
            values={"correct": float(number % 2), "margin": -0.1 * number},
            error=None,
            exchanges=(
                Exchange(f"Q{number}\x00\u2028?", ({"text": " a", "logprob": -1.2345678901234567, "n_tokens": 1},)),
                Exchange("second", ()),
            ),
        )
        for number in range(start, start + n)
    ]


SCORES = [
    Score("bbq", Metric("accuracy", 0.1 + 0.2, 3, 0.0, 1.0, "Wilson", None, 1, 2), "suite:bbq|v:1"),
    Score("bbq", Metric("accuracy", None, 0, None, None, "none: no items", "Age"), "suite:bbq|v:1"),
]


@pytest.fixture
def info() -> RunInfo:
    return INFO


@pytest.fixture
def make_rows() -> Callable[..., list[ItemRow]]:
    return _make_rows


@pytest.fixture
def scores() -> list[Score]:
    return list(SCORES)
