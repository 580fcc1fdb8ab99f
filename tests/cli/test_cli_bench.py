"""`bench`, and `run --bench`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamabench.errors import EngineError, ModelFileError
from llamabench.results.store import Run

Command = Callable[..., Any]


@pytest.fixture
def run(llamabench: Command, demo_model: Path, engine_script: Any) -> Command:
    return lambda *options: llamabench("run", str(demo_model), "--suite", "preference", "--quiet", *options)


def only_run() -> Path:
    (folder,) = Path("llamabench-runs").iterdir()
    return folder


class TestBench:
    def test_the_table_says_what_was_measured(self, llamabench: Command, demo_model: Path, engine_script: Any) -> None:
        done = llamabench("bench", str(demo_model), "--sustain", "3")
        assert done.code == 0
        shown = " ".join(done.out.split())
        assert "pp512 1,020 ± 17" in shown
        assert "tg128 255.0 ± 4.3" in shown
        assert "Time to first token 0.512 ± 0.008 s after a prompt of 512 tokens" in shown
        assert "counter" in shown
        assert max(map(len, done.out.splitlines())) <= 80
        assert done.err.splitlines()[:2] == ["Loading the model.", "pp512: 5 repeats."]
        assert not Path("llamabench-runs").exists()

    def test_json_is_one_document(self, llamabench: Command, demo_model: Path, engine_script: Any) -> None:
        options = ("--prompt", "100", "--generate", "0", "--repetitions", "2", "--json", "--quiet", "--threads", "3")
        done = llamabench("bench", str(demo_model), *options)
        assert (done.code, done.err) == (0, "")
        document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert list(document) == ["model", "machine", "plan", "speed", "report"]
        assert document["plan"]["n_threads"] == 3
        assert [test["name"] for test in document["speed"]["tests"]] == ["pp100"]
        assert document["speed"]["tests"][0]["tokens_per_s"] == [200.0, pytest.approx(100 / 0.51)]
        assert document["report"] is None

    def test_doubtful_repeats_are_told(self, llamabench: Command, demo_model: Path, engine_script: Any) -> None:
        engine_script.repeat_s = (0.5, 0.5, 2.0)
        done = llamabench("bench", str(demo_model), "--repetitions", "3", "--sustain", "0", "--quiet")
        assert "! pp512: the repeats spread by 58% of their mean." in " ".join(done.out.split())

    def test_nothing_to_measure_is_wrong_usage(self, llamabench: Command, demo_model: Path) -> None:
        done = llamabench("bench", str(demo_model), "--prompt", "0", "--generate", "0")
        assert done.code == 2
        assert "nothing to measure" in done.err

    def test_a_model_that_cannot_be_timed_is_an_error(
        self, llamabench: Command, demo_model: Path, engine_script: Any
    ) -> None:
        engine_script.bench_failure = ModelFileError("It cannot be timed.")
        done = llamabench("bench", str(demo_model), "--quiet")
        assert (done.code, done.out, done.err) == (1, "", "Error: It cannot be timed.\n")

    @pytest.mark.model
    def test_a_real_model_from_end_to_end(self, llamabench: Command, demo_model: Path) -> None:
        options = ("--prompt", "64", "--generate", "8", "--repetitions", "2", "--sustain", "0.2", "--parallel", "2")
        done = llamabench("bench", str(demo_model), *options, "--json", "--quiet")
        assert done.code == 0
        speed = json.loads(done.out)["speed"]
        assert [test["name"] for test in speed["tests"]] == ["pp64", "tg8", "tg2 x 2"]
        assert all(speed > 0 for test in speed["tests"] for speed in test["tokens_per_s"])
        assert speed["load"]["seconds"] > 0
        assert len(speed["first_token_s"]) == 2
        assert speed["sustained"]["name"] == "tg8"
        assert speed["memory"][0]["peak_bytes"] > 10 << 20


class TestIntoARun:
    def test_a_finished_run_gets_the_speed_of_its_own_plan(
        self, run: Command, llamabench: Command, demo_model: Path, engine_script: Any
    ) -> None:
        run("--threads", "3")
        folder = only_run()
        tests = "Tokens per second, mean ± standard deviation over the repeats"
        assert tests not in (folder / "score.html").read_text(encoding="utf-8")
        done = llamabench("bench", str(demo_model), "--run", str(folder), "--quiet")
        assert done.code == 0
        assert done.out.splitlines()[-1] == f"Report: {folder}/score.html"
        assert tests in (folder / "score.html").read_text(encoding="utf-8")
        with Run(folder) as stored:
            assert stored.info.plan.n_threads == 3
            assert stored.speeds()[0].timings[0].test.name == "pp512"
            assert stored.is_finished
        document = json.loads(llamabench("report", str(folder), "--json").out)
        assert document["speed"]["tests"][0]["name"] == "pp512"

    def test_a_run_of_another_model_is_refused(
        self, run: Command, llamabench: Command, demo_model: Path, engine_script: Any
    ) -> None:
        run()
        other = Path("other.gguf")
        other.write_bytes(demo_model.read_bytes()[:-1] + b"x")
        done = llamabench("bench", str(other), "--run", str(only_run()), "--quiet")
        assert done.code == 1
        assert "Give the model of the run." in done.err

    def test_another_plan_than_the_runs_is_wrong_usage(self, llamabench: Command, demo_model: Path) -> None:
        done = llamabench("bench", str(demo_model), "--run", "somewhere", "--threads", "3")
        assert done.code == 2
        assert "the run's own plan" in done.err

    def test_a_folder_without_a_run_is_an_error(self, llamabench: Command, demo_model: Path) -> None:
        done = llamabench("bench", str(demo_model), "--run", "nowhere", "--quiet")
        assert done.code == 1
        assert "holds no run" in done.err


class TestRunWithBench:
    def test_the_speed_is_measured_before_the_suites(self, run: Command, engine_script: Any) -> None:
        done = run("--bench", "--json")
        assert done.code == 0
        assert json.loads(done.out)["speed"]["tests"][0]["name"] == "pp512"
        assert engine_script.calls[:4] == ["open", "measure", "restart", "open_bench"]

    def test_it_does_not_change_which_run_it_is(self, run: Command, engine_script: Any) -> None:
        run()
        run("--bench", "--out", "other")
        (other,) = Path("other").iterdir()
        assert other.name == only_run().name

    def test_a_run_can_do_without(self, run: Command, engine_script: Any) -> None:
        engine_script.bench_failure = EngineError("The context is refused.")
        done = run("--bench", "--json")
        assert done.code == 0
        assert json.loads(done.out)["speed"] is None
        with Run(only_run()) as stored:
            assert stored.is_finished
            assert [(event.kind, event.text) for event in stored.events()] == [
                ("not measured", "The speed could not be measured. The context is refused.")
            ]

    def test_a_run_that_goes_on_is_not_measured_twice(self, run: Command, engine_script: Any) -> None:
        engine_script.speed = engine_script.speed._replace(tokens_per_s=10.0)
        engine_script.fail_after, engine_script.failure = 1, ModelFileError("It died.")
        assert run("--bench").code == 1
        engine_script.fail_after = None
        assert run("--bench").code == 0
        assert engine_script.calls.count("open_bench") == 1
        with Run(only_run()) as stored:
            assert len(stored.speeds()) == 1
