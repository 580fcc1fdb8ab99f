"""What goes wrong on the command line: the right exit code, one message, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamabench.cli import main
from llamabench.errors import EngineError

Command = Callable[..., Any]


def check_one_error(done: Any, code: int, *words: str) -> None:
    assert done.code == code
    assert done.out == ""
    assert "Traceback" not in done.err
    lines = done.err.splitlines()
    if code == 2:
        assert [line.split(":")[0] for line in lines if line] == ["Usage", lines[1], "Error"]
    else:
        assert [line for line in lines if line.startswith("Error: ")] == lines
    for word in words:
        assert word in lines[-1]


# --- the model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"hello\n", b"", b"GGU", b"PK\x03\x04" * 99, b"\x00" * 9999], ids=repr)
def test_a_file_that_is_no_model(llamabench: Command, content: bytes) -> None:
    Path("x.gguf").write_bytes(content)
    check_one_error(llamabench("run", "x.gguf"), 1, "x.gguf")


@pytest.mark.parametrize("keep", [4, 24, 1000, 9000, 100_000])
def test_a_model_cut_short(llamabench: Command, demo_model: Path, keep: int) -> None:
    Path("x.gguf").write_bytes(demo_model.read_bytes()[:keep])
    check_one_error(llamabench("run", "x.gguf"), 1, "x.gguf", "Download it again")


def test_a_model_that_is_not_there(llamabench: Command, demo_model: Path) -> None:
    check_one_error(llamabench("run", "llama.gguf"), 1, "no model file at llama.gguf")
    Path("llama-7b.gguf").write_bytes(b"")
    check_one_error(llamabench("run", "lama-7b.gguf"), 1, "Did you mean llama-7b.gguf?")
    check_one_error(llamabench("run", "dem"), 1, 'No model is called "dem"', "Did you mean demo?")
    check_one_error(llamabench("run", ""), 1, 'No model is called ""')


def test_a_folder_is_no_model(llamabench: Command) -> None:
    check_one_error(llamabench("run", "."), 1, "is a folder, not a model file", "holds no .gguf file")
    Path("x.gguf").write_bytes(b"")
    check_one_error(llamabench("run", "."), 1, "Name one of its files: x.gguf")


def test_a_list_of_models_that_is_damaged(llamabench: Command) -> None:
    Path("models.toml").write_text("[models.x")
    for command in (["models"], ["run", "x"]):
        check_one_error(llamabench(*command), 1, "models.toml cannot be read")


# --- suites, data, folders ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        ("bqb", ['No suite is called "bqb"', "Did you mean bbq?", "truthfulqa_mc"]),
        ("truthfulqa", ["Did you mean truthfulqa_mc?"]),
        ("", ['No suite is called ""', "There are: bbq"]),
        ("bbq:2021", ['No edition is called "2021"', "Did you mean 2022?"]),
        ("bbq:2022", ["is not imported", "`llamabench data import bbq FOLDER`"]),
    ],
)
def test_a_suite_that_is_not_there(llamabench: Command, demo_model: Path, suite: str, words: list[str]) -> None:
    check_one_error(llamabench("run", str(demo_model), "--suite", suite), 1, *words)
    assert list(Path.cwd().iterdir()) == []


def test_a_suite_asked_for_twice(llamabench: Command, demo_model: Path) -> None:
    done = llamabench("run", str(demo_model), "--suite", "bbq", "--suite", "bbq:starter")
    check_one_error(done, 1, "bbq is asked for twice")


def test_a_folder_that_cannot_be_written(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    Path("file").write_text("")
    places = ["file", "a" * 300, *(["/proc/self/x"] if Path("/proc/self").exists() else [])]
    for place in places:
        check_one_error(llamabench("run", str(demo_model), "--out", place), 1, "The run folder", place)


def test_nothing_to_go_on_with(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    done = llamabench("run", str(demo_model), "--resume", "--out", "runs")
    check_one_error(done, 1, "no unfinished run of this command in runs", "without --resume")


def test_a_template_that_is_no_text(llamabench: Command, demo_model: Path) -> None:
    Path("t.jinja").write_bytes(b"\xff")
    done = llamabench("run", str(demo_model), "--chat-template", "t.jinja")
    check_one_error(done, 1, "The chat template t.jinja cannot be read")


def test_a_report_of_nothing(llamabench: Command) -> None:
    check_one_error(llamabench("report", "nowhere"), 1, "nowhere holds no run")
    Path("run.sqlite").write_text("no database " * 99)
    check_one_error(llamabench("report", "."), 1, "run.sqlite is damaged")


def test_data_that_is_not_there(llamabench: Command) -> None:
    check_one_error(llamabench("data", "import", "bqb", "."), 1, 'No data set is called "bqb"', "Did you mean bbq?")
    check_one_error(llamabench("data", "import", "bbq", "nowhere"), 1, "nowhere is not a folder")
    check_one_error(llamabench("data", "import", "bbq", "."), 1, "does not hold Bias Benchmark for QA")


def test_a_data_folder_that_cannot_be_used(llamabench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("LLAMABENCH_DATA", "file")
    check_one_error(llamabench("run", "demo"), 1, "The demo model cannot be written", "LLAMABENCH_DATA")


# --- wrong usage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu", "x.gguf"], ["'rnu'", "Did you mean run?"]),
        (["xyzzy"], ["There is no command 'xyzzy'."]),
        (["data", "imprt"], ["imprt", "import"]),
        (["run"], ["MODEL"]),
        (["run", "demo", "--limt", "3"], ["--limt", "--limit"]),
        (["run", "demo", "--limit", "0"], ["--limit"]),
        (["run", "demo", "--limit", "many"], ["--limit", "many"]),
        (["run", "demo", "--seed", "-1"], ["--seed"]),
        (["run", "demo", "second.gguf"], ["second.gguf"]),
        (["run", "demo", "--suite"], ["--suite"]),
        (["run", "demo", "--chat-template", "nowhere"], ["nowhere"]),
        (["report"], ["RUN"]),
        (["data", "import", "bbq"], ["FOLDER"]),
        (["--nonsense"], ["--nonsense"]),
    ],
    ids=" ".join,
)
def test_wrong_usage(llamabench: Command, arguments: list[str], words: list[str]) -> None:
    done = llamabench(*arguments)
    assert (done.code, done.out) == (2, "")
    *hints, error = done.err.splitlines()
    assert error.startswith("Error: ")
    for word in words:
        assert word in error
    # click knows no command where an option lacks its value
    if hints:
        assert hints[0].startswith("Usage: llamabench")
        assert "--help" in hints[1]


@pytest.mark.parametrize("arguments", [[], ["data"]], ids=str)
def test_no_command_shows_what_there_is(llamabench: Command, arguments: list[str]) -> None:
    done = llamabench(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err


# --- in the middle of a run ---------------------------------------------------------------------


def test_an_error_in_a_run_says_what_is_saved(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, EngineError("The process that ran it was ended by SIGKILL.")
    done = llamabench("run", str(demo_model), "--suite", "preference", "--quiet")
    assert (done.code, done.out) == (1, "")
    error, saved = done.err.splitlines()
    assert error == "Error: The process that ran it was ended by SIGKILL."
    assert re.fullmatch(
        r"\d+ of 96 items of preference are saved in llamabench-runs/\S+\. The same command goes on from there\.", saved
    )
    engine_script.fail_after = None
    assert llamabench("run", str(demo_model), "--suite", "preference", "--quiet").code == 0


def test_ctrl_c_says_what_is_saved(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    done = llamabench("run", str(demo_model), "--suite", "preference", "--quiet")
    assert (done.code, done.out) == (130, "")
    assert re.fullmatch(r"Interrupted\. \d+ of 96 items of preference are saved in .*goes on from there\.\n", done.err)


def test_a_run_that_is_always_new_says_how_to_go_on(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    done = llamabench("run", str(demo_model), "--suite", "preference", "--quiet", "--no-resume")
    assert "The same command without --no-resume goes on from there." in done.err


def test_ctrl_c_once_all_is_scored(
    llamabench: Command, demo_model: Path, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamabench.report.render.write_score_report", interrupt)
    done = llamabench("run", str(demo_model), "--suite", "preference", "--quiet")
    assert done.code == 130
    assert "Report: " not in done.out
    (folder,) = Path("llamabench-runs").iterdir()
    assert done.err == f"Interrupted. The scores are safe: llamabench report {folder}\n"


def test_ctrl_c_before_anything_began(llamabench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamabench.data.models.find_model", interrupt)
    done = llamabench("run", "demo")
    assert (done.code, done.out, done.err.strip()) == (130, "", "Interrupted.")


# --- faults of our own --------------------------------------------------------------------------


def break_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("our fault")

    monkeypatch.setattr("llamabench.data.models.list_models", fail)


def test_a_fault_of_ours_leaves_a_log(llamabench: Command, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    break_models(monkeypatch)
    done = llamabench("models")
    assert (done.code, done.out) == (3, "")
    (line,) = done.err.splitlines()
    found = re.search(r"Details are in (\S+\.log)\.$", line)
    assert found
    log = Path(found[1])
    assert own_home in log.parents
    text = log.read_text(encoding="utf-8")
    assert "ZeroDivisionError: our fault" in text
    assert "llamabench 0." in text


def test_the_log_goes_elsewhere_when_home_cannot_be_written(
    llamabench: Command, monkeypatch: pytest.MonkeyPatch, own_home: Path, tmp_path: Path
) -> None:
    (own_home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(own_home / "file"))
    monkeypatch.setenv("HOME", str(own_home / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    break_models(monkeypatch)
    done = llamabench("models")
    assert done.code == 3
    assert str(tmp_path) in done.err


def test_without_any_place_for_a_log_the_details_are_shown(
    llamabench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_models(monkeypatch)

    def fail(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(Path, "mkdir", fail)
    done = llamabench("models")
    assert done.code == 3
    assert "ZeroDivisionError: our fault" in done.err


# --- the process itself -------------------------------------------------------------------------


def test_the_exit_code_reaches_the_shell() -> None:
    done = subprocess.run([sys.executable, "-m", "llamabench", "rnu"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("command", [["suites"], ["data", "list"], ["models", "--json"]], ids=str)
def test_a_reader_that_goes_away_is_no_error(command: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "llamabench", *command],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [["suites"], ["data", "list"], ["models"], ["run", "\udcff.gguf"]], ids=ascii)
def test_a_terminal_that_knows_ascii_only_is_enough(command: list[str], in_tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llamabench", *command],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == (1 if command[0] == "run" else 0), done.stderr
    assert b"fault" not in done.stderr


def test_every_command_can_be_imported() -> None:
    for name, module in main.COMMANDS.items():
        assert main.group.get_command(None, name) is not None, module  # type: ignore[arg-type]
