from __future__ import annotations

from pathlib import Path

import pytest
from bench import Compared, Turn, run_llama_bench
from measuring import Target

from llamabench.engine.process import PLAIN_PLAN
from llamabench.records import SpeedTest

PROMPT, TEXT = SpeedTest("prompt", 512), SpeedTest("generation", 128)


def turn(ours: float, peer: float = 100.0, others: float = 0.0) -> Turn:
    return Turn((ours, ours, 1.0), (peer, 1e6, peer), others)


def make_tool(folder: Path, text: str) -> Path:
    tool = folder / "llama-bench"
    tool.write_text(f'#!/bin/sh\necho "$@ spins $GOMP_SPINCOUNT" > {folder}/asked\n{text}\n')
    tool.chmod(0o755)
    return tool


def ask(tool: Path, test: SpeedTest, *, is_usual: bool = False) -> tuple[float, ...]:
    return run_llama_bench(tool, Path("m.gguf"), test, PLAIN_PLAN, n_repeats=2, is_usual=is_usual)


class TestLlamaBench:
    def test_its_repeats_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
        tool = make_tool(tmp_path, """echo '[{"avg_ts": 101.0, "samples_ts": [100.5, 101.5]}]'""")
        assert ask(tool, PROMPT) == (100.5, 101.5)
        asked = (tmp_path / "asked").read_text()
        assert f"-t {PLAIN_PLAN.n_threads} -ngl 0 -p 512 -n 0 -ub 512 -r 2 -o json spins 10000" in asked
        ask(tool, TEXT, is_usual=True)
        asked = (tmp_path / "asked").read_text()
        assert "-p 0 -n 128" in asked
        assert asked.endswith("spins \n")

    def test_failure_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="no such model"):
            ask(make_tool(tmp_path, "echo 'no such model' >&2; exit 1"), PROMPT)


class TestCompared:
    def test_the_target_is_the_median_of_medians(self) -> None:
        compared = Compared(PROMPT, [turn(98.0), turn(99.0), turn(50.0)])
        assert compared.target() == Target("pp512_vs_llama_bench", pytest.approx(0.98), 0.97)
        assert compared.line() == ("pp512: 98.0 tokens/s, llama-bench 100.0, ratio 0.980 (turns: 0.980, 0.990, 0.500)")

    def test_too_fast_is_as_wrong_as_too_slow(self) -> None:
        assert not Compared(PROMPT, [turn(104.0)]).target().is_met
        assert not Compared(PROMPT, [turn(96.0)]).target().is_met
        assert Compared(PROMPT, [turn(102.0)]).target().is_met

    def test_disturbed_turns_are_not_counted(self) -> None:
        compared = Compared(TEXT, [turn(100.0), turn(5.0, others=0.5)])
        assert compared.ratio == 1.0
        assert list(compared.doubts()) == []

    def test_nothing_but_disturbed_turns_is_doubtful(self) -> None:
        compared = Compared(TEXT, [turn(100.0, others=0.5)])
        assert compared.counted == compared.turns
        assert any("busy during every turn" in doubt for doubt in compared.doubts())
