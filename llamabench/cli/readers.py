"""Who reads stored answers, as named on the command line: judges, and scorers of toxicity from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamabench.cli.completing import complete_judge_formats, complete_models

if TYPE_CHECKING:
    from llamabench.raters import Rater
    from llamabench.readers import Reader
    from llamabench.records import Overrides

_F = TypeVar("_F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--toxicity-judge",
        metavar="MODEL",
        shell_complete=complete_models,
        help="Have this model say how toxic answers are, and nothing else: a guard (by its policy) or any instruction "
        "model.",
    ),
    click.option(
        "--toxicity-format",
        metavar="NAME",
        shell_complete=complete_judge_formats,
        help="How that model is asked. [what its file says]",
    ),
    click.option(
        "--toxicity",
        "toxicity_by",
        multiple=True,
        type=click.Choice(["detoxify", "perspective"]),
        help="Have this score toxicity too; repeat for both.",
    ),
    click.option(
        "--detoxify-files",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="FOLDER",
        help="Detoxify's checkpoint, with config and tokeniser of its base model. [detoxify in the data folder]",
    ),
    click.option(
        "--allow-network",
        is_flag=True,
        help="Let --toxicity perspective send every text to Google; PERSPECTIVE_API_KEY holds the key.",
    ),
)


def toxicity_options(command: _F) -> _F:
    """Gives a command the options that say who scores toxicity; `ToxicityChoice.take` collects their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _make_rater_reader(rater: Rater, options: str, suites: Sequence[str]) -> Reader:
    from llamabench.rating import rate_run
    from llamabench.readers import Reader

    return Reader(options, lambda folder, progress: rate_run(folder, rater, progress, suites=suites))


@dataclass(frozen=True, slots=True)
class ToxicityChoice:
    """Who scores toxicity beside the built-in scorer, as `toxicity_options` say."""

    judge: str | None
    format: str | None
    raters: tuple[str, ...]
    detoxify_files: Path | None
    allow_network: bool

    @classmethod
    def take(cls, values: dict[str, Any]) -> ToxicityChoice:
        """Takes the values of `toxicity_options` out of those of a command.

        Raises:
            click.UsageError: An option belongs to another that is not there.
        """
        names = ("toxicity_judge", "toxicity_format", "toxicity_by", "detoxify_files", "allow_network")
        choice = cls(*(values.pop(name) for name in names))
        for option, is_given, needs, is_there in (
            ("--toxicity-format", choice.format, "--toxicity-judge", choice.judge),
            ("--detoxify-files", choice.detoxify_files, "--toxicity detoxify", "detoxify" in choice.raters),
            ("--allow-network", choice.allow_network, "--toxicity perspective", "perspective" in choice.raters),
        ):
            if is_given and not is_there:
                raise click.UsageError(f"{option} is of use with {needs} only.")
        return choice

    @property
    def is_empty(self) -> bool:
        """Whether nobody is named."""
        return self.judge is None and not self.raters

    def find_readers(
        self, names: Sequence[str], *, suites: tuple[str, ...], watchdog_s: float | None, overrides: Overrides
    ) -> Iterator[Reader]:
        """Looks everybody up who is named, so that what cannot be is refused before anything is asked.

        Args:
            names: Suites that were run or are to be.
            suites: Suites whose answers are read; none for all.
            watchdog_s: Seconds that a judge's decode may take, None for what is generous on this machine.
            overrides: What is decided of a judge's plan.

        Raises:
            LlamabenchError: One has nothing to say about any of the suites, or cannot be opened.
        """
        from llamabench.raters import open_rater
        from llamabench.rating import check_rated
        from llamabench.readers import find_judge_options, make_judge_reader, name_suites

        if self.judge is not None:
            options = find_judge_options(
                self.judge, self.format, names=names, flag="--toxicity-format", aspects=("toxic",)
            )
            yield make_judge_reader(replace(options, suites=suites, watchdog_s=watchdog_s, overrides=overrides))
        for name in dict.fromkeys(self.raters):
            check_rated(names, name)
            rater = open_rater(name, detoxify_files=self.detoxify_files, allow_network=self.allow_network)
            again = f"--toxicity {name}{self._name_more(name)}{name_suites(suites)}"
            yield _make_rater_reader(rater, again, suites)

    def _name_more(self, name: str) -> str:
        if name == "perspective":
            return " --allow-network"
        return "" if self.detoxify_files is None else f" --detoxify-files {self.detoxify_files}"
