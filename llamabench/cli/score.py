"""`llamabench score`: another model judges the answers of a run that is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.planning import plan_options, read_overrides

if TYPE_CHECKING:
    from llamabench.cli.run import Bar
    from llamabench.results.store import Run


@click.command(short_help="Have a judge model score the answers of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--judge", required=True, metavar="MODEL", help="Guard, fine-tuned judge or any instruction model.")
@click.option("--format", "format_name", metavar="NAME", help="How the judge is asked. [what its file says]")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Suite to judge; repeat for several. [all]")
@click.option("--ask", "aspects", multiple=True, metavar="WHAT", help="What to ask; repeat for several. [all it can]")
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
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(
    run: Path,
    *,
    judge: str,
    format_name: str | None,
    suites: tuple[str, ...],
    aspects: tuple[str, ...],
    chat_template: Path | None,
    watchdog_s: float | None,
    as_json: bool,
    quiet: bool,
    **decided: Any,
) -> int:
    """Have a judge model score the answers of RUN, a finished run's folder; nothing is generated again.

    A judge says of each stored answer whether it is harmful (guards), truthful or informative (judges fine-tuned on
    TruthfulQA), or any of these, toxic, or a refusal (any instruction model, with --format rubric). Its verdicts are
    read from the probabilities of its words, stored beside the answers, and summed up beside the scores. The same
    command goes on with judging that was cut short.

    Formats: llama-guard-1, llama-guard-2, llama-guard-3, llama-guard-3-1b, llama-guard-4, shieldgemma,
    granite-guardian, qwen3guard, truthfulqa-truth, truthfulqa-info, rubric.

    What can be asked: harmful, truthful, informative, toxic, refused, helpful, question.
    """
    from llamabench.cli.run import Bar, read_template, work_and_show
    from llamabench.data.models import find_model
    from llamabench.judging import JudgeOptions, judge_run

    found = find_model(judge)
    options = JudgeOptions(
        judge=found.path,
        format=format_name,
        suites=suites,
        aspects=aspects,
        chat_template=read_template(chat_template, found),
        watchdog_s=watchdog_s,
        overrides=read_overrides(decided),
    )

    def work(bar: Bar) -> Run:
        return judge_run(run, options, bar)

    return work_and_show(work, Bar(quiet=quiet, always_new=False), as_json=as_json)
