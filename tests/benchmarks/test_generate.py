from __future__ import annotations

from pathlib import Path

import pytest
from generate_peers import BatchedRun, run_batched_bench
from generate_results import Case, Load, Measured, Turn
from measuring import Target

CASE = Case("135m", 8, "greedy", 0.95)


def turn(*, ours_s: float = 1.0, peer_s: float = 1.0, n_ours: int = 100, others: float = 0.0) -> Turn:
    return Turn(ours_s, n_ours, peer_s, 100, others)


def measured(*turns: Turn) -> Measured:
    results = Measured()
    for one in turns:
        results.add(CASE, one)
    return results


def run(tool: Path) -> BatchedRun:
    return run_batched_bench(tool, Path("m.gguf"), n_parallel=8, n_prompt=16, n_tokens=32, n_cells=256, n_threads=2)


class TestBatchedBench:
    def test_its_output_is_read(self, tmp_path: Path) -> None:
        tool = tmp_path / "llama-batched-bench"
        tool.write_text(
            "#!/bin/sh\n"
            f'echo "$@" > {tmp_path}/asked\n'
            "echo 'some line'\n"
            'echo \'{"pp": 16, "tg": 32, "pl": 8, "t_pp": 0.25, "t_tg": 1.5, "t": 1.75}\'\n'
        )
        tool.chmod(0o755)
        assert run(tool) == BatchedRun(0.25, 1.5)
        asked = (tmp_path / "asked").read_text()
        assert "-c 2048 " in asked
        assert "-pps -npp 16 -ntg 32 -npl 8 -t 2" in asked

    def test_failure_is_told(self, tmp_path: Path) -> None:
        tool = tmp_path / "llama-batched-bench"
        tool.write_text("#!/bin/sh\necho 'no such model' >&2\nexit 1\n")
        tool.chmod(0o755)
        with pytest.raises(SystemExit, match="no such model"):
            run(tool)


class TestResults:
    def test_ratio_is_that_of_speeds(self) -> None:
        assert turn(ours_s=2.0, peer_s=1.0).ratio == 0.5
        assert turn(ours_s=1.0, peer_s=1.0, n_ours=90).ratio == pytest.approx(0.9), "texts that ended early count less"

    def test_targets_are_medians(self) -> None:
        results = measured(turn(ours_s=1.0), turn(ours_s=1.25), turn(ours_s=2.0))
        assert list(results.targets()) == [Target("135m_greedy_8", 0.8, 0.95)]
        assert next(results.lines()) == (
            "135m_greedy_8: 80 tokens/s, llama-batched-bench 100 (turns: 1.000, 0.800, 0.500)"
        )

    def test_disturbed_turns_are_not_counted(self) -> None:
        results = measured(turn(), turn(ours_s=9.0, others=0.5))
        assert results.ratio(CASE) == 1.0
        assert results.n_quiet() == 1
        assert not list(results.doubts())

    def test_nothing_but_disturbed_turns_is_doubtful(self) -> None:
        results = measured(turn(others=0.5))
        assert results.counted(CASE) == results.turns[CASE]
        assert any("busy during every turn" in doubt for doubt in results.doubts())

    def test_load(self) -> None:
        load = Load(n_prompts=4, n_samples=25, ours_s=(2.0, 1.0, 4.0), completion_s=(0.1, 0.2, 0.3))
        assert load.prompts_per_s == 2.0
        assert load.target() == Target("load_vs_create_completion", pytest.approx(10.0), 5)
        assert load.line() == "4 prompts, 25 texts each: 2.00 prompts/s, create_completion 0.200 (from 3 texts)"
