"""Speed tests on a real model: what is decoded is what llama-bench decodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llamabench.engine import usage
from llamabench.engine.llama import Batch, Context
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.engine.timing import Bench, fit_context
from llamabench.errors import ModelFileError
from llamabench.records import ContextPlan, LoadTiming, ModelSpec, Plan, ScoreRequest, SpeedTest, TextPrompt

PROMPT, TEXT, TEXTS = SpeedTest("prompt", 150), SpeedTest("generation", 12), SpeedTest("generation", 5, 3)


@pytest.fixture
def open_bench(small_plan: Plan) -> Iterator[Callable[[Path], Bench]]:
    opened: list[Bench] = []

    def open_one(path: Path) -> Bench:
        opened.append(Bench(ModelSpec(str(path), small_plan)))
        return opened[-1]

    yield open_one
    for bench in opened:
        bench.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int], int]]:
    """Positions, sequences and the count of logits of each decode."""
    found: list[tuple[list[int], list[int], int]] = []
    decode = Context.decode

    def note(self: Context, batch: Batch) -> None:
        n = batch.struct.n_tokens
        found.append((batch.positions[:n].tolist(), batch.sequences[:n, 0].tolist(), int(batch.wants_logits[:n].sum())))
        decode(self, batch)

    monkeypatch.setattr(Context, "decode", note)
    return found


class TestContext:
    def test_it_is_as_small_as_can_be(self, small_plan: Plan) -> None:
        assert fit_context(PROMPT, small_plan) == ContextPlan(256, 1, 64, 64, 1, kv_unified=False, swa_full=False)
        assert fit_context(TEXTS, small_plan) == ContextPlan(768, 3, 64, 64, 3, kv_unified=False, swa_full=False)

    def test_batches_hold_a_token_of_each_text(self) -> None:
        tiny = dataclasses.replace(PLAIN_PLAN.generation, n_batch=2, n_ubatch=2)
        plan = dataclasses.replace(PLAIN_PLAN, generation=tiny)
        context = fit_context(TEXTS, plan)
        assert (context.n_batch, context.n_ubatch, context.n_outputs_max) == (3, 3, 3)


@pytest.mark.model
class TestBench:
    def test_a_prompt_is_read_in_pieces_from_an_empty_memory(
        self, demo_model: Path, open_bench: Callable[[Path], Bench], decoded: list[tuple[list[int], list[int], int]]
    ) -> None:
        bench = open_bench(demo_model)
        bench.prepare(PROMPT)
        decoded.clear()
        repeats = bench.repeat(2)
        assert len(repeats.seconds) == len(repeats.first_token_s) == 2
        assert [positions for positions, _, _ in decoded] == [
            list(range(64)),
            list(range(64, 128)),
            list(range(128, 150)),
        ] * 2
        assert {n_logits for _, _, n_logits in decoded} == {1}
        assert all(done < drawn for done, drawn in zip(repeats.seconds, repeats.first_token_s, strict=True))

    def test_a_text_is_decoded_token_by_token(
        self, demo_model: Path, open_bench: Callable[[Path], Bench], decoded: list[tuple[list[int], list[int], int]]
    ) -> None:
        bench = open_bench(demo_model)
        bench.prepare(TEXT)
        assert decoded[-1] == ([0], [0], 1), "warmed up by one token"
        decoded.clear()
        repeats = bench.repeat(1)
        assert decoded == [([position], [0], 1) for position in range(12)]
        assert repeats.first_token_s == ()

    def test_texts_side_by_side_have_a_token_each(
        self, demo_model: Path, open_bench: Callable[[Path], Bench], decoded: list[tuple[list[int], list[int], int]]
    ) -> None:
        bench = open_bench(demo_model)
        bench.prepare(TEXTS)
        decoded.clear()
        bench.repeat(1)
        assert decoded == [([position] * 3, [0, 1, 2], 3) for position in range(5)]

    def test_time_is_filled(self, demo_model: Path, open_bench: Callable[[Path], Bench]) -> None:
        bench = open_bench(demo_model)
        bench.prepare(TEXT)
        repeats = bench.repeat(0, 0.05)
        assert sum(repeats.seconds[:-1]) < 0.05 <= sum(repeats.seconds)
        assert bench.repeat(0).seconds == ()

    def test_the_host_holds_at_least_the_program_and_the_weights(
        self, demo_model: Path, open_bench: Callable[[Path], Bench]
    ) -> None:
        (host,) = open_bench(demo_model).memory()
        assert host.device == "CPU"
        assert host.peak_bytes >= host.program_bytes > 0

    def test_a_model_that_does_not_go_token_by_token_is_refused(
        self, shared_data: Path, open_bench: Callable[[Path], Bench]
    ) -> None:
        with pytest.raises(ModelFileError, match="cannot be timed: it is a diffusion model"):
            open_bench(shared_data / "archs" / "dream-dense.gguf")

    @pytest.mark.parametrize("name", ["mamba2-dense", "lfm2-dense", "gemma3-dense"])
    def test_every_kind_of_memory_can_be_timed(
        self, name: str, shared_data: Path, open_bench: Callable[[Path], Bench]
    ) -> None:
        bench = open_bench(shared_data / "archs" / f"{name}.gguf")
        for test in (PROMPT, TEXT, TEXTS):
            bench.prepare(test)
            assert bench.repeat(1).seconds[0] > 0


@pytest.mark.model
def test_an_engine_is_timed_in_its_process_and_scores_afterwards(demo_model: Path) -> None:
    question = ScoreRequest("q", TextPrompt("The quick brown fox"), (" jumps",))
    with Engine(demo_model) as engine:
        (before,) = engine.score([question])
        load = engine.open_bench()
        assert isinstance(load, LoadTiming)
        assert load.seconds > 0
        engine.prepare_test(TEXT)
        assert len(engine.repeat_test(2).seconds) == 2
        assert engine.bench_memory()[0].peak_bytes > 10 << 20
        assert engine.score([question]) == [before]


class TestUsage:
    def test_the_kernel_is_asked_first(self, tmp_path: Path) -> None:
        status = tmp_path / "status"
        status.write_text("Name:\tpython\nVmPeak:\t  999 kB\nVmHWM:\t  4096 kB\nVmRSS:\t 12 kB\n")
        assert usage.read_peak_bytes(status) == 4 << 20

    def test_without_it_the_system_is(self, tmp_path: Path) -> None:
        assert usage.read_peak_bytes(tmp_path / "missing") >= usage.read_resident_bytes() // 2 > 0

    def test_bytes_from_the_disk(self, tmp_path: Path) -> None:
        io = tmp_path / "io"
        io.write_text("rchar: 99\nwchar: 1\nread_bytes: 8192\nwrite_bytes: 0\n")
        assert usage.read_disk_bytes(io) == 8192
        assert usage.read_disk_bytes(tmp_path / "missing") is None
