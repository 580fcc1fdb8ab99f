"""Who reads what a model wrote once a run is finished: judges, and others of whom it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from llamabench import judging, rating, runner, suite_runs
from llamabench.data.models import find_model
from llamabench.results.store import Run


class Progress(suite_runs.Progress, judging.Progress, rating.Progress, Protocol):
    """Told how a run goes, and then how its answers are read."""

    def read_next(self, again: str) -> None:
        """The next reader is about to begin; `again` are the options of `llamabench score` that do the same."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Has the answers of the run in a folder read.

    Attributes:
        options: Options of `llamabench score` that do the same.
        read: Does it, and gives the run, open.
    """

    options: str
    read: Callable[[Path, Progress], Run]


def read_answers(run: Run, readers: Sequence[Reader], progress: Progress) -> Run:
    """Has one after the other read the answers of a finished run; the run, open."""
    for reader in readers:
        run.close()
        progress.read_next(reader.options)
        run = reader.read(run.folder, progress)
    return run


def find_judge_options(
    name: str, format_name: str | None, *, names: Sequence[str], flag: str, aspects: tuple[str, ...] = ()
) -> judging.JudgeOptions:
    """Looks a judge up and refuses one that could say nothing.

    Args:
        name: The judge, as models are named.
        format_name: How it is asked; None for what its file says.
        names: Suites that were run or are to be.
        flag: What a person names a format with.
        aspects: What to ask; nothing for all that it can say.

    Raises:
        LlamabenchError: It cannot be read, does not say how it is asked, or has nothing to say about any suite.
    """
    found = find_model(name)
    _, format_ = judging.find_judge(found.path, format_name, option=flag)
    judging.check_suites(names, format_, aspects=aspects)
    return judging.JudgeOptions(found.path, format_.name, aspects=aspects, chat_template=found.chat_template)


def find_run_judge(
    options: runner.RunOptions, judge: str | None, judge_format: str | None, *, flag: str = "--judge-format"
) -> list[Reader]:
    """Looks the judge of a run up, if there is to be one, and refuses one that could say nothing, before anything runs.

    Args:
        options: The run.
        judge: The judge, as models are named; None for none.
        judge_format: How it is asked; None for what its file says.
        flag: What a person names a format with.

    Raises:
        LlamabenchError: It cannot be read, does not say how it is asked, or has nothing to say about any suite.
    """
    if judge is None:
        return []
    names = [suite.partition(":")[0] for suite in options.suites]
    found = find_judge_options(judge, judge_format, names=names, flag=flag)
    return [make_judge_reader(replace(found, watchdog_s=options.watchdog_s))]


def make_judge_reader(options: judging.JudgeOptions) -> Reader:
    """A reader that is a judge model, of a known format."""
    asked = "".join(f" --ask {aspect}" for aspect in options.aspects)
    again = f"--judge {options.judge} --format {options.format}{asked}{name_suites(options.suites)}"
    return Reader(again, lambda folder, progress: judging.judge_run(folder, options, progress))


def name_suites(suites: Sequence[str]) -> str:
    """The options that name suites, each after a space."""
    return "".join(f" --suite {suite}" for suite in suites)
