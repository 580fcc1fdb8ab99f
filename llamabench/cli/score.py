"""`llamabench score`: another model or scorer reads the answers of a run that is on disk."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.completing import (
    complete_aspects,
    complete_judge_formats,
    complete_models,
    complete_runs,
    suite_option,
)
from llamabench.cli.conversing import read_template
from llamabench.cli.planning import plan_options, read_overrides
from llamabench.cli.readers import ToxicityChoice, toxicity_options
from llamabench.cli.verifying import verify_models, verify_option

if TYPE_CHECKING:
    from llamabench.cli.run import Bar
    from llamabench.hardware.verifying import Expected
    from llamabench.judging import JudgeOptions


@click.command(short_help="Have another model or scorer read the answers of a run.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option(
    "--judge",
    metavar="MODEL",
    shell_complete=complete_models,
    help="Guard, fine-tuned judge or any instruction model.",
)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    shell_complete=complete_judge_formats,
    help="How the judge is asked. [what its file says]",
)
@suite_option("Suite to judge; repeat for several. [all]", "NAME")
@click.option(
    "--ask",
    "aspects",
    multiple=True,
    metavar="WHAT",
    shell_complete=complete_aspects,
    help="What to ask; repeat for several. [all it can]",
)
@toxicity_options
@click.option(
    "--chat-template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Jinja2 file to use instead of the judge's own chat template, where the format brings none.",
)
@click.option(
    "--watchdog",
    "watchdog_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End a decode that takes longer, and try again; 0 for never. [50 times the longest so far, at least 120]",
)
@verify_option
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(
    run: Path,
    *,
    judge: str | None,
    format_name: str | None,
    suites: tuple[str, ...],
    aspects: tuple[str, ...],
    chat_template: Path | None,
    watchdog_s: float | None,
    expected: tuple[Expected, ...],
    as_json: bool,
    quiet: bool,
    **decided: Any,
) -> int:
    """Have another model or scorer read the answers of RUN, a finished run's folder; nothing is generated again.

    A judge (--judge) says of each stored answer whether it is harmful (guards), truthful or informative (judges
    fine-tuned on TruthfulQA), or any of these, toxic, or a refusal (any instruction model, with --format rubric). Its
    verdicts are read from the probabilities of its words, stored beside the answers, and summed up beside the scores.
    The same command goes on with what was cut short.

    --toxicity-judge is --judge with --ask toxic. --toxicity has Detoxify, a package of its own, or Perspective, a web
    service, score what the built-in scorer of toxicity scores, by the same definitions and under names of their own.

    Formats: llama-guard-1, llama-guard-2, llama-guard-3, llama-guard-3-1b, llama-guard-4, shieldgemma,
    granite-guardian, qwen3guard, truthfulqa-truth, truthfulqa-info, rubric.

    What can be asked: harmful, truthful, informative, toxic, refused, helpful, question; and, where it is asked for by
    name, preferred: which answer of a preference pair is better, in both orders, compared with people.

    Example: llamabench score llamabench-runs/model-1a2b3c4d --judge Llama-Guard-3-8B.gguf
    """
    from llamabench.cli.run import Bar, work_and_show
    from llamabench.cli.show import show_run
    from llamabench.data.models import locate_models
    from llamabench.readers import find_judge_options, make_judge_reader, read_answers
    from llamabench.results.store import Run

    toxicity, overrides = ToxicityChoice.take(decided), read_overrides(decided)
    if judge is None and toxicity.is_empty:
        raise click.UsageError("Say who is to read the answers: --judge, --toxicity-judge or --toxicity.")
    if judge is None and (format_name or aspects or chat_template):
        raise click.UsageError("--format, --ask and --chat-template are of use with --judge only.")
    models = locate_models(judge, toxicity.judge)
    if expected and not models:
        raise click.UsageError("--verify is of use with --judge or --toxicity-judge only.")
    verify_models(models, expected, quiet=quiet)
    with Run(run) as stored:
        names = [choice.name for choice in stored.info.suites]
    readers = []
    if judge is not None:
        options = find_judge_options(judge, format_name, names=names, flag="--format", aspects=aspects)
        options = replace(options, suites=suites, watchdog_s=watchdog_s, overrides=overrides)
        readers.append(make_judge_reader(_use_template(options, chat_template)))
    readers += toxicity.find_readers(names, suites=suites, watchdog_s=watchdog_s, overrides=overrides)

    def work(bar: Bar) -> Run:
        return read_answers(Run(run), readers, bar)

    return work_and_show(work, Bar(quiet=quiet, always_new=False), partial(show_run, as_json=as_json))


def _use_template(options: JudgeOptions, path: Path | None) -> JudgeOptions:
    """Takes a template that is named in place of the one that comes with the model's name."""
    return options if path is None else replace(options, chat_template=read_template(path))
