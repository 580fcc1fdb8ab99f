"""What names, paths and files say is shown on a terminal and never obeyed by it."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile import find_obeyed, hostile_text
from hypothesis import HealthCheck, given, settings
from rich.table import Table
from rich.text import Text

from llamabench.cli import main
from llamabench.cli.run import Bar
from llamabench.cli.screen import open_console, say

Command = Callable[..., Any]
EVIL = "\x1b[2Jevil\x07\u202e[bold red]:smile:\x9b31m"
FOLDER = Path(main.__file__).parent
each_text = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_all_that_is_printed_goes_through_the_screen() -> None:
    wrong = [
        f"{path.name}:{node.lineno} {name}"
        for path in FOLDER.glob("*.py")
        if path.name != "screen.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (name := ast.unparse(node.func)) in ("click.echo", "click.secho", "print", "Console", "exc.show")
        and not (name == "exc.show" and node.args)
    ]
    assert wrong == [], "use llamabench.cli.screen"


@given(text=hostile_text)
@each_text
def test_a_line_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    say(text, err=True)
    out, err = capsys.readouterr()
    assert find_obeyed(out) == find_obeyed(err) == []


@given(text=hostile_text)
@each_text
def test_a_table_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text, style="bold"))
    console = open_console()
    console.print(table)
    console.print(text)
    assert find_obeyed(capsys.readouterr().out) == []


def test_a_table_on_a_terminal_keeps_its_own_colours() -> None:
    console = open_console()
    console.file, console._force_terminal, console._color_system = io.StringIO(), True, None
    console.print(Text("a\x1b[31mb\x9b5m", style="bold"))
    assert "\u241b[31mb⟨U+009B⟩5m" in console.file.getvalue()


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(quiet=False, always_new=False)
    bar.advance(EVIL, n_done=1, n_total=2, tokens_per_s=1.0)
    bar.note(EVIL)
    bar.close()
    err = capsys.readouterr().err
    assert "evil" in err
    assert set(find_obeyed(err)) <= {"U+000D"}  # by which the bar begins its line again


@pytest.fixture
def evil_model(demo_model: Path, in_tmp_path: Path) -> str:
    """A model of an evil name in a folder of one."""
    folder = in_tmp_path / f"{EVIL}"
    folder.mkdir()
    path = folder / f"{EVIL}.gguf"
    path.write_bytes(demo_model.read_bytes())
    return str(path.relative_to(in_tmp_path))


def test_commands_on_an_evil_model(llamabench: Command, evil_model: str, engine_script: Any) -> None:
    place = str(Path(evil_model).parent)
    calls = [
        ("run", evil_model, "--suite", "preference", "--limit", "4", "--out", place),
        ("plan", evil_model, "--suite", "preference"),
        ("bench", evil_model, "--sustain", "0"),
        ("data", "verify"),
    ]
    for call in calls:
        done = llamabench(*call)
        assert done.code == 0, done.err
        assert set(find_obeyed(done.out + done.err)) <= {"U+000D"}
    (run,) = (path.parent for path in Path(place).rglob("run.sqlite"))
    for call in (("report", str(run)), ("export", str(run), "--format", "csv"), ("score", str(run), "--judge", "x")):
        done = llamabench(*call)
        assert done.out + done.err
        assert find_obeyed(done.out + done.err) == []


@pytest.mark.parametrize(
    "call",
    [
        ("run", f"{EVIL}.gguf"),
        ("run", EVIL),
        ("run", "demo", "--suite", EVIL),
        ("run", "demo", f"--{EVIL}"),
        ("run", "demo", "--limit", EVIL),
        ("run", "demo", "--verify", EVIL),
        ("run", "demo", "--tests", EVIL),
        ("plan", EVIL),
        ("bench", f"{EVIL}/x"),
        ("report", EVIL),
        ("export", EVIL, "--format", "csv"),
        ("export", EVIL, "--require", EVIL),
        ("score", EVIL, "--judge", EVIL),
        ("data", "import", EVIL),
        ("data", "import", "bbq", EVIL),
        ("data", "export", EVIL, EVIL),
        ("data", "pull", EVIL),
        ("alignment", "validate", EVIL),
        (EVIL,),
    ],
    ids=lambda call: ascii(" ".join(call)),
)
def test_errors_show_what_they_name(llamabench: Command, call: tuple[str, ...]) -> None:
    done = llamabench(*call)
    assert done.code in (1, 2)
    assert "evil" in done.err or "sha256" in done.err
    assert find_obeyed(done.out + done.err) == []


def test_lists_and_files_of_evil_entries(llamabench: Command) -> None:
    escaped = EVIL.encode("unicode_escape").decode().replace("\\x", "\\u00")
    Path("models.toml").write_text(
        f'[models."{escaped}"]\npath = "{escaped}.gguf"\ndescription = "{escaped}"\nlicence = "{escaped}"\n'
    )
    Path("t.toml").write_text(
        f'[[test]]\nid = "{escaped}"\ncategory = "{escaped}"\nkind = "{escaped}"\nprompt = "{escaped}"\n'
    )
    for call in (("models",), ("models", "--json"), ("alignment", "validate", "t.toml")):
        done = llamabench(*call)
        assert "evil" in done.out + done.err
        assert find_obeyed(done.out + done.err) == []
