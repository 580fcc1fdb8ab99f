"""The Tab key: commands, options and their values, asked as the shells ask, and by the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import ROOT

from llamabench.cli.main import run_command_line

RUN = "llamabench-runs/model-1a2b3c4d"


@pytest.fixture(autouse=True)
def folder(in_tmp_path: Path) -> Path:
    """A folder as a person has it: models, notes, a models.toml, runs."""
    for name in ("model.gguf", "model-q4.gguf", "moonlight.txt", "my words.gguf", "bandit.gguf"):
        (in_tmp_path / name).touch()
    (in_tmp_path / "more").mkdir()
    (in_tmp_path / "models.toml").write_text('[models.moon]\npath = "moonlight.gguf"\n')
    for run in (RUN, "kept/base-5e6f7a8b"):
        (in_tmp_path / run).mkdir(parents=True)
        (in_tmp_path / run / "run.sqlite").touch()
    (in_tmp_path / "llamabench-runs" / "site").mkdir()
    return in_tmp_path


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the program answers to a shell."""

    def ask(instruction: str, **variables: str) -> str:
        monkeypatch.setenv("_LLAMABENCH_COMPLETE", instruction)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert run_command_line([]) == 0
        return capsys.readouterr().out

    return ask


@pytest.fixture
def offers(complete: Callable[..., str]) -> Callable[[str], list[str]]:
    """What is offered in place of the last word, each with the kind that Click's scripts know."""

    def ask(line: str) -> list[str]:
        place = str(len(line.split(" ")) - 1)
        return complete("bash_complete", COMP_WORDS=line, COMP_CWORD=place).splitlines()

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_given_a_script(shell: str, complete: Callable[..., str]) -> None:
    script = complete(f"{shell}_source")
    assert f"_LLAMABENCH_COMPLETE={shell}_complete" in script
    assert f"_LLAMABENCH_COMPLETE={shell}_source" in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llamabench ru", "plain,run"),
        ("llamabench run model.gguf --time", "plain,--time-budget"),
        ("llamabench export RUN --format ju", "plain,junit"),
        ("llamabench data ver", "plain,verify"),
        ("llamabench run model.gguf --suite bbq_", "plain,bbq_letters"),
        ("llamabench plan model.gguf --suite xs", "plain,xstest"),
        ("llamabench redteam model.gguf --categories ja", "plain,jailbreak"),
        ("llamabench redteam model.gguf --techniques cr", "plain,crescendo"),
        ("llamabench redteam model.gguf --techniques direct,cr", "plain,direct,crescendo"),
        ("llamabench redteam model.gguf --behaviours do-not-answer-a", "plain,do-not-answer-areas"),
        ("llamabench run model.gguf --judge-format ru", "plain,rubric"),
        ("llamabench score RUN --ask ref", "plain,refused"),
        ("llamabench data pull bb", "plain,bbq"),
        ("llamabench data pull bbq jb", "plain,jbb"),
        ("llamabench data import bb", "plain,bbq"),
        ("llamabench run model.gguf --reference base", "plain,base"),
    ],
)
def test_commands_options_and_names_are_completed(line: str, expected: str, offers: Callable[[str], list[str]]) -> None:
    assert offers(line) == [expected]


@pytest.mark.parametrize(
    "command",
    ["run", "redteam", "plan", "bench", "run x.gguf --judge", "compare", "compare x.gguf", "score RUN --judge"],
)
def test_models_are_names_and_files(command: str, offers: Callable[[str], list[str]]) -> None:
    assert offers(f"llamabench {command} mod") == ["file,mod"]
    found = offers(f"llamabench {command} mo")
    assert found == ["plain,moon", "plain,model-q4.gguf", "plain,model.gguf", "plain,more/"]


def test_files_in_folders_are_left_to_the_shell(offers: Callable[[str], list[str]]) -> None:
    assert offers("llamabench run ~/mod") == ["file,~/mod"]


def test_names_that_want_quotes_are_left_to_the_shell(offers: Callable[[str], list[str]]) -> None:
    assert "plain,my words.gguf" not in offers("llamabench run ")
    assert offers("llamabench run my") == ["file,my"]


@pytest.mark.parametrize("command", ["report", "items", "export", "attacks", "score", "recover", "bench x.gguf --run"])
def test_runs_are_folders_that_hold_one(command: str, offers: Callable[[str], list[str]]) -> None:
    assert offers(f"llamabench {command} ") == [f"plain,{RUN}"]
    assert offers(f"llamabench {command} kept/") == ["plain,kept/base-5e6f7a8b"]
    assert offers(f"llamabench {command} llamabench-runs/s") == ["file,llamabench-runs/s"]


def test_both_sides_of_a_comparison_are_runs_or_models(offers: Callable[[str], list[str]]) -> None:
    assert offers("llamabench compare ba") == ["file,ba"]
    assert offers("llamabench compare llama") == [f"plain,{RUN}", "plain,llamabench-runs/"]
    assert offers("llamabench run x.gguf --reference ba") == ["plain,base", "plain,bandit.gguf"]


def test_a_models_toml_with_a_fault_costs_the_names_only(folder: Path, offers: Callable[[str], list[str]]) -> None:
    (folder / "models.toml").write_text("[models")
    assert offers("llamabench run mo") == ["file,mo"]


# --- the shells ---------------------------------------------------------------------------------

_PRESSES_TAB = {
    "bash": 'COMP_WORDS=({0}) COMP_CWORD={1}; _llamabench_completion llamabench; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "_describe() {{ print -rl -- ${{(P)3}} }}; compadd() {{ print -rl -- ${{(P)@[-1]}} }}\n"
    "words=({0}); CURRENT=$(({1}+1)); _llamabench_completion",
    "fish": "complete -C '{0}'",
}
"""What a shell does after some words and the Tab key; outside of a terminal zsh shows nothing by itself."""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llamabench ru", ["run"]),
        ("llamabench run x.gguf --suite bbq_", ["bbq_letters"]),
        ("llamabench redteam x.gguf --techniques direct,cr", ["direct,crescendo"]),
        ("llamabench run x.gguf --judge moo", ["moon"]),
        ("llamabench report llama", [RUN]),
    ],
)
def test_the_shells_take_the_scripts(shell: str, line: str, expected: list[str], complete: Callable[..., str]) -> None:
    assert press_tab(shell, line, complete) == expected


def test_a_shell_that_is_handed_files_finds_them(complete: Callable[..., str]) -> None:
    found = press_tab("fish", "llamabench run mod", complete)
    assert sorted(found) == ["model-q4.gguf", "model.gguf", "models.toml"]


def press_tab(shell: str, line: str, complete: Callable[..., str]) -> list[str]:
    """What a shell shows at the Tab key, without what is said of each."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    script = complete(f"{shell}_source")
    setup = "autoload -Uz compinit; compinit -D\n" if shell == "zsh" else ""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    del environment["_LLAMABENCH_COMPLETE"]
    done = subprocess.run(
        [shell, "-c", f"{setup}{script}\n{_PRESSES_TAB[shell].format(line, len(line.split()) - 1)}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [re.split(r"[:\t]", text)[0] for text in done.stdout.splitlines()]
