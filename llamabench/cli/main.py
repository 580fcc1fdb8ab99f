"""The `llamabench` command: the group, and the one place where errors become messages."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from pathlib import Path

import click

from llamabench import __version__
from llamabench.cli.completing import prepare_completion
from llamabench.cli.screen import say
from llamabench.errors import LlamabenchError

COMMANDS: dict[str, str] = {
    "run": "llamabench.cli.run",
    "demo": "llamabench.cli.demo",
    "redteam": "llamabench.cli.redteam",
    "score": "llamabench.cli.score",
    "report": "llamabench.cli.report",
    "recover": "llamabench.cli.recover",
    "attacks": "llamabench.cli.attacks",
    "site": "llamabench.cli.site",
    "export": "llamabench.cli.export",
    "compare": "llamabench.cli.compare",
    "items": "llamabench.cli.items",
    "plan": "llamabench.cli.plan",
    "bench": "llamabench.cli.bench",
    "suites": "llamabench.cli.suites",
    "alignment": "llamabench.cli.alignment",
    "data": "llamabench.cli.data",
    "models": "llamabench.cli.models",
    "doctor": "llamabench.cli.doctor",
    "rpc-server": "llamabench.cli.rpc_server",
    "worker": "llamabench.cli.worker",
}
"""Modules of the commands; each has a Click command called `command`, and is imported when it is needed."""


_SILENCED = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "DO_NOT_TRACK": "1"}
"""What keeps libraries from reporting on a person or looking for updates."""


_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_MAKE_ROOM = "Make room, then give the same command again: what was stored before is kept."


class _Commands(click.Group):
    """Commands imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            near = _near(args[0])
            hint = f" Did you mean {near}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _near(name: str) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, COMMANDS, n=1)), None)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llamabench")
def group() -> None:
    """How aligned, how safe and how fast a GGUF model is on your own machine.

    Everything runs offline: models in llama.cpp, data from files that you import once. Begin with `llamabench demo`,
    then `llamabench run model.gguf`.
    """


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # a sign that the terminal does not know, or a file name that is no text, must not cost a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ.update(_SILENCED)
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: list[str]) -> int:
    """Runs one command.

    Args:
        arguments: What follows the program's name.

    Returns:
        0 done, 1 known error, 2 wrong usage, 3 a fault of llamabench, 130 interrupted.
    """
    prepare_completion()
    try:
        result = group.main(arguments, prog_name="llamabench", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as exc:
        _show_usage_error(exc)
        return exc.exit_code
    except LlamabenchError as exc:
        say(f"Error: {exc}", err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted.", err=True)
        return 130
    except SystemExit:
        # so click and rich end when the reader of our output went away; nothing more can be said to it
        return 0
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            return _blame_ourselves()
        where = f" ({exc.filename})" if exc.filename else ""
        say(f"Error: {exc.strerror}{where}. {_MAKE_ROOM}", err=True)
        return 1
    except Exception:
        return _blame_ourselves()


def _blame_ourselves() -> int:
    say(f"This is a fault of llamabench, not of yours. Details are in {_write_crash_log()}.", err=True)
    return 3


def _show_usage_error(exc: click.ClickException) -> None:
    text = io.StringIO()
    exc.show(text)
    say(text.getvalue().rstrip("\n"), err=True)


def _write_crash_log() -> Path:
    import datetime
    import tempfile
    import traceback

    from platformdirs import user_log_dir

    name = f"crash-{datetime.datetime.now():%Y%m%d-%H%M%S}.log"
    text = f"llamabench {__version__}, Python {sys.version}\n{sys.argv}\n\n{traceback.format_exc()}"
    for folder in (Path(user_log_dir("llamabench", appauthor=False)), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(text, encoding="utf-8")
            return path
        except OSError:
            continue
    say(text, err=True)
    return Path(name)
