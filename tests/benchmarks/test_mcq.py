from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
from mcq_peers import (
    Choices,
    PerplexityOptions,
    PromptTest,
    default_settings,
    other_settings,
    run_perplexity,
    write_tasks,
)
from mcq_results import Measured, Turn
from measuring import Target

from llamabench.repeats import find_doubts

TEST = PromptTest(128, "1")
OPTIONS = PerplexityOptions(512, 32)


def turn(*, ours_s: float = 1.0, peer_s: float = 3.0, others: float = 0.0) -> Turn:
    return Turn(ours_s, 100, peer_s, None, {TEST: 900.0}, {TEST: 1100.0}, 500.0, others)


def measured(*turns: Turn) -> Measured:
    benchmark = SimpleNamespace(
        name="bbq",
        data="made up",
        n_items=10,
        n_choices=30,
        most_answers=3,
        naive_tokens=970,
        peer_tokens=900,
        trie_tokens=800,
        n_rows=100,
    )
    return Measured(benchmark, turns=list(turns), completion_tokens=[50, 50], completion_s=[4.0, 6.0])


class TestTaskFile:
    def test_reads_back_as_llama_perplexity_reads_it(self, tmp_path: Path) -> None:
        tasks = [
            Choices("Q: é?\nA:", ("yes", "no"), (False, True)),
            Choices("Q", ("a", "b", "c"), (True, False, False)),
        ]
        write_tasks(tmp_path / "tasks.bin", tasks)
        raw = (tmp_path / "tasks.bin").read_bytes()
        n, first, second = struct.unpack_from("<3I", raw)
        assert n == 2
        assert read_task(raw, first) == (tasks[0], second)
        assert read_task(raw, second) == (tasks[1], len(raw))


def read_task(raw: bytes, position: int) -> tuple[Choices, int]:
    def number() -> int:
        nonlocal position
        position += 4
        return int(struct.unpack_from("<i", raw, position - 4)[0])

    def text() -> str:
        nonlocal position
        length = number()
        position += length
        return raw[position - length : position].decode()

    prompt = text()
    for _ in range(2):
        answers = tuple(text() for _ in range(number()))
        labels = tuple(bool(number()) for _ in answers)
    return Choices(prompt, answers, labels), position


class TestPerplexity:
    def test_its_output_is_read(self, tmp_path: Path) -> None:
        tool = tmp_path / "llama-perplexity"
        tool.write_text(
            "#!/bin/sh\n"
            "echo '0.00.301.000 I system_info: n_threads = 2 (n_threads_batch = 2) / 2 | CPU : AVX = 1 | '\n"
            "echo '0.59.500.250 I multiple_choice_score: there are 3 tasks in prompt'\n"
            "printf '1\\t100.00000000\\n2\\t50.00000000\\n3\\t66.66666667\\n'\n"
            "echo '1.02.000.250 I Final result: 66.6667 +/- 33.3333'\n"
        )
        tool.chmod(0o755)
        run = run_perplexity(tool, Path("m.gguf"), Path("t.bin"), n_threads=2, options=OPTIONS)
        assert run.seconds == pytest.approx(2.5)
        assert run.is_right == (True, False, True)
        assert run.features == "CPU : AVX = 1 |"

    def test_failure_is_told(self, tmp_path: Path) -> None:
        tool = tmp_path / "llama-perplexity"
        tool.write_text("#!/bin/sh\necho 'no such model'\nexit 1\n")
        tool.chmod(0o755)
        with pytest.raises(SystemExit, match="no such model"):
            run_perplexity(tool, Path("m.gguf"), Path("t.bin"), n_threads=2, options=OPTIONS)

    def test_settings_hold_the_longest_question(self) -> None:
        others = other_settings(n_answers=40, n_tokens=300)
        assert [options.n_ctx for options in others] == [512, 1024, 2048]
        assert all(options.n_sequences >= 40 for options in others)
        assert OPTIONS.arguments() == ["-c", "16", "-np", "32", "-ub", "512"]

    def test_defaults_are_512_tokens_and_at_least_4_sequences(self) -> None:
        assert default_settings(3).arguments() == ["-c", "512", "-np", "4", "-ub", "512"]
        assert default_settings(11).arguments() == ["-c", "512", "-np", "11", "-ub", "512"]


class TestResults:
    def test_targets(self) -> None:
        ratio, completion, efficiency = measured(turn(), turn(peer_s=5.0), turn(peer_s=2.5)).targets()
        assert ratio == Target("bbq_vs_llama_perplexity", 3.0, 2)
        assert completion.value == pytest.approx(0.1 * 1000 / 10 / 0.1)
        assert efficiency.value == pytest.approx(0.8)

    def test_tuned_peer_is_shown_beside(self) -> None:
        results = measured(Turn(1.0, 100, 3.0, 2.5, {TEST: 900.0}, {TEST: 1100.0}, 500.0, 0.0))
        results.tried = {OPTIONS: 1.0, default_settings(3): 2.0}
        assert "  against llama-perplexity -c 16 -np 32 -ub 512, its fastest settings: 2.50 times" in results.lines()

    def test_cost_of_logits_is_in_the_limit(self) -> None:
        results = measured(turn())
        assert results.efficiency_with_logits(results.turns[0]) == pytest.approx(0.7 + 0.2)

    def test_disturbed_turns_are_not_counted(self) -> None:
        results = measured(turn(), turn(ours_s=9.0, others=0.5))
        assert results.median(lambda t: t.ours_s) == 1.0
        assert not list(results.doubts())

    def test_nothing_but_disturbed_turns_is_doubtful(self) -> None:
        results = measured(turn(others=0.5))
        assert results.counted == results.turns
        assert any("busy during every turn" in doubt for doubt in results.doubts())


class TestMeasuring:
    def test_value_is_rounded_down(self) -> None:
        assert Target("speed", 1.9999, 2).line() == "speed\t1.999\t2\tbelow"
        assert Target("speed", 2.0, 2).line() == "speed\t2.000\t2\tok"
        assert Target("speed", float("nan"), 2).line() == "speed\tnan\t2\tbelow"

    def test_some_values_are_not_to_be_exceeded(self) -> None:
        assert Target("memory", 2.0001, 2, at_most=True).line() == "memory\t2.001\t2\tbelow"
        assert Target("memory", 1.5, 2, at_most=True).line() == "memory\t1.500\t2\tok"
        assert not Target("memory", float("nan"), 2, at_most=True).is_met

    def test_doubts(self) -> None:
        assert find_doubts("x", [1.0]) == []
        assert find_doubts("x", [1.0, 1.01, 0.99]) == []
        assert len(find_doubts("x", [1.0, 1.2, 0.9])) == 1
        assert len(find_doubts("x", [1.0, 1.0, 1.0, 3.0])) == 2
