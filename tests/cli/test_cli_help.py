"""Every command explains itself, and stands in the README."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from documents import check_command

from llamabench.cli.main import COMMANDS, group

GOLDEN = Path(__file__).parents[1] / "golden" / "help"
README = Path(__file__).parents[2] / "README.md"


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


ALL = dict(walk(group))


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "llamabench")
def test_help_is_as_it_was(
    path: tuple[str, ...], llamabench: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    done = llamabench(*path, "--help")
    assert (done.code, done.err) == (0, "")
    golden = GOLDEN / f"{'-'.join(path) or 'llamabench'}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(done.out, encoding="utf-8")
    assert golden.is_file(), f"{golden.name} is missing; write it with --update-golden"
    assert done.out == golden.read_text(encoding="utf-8")
    assert max(map(len, done.out.splitlines())) <= 80


def test_no_golden_help_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {"-".join(path) or "llamabench" for path in ALL}


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "llamabench")
def test_everything_has_help(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert command.short_help or not path
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.name}"
        else:
            assert parameter.human_readable_name in command.help


@pytest.mark.parametrize(
    "path", [path for path, command in ALL.items() if not isinstance(command, click.Group)], ids=" ".join
)
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    help_text = " ".join((ALL[path].help or "").split())
    example = help_text.partition(" Example: ")[2]
    assert example.startswith(f"llamabench {' '.join(path)}")
    check_command(example)


@pytest.mark.parametrize("path", [path for path in ALL if path], ids=" ".join)
def test_every_command_stands_in_the_readme(path: tuple[str, ...]) -> None:
    text = README.read_text(encoding="utf-8")
    assert f"llamabench {path[0]}" in text
    assert path[-1] in text


def test_commands_that_print_facts_have_a_document() -> None:
    without = {
        path for path, command in ALL.items() if "as_json" not in {parameter.name for parameter in command.params}
    }
    assert {path for path in without if path} == {
        ("alignment",),
        ("data",),
        ("data", "verify"),
        ("export",),
        ("rpc-server",),
        ("worker",),
    }


def test_a_module_for_each_command() -> None:
    folder = Path(group.callback.__code__.co_filename).parent  # type: ignore[union-attr]
    modules = {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "cluster",
        "completing",
        "conversing",
        "main",
        "planning",
        "readers",
        "screen",
        "show",
        "verifying",
    }
    assert modules == {name.replace("-", "_") for name in COMMANDS}
