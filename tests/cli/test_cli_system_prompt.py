"""`--system-prompt`, and what models.toml says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
TEXT = "You are a clerk. Be brief."


def run_named(llamabench: Command, model: Path, *more: str) -> Any:
    Path("models.toml").write_text(f'[models.mine]\npath = "{model}"\nsystem_prompt = "{TEXT}"\n', encoding="utf-8")
    return llamabench("run", "mine", "--suite", "preference", "--limit", "4", "--json", *more)


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], TEXT), (["--system-prompt", "Other."], "Other."), (["--system-prompt", ""], None), (["@"], "From\na file.")],
    ids=["models.toml", "text", "none", "file"],
)
def test_the_command_line_goes_before_models_toml(
    given: list[str],
    expected: str | None,
    llamabench: Command,
    demo_model: Path,
    engine_script: Any,
) -> None:
    Path("prompt.txt").write_text("From\na file.\n", encoding="utf-8")
    done = run_named(llamabench, demo_model, *(["--system-prompt", "@prompt.txt"] if given == ["@"] else given))
    assert done.code == 0
    assert json.loads(done.out)["run"]["suites"][0]["system_prompt"] == expected
    assert engine_script.system_prompts == [expected]


def test_a_file_that_is_not_there_is_named(llamabench: Command) -> None:
    for command in ("run", "redteam"):
        done = llamabench(command, "x.gguf", "--system-prompt", "@nowhere.txt")
        assert (done.code, done.out) == (1, "")
        assert "The system prompt nowhere.txt cannot be read: " in done.err


def test_a_judge_does_not_read_it(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    done = run_named(llamabench, demo_model, "--judge", "mine", "--judge-format", "rubric", "--suite", "xstest")
    assert done.code == 0
    assert engine_script.system_prompts == [TEXT, None]
