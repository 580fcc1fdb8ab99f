"""`llamabench run`: suites on a model, from the file to the report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.cluster import cluster_options, name_place, read_cluster
from llamabench.cli.completing import (
    DEFAULT_OUT,
    complete_judge_formats,
    complete_models,
    complete_references,
    suite_option,
)
from llamabench.cli.conversing import (
    chat_option,
    chat_template_option,
    read_system_prompt,
    read_template,
    system_prompt_option,
)
from llamabench.cli.planning import plan_options, read_duration, read_overrides
from llamabench.cli.readers import ToxicityChoice, toxicity_options
from llamabench.cli.screen import say
from llamabench.cli.verifying import verify_models, verify_option
from llamabench.errors import LlamabenchError

if TYPE_CHECKING:
    from tqdm import tqdm

    from llamabench.hardware.verifying import Expected
    from llamabench.readers import Reader
    from llamabench.records import JudgeFacts, RaterFacts, Standing
    from llamabench.results.store import Run
    from llamabench.runner import RunOptions

# --- options of all commands that ask a model ----------------------------------------------------

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder that receives the run's own folder.",
)
resume_option = click.option(
    "--resume/--no-resume", default=None, help="Insist on going on, or on a new run. [go on if there is one]"
)
time_budget_option = click.option(
    "--time-budget",
    "time_s",
    callback=read_duration,
    metavar="TIME",
    help="End after this time, as in 90s, 20m or 1h30m, with a fair sample of each suite.",
)
precision_option = click.option(
    "--precision",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    metavar="P",
    help="End a suite when its first score is known within P either way, as in 0.02 for 2 points.",
)
judge_option = click.option(
    "--judge",
    metavar="MODEL",
    shell_complete=complete_models,
    help="Then have this model judge what was written, as `llamabench score` does: a guard or any instruction model.",
)
judge_format_option = click.option(
    "--judge-format",
    metavar="NAME",
    shell_complete=complete_judge_formats,
    help="How the judge is asked. [what its file says]",
)
watchdog_option = click.option(
    "--watchdog",
    "watchdog_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End a decode that takes longer, and try again; 0 for never. [50 times the longest so far, at least 120]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress on the error stream.")


@click.command(short_help="Score a model and write a report.")
@click.argument("model", shell_complete=complete_models)
@suite_option("Suite to run; repeat for several. [all]")
@click.option(
    "--tests",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Tests of your own for the suite alignment, TOML or JSON Lines; repeat for several.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Items per suite, drawn at random from each group. [all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random choice.")
@out_option
@resume_option
@chat_option
@chat_template_option
@system_prompt_option
@click.option("--exact", "is_exact", is_flag=True, help="Score one sequence at a time, sharing nothing: slow.")
@click.option(
    "--winners-only",
    is_flag=True,
    help="Of long answers, score no more than shows which is the likeliest; metrics that need all are left out.",
)
@click.option(
    "--audit",
    "n_audited",
    type=click.IntRange(min=1),
    metavar="N",
    help="Score N random items of each suite again as with --exact, and report what differs.",
)
@click.option(
    "--reference",
    metavar="MODEL|RUN",
    shell_complete=complete_references,
    help="Compare preference pairs with this model, such as the one before a fine-tune (DPO's implicit reward): "
    "it is scored after MODEL, or taken from a finished run's folder.",
)
@time_budget_option
@precision_option
@judge_option
@judge_format_option
@toxicity_options
@click.option("--bench", "is_benched", is_flag=True, help="Measure the speed first, for the report: about a minute.")
@watchdog_option
@verify_option
@plan_options
@cluster_options
@json_option
@quiet_option
def command(
    model: str,
    *,
    suites: tuple[str, ...],
    tests: tuple[Path, ...],
    limit: int | None,
    seed: int,
    out: Path,
    resume: bool | None,
    chat: bool | None,
    chat_template: Path | None,
    system_prompt: str | None,
    is_exact: bool,
    winners_only: bool,
    n_audited: int | None,
    reference: str | None,
    time_s: float | None,
    precision: float | None,
    judge: str | None,
    judge_format: str | None,
    is_benched: bool,
    watchdog_s: float | None,
    expected: tuple[Expected, ...],
    as_json: bool,
    quiet: bool,
    **decided: Any,
) -> int:
    """Score MODEL, a GGUF file or a name in models.toml, and write a report.

    The same command goes on with a run that was cut short.

    Example: llamabench run model.gguf --suite bbq --limit 500
    """
    from llamabench.data.models import find_model, locate_models
    from llamabench.evaluating import find_reference
    from llamabench.records import Budget
    from llamabench.runner import RunOptions
    from llamabench.suites import SUITES

    toxicity, cluster = ToxicityChoice.take(decided), read_cluster(decided)
    found = find_model(model)
    compared = None if reference is None else find_reference(reference, found)
    models = locate_models(model, judge, toxicity.judge) | ({} if compared is None else {str(reference): compared})
    verify_models(models, expected, quiet=quiet)
    options = RunOptions(
        model=found.path,
        suites=suites or tuple(SUITES),
        out=out,
        name=found.name,
        tests=tests,
        limit=limit,
        seed=seed,
        resume=resume,
        use_chat=chat,
        chat_template=found.chat_template if chat_template is None else read_template(chat_template),
        system_prompt=found.choose_system_prompt(read_system_prompt(system_prompt)),
        is_demo=found.is_demo,
        is_exact=is_exact,
        winners_only=winners_only,
        n_audited=n_audited or 0,
        reference=compared,
        is_benched=is_benched,
        watchdog_s=watchdog_s,
        overrides=read_overrides(decided),
        cluster=cluster,
        budget=None if time_s is None and precision is None else Budget(time_s, precision),
    )
    readers = _find_readers(options, toxicity, judge=judge, judge_format=judge_format)
    return run_and_show(options, as_json=as_json, quiet=quiet, readers=readers)


def _find_readers(
    options: RunOptions, toxicity: ToxicityChoice, *, judge: str | None, judge_format: str | None
) -> list[Reader]:
    """Looks up who is to read the answers, and refuses who could say nothing, before anything is run."""
    from llamabench.readers import find_run_judge
    from llamabench.records import Overrides

    readers = find_run_judge(options, judge, judge_format)
    if toxicity.is_empty:
        return readers
    names = [suite.partition(":")[0] for suite in options.suites]
    more = toxicity.find_readers(names, suites=(), watchdog_s=options.watchdog_s, overrides=Overrides())
    return [*readers, *more]


class Bar:
    """Progress on the error stream, and what to say when a run is cut short."""

    def __init__(self, *, quiet: bool, always_new: bool):
        self._quiet = quiet
        self._command = "The same command without --no-resume" if always_new else "The same command"
        self._bar: tqdm[None] | None = None
        self._suite: str | None = None
        self._saved: dict[str, str] = {}
        self._standing: Standing | None = None
        self.folder: Path | None = None
        self._again = ""

    def begin(self, run: Run) -> None:
        """Says what is about to run, where and why so."""
        self.close()
        self.folder, self._suite = run.folder, None  # a reference model's suites have the same names
        if self._quiet:
            return
        model, plan = run.info.model, run.info.plan
        say(f"{model.file_name}: {model.name} {model.quant} on {name_place(run.info)}", err=True)
        sizes = (
            f"Plan: {plan.n_gpu_layers} of {model.n_layers + 1} layers on devices, {plan.n_threads} threads, "
            f"context of {plan.scoring.n_ctx:,} tokens, {plan.scoring.n_seq_max} sequences, "
            f"batches of {plan.scoring.n_batch:,}."
        )
        for reason in (*run.info.machine.notes, sizes, *plan.reasons):
            say(f"  {reason}", err=True)

    def read_next(self, again: str) -> None:
        """Keeps how to go on with what is read next."""
        self._again = again

    def begin_judge(self, run: Run, judge: JudgeFacts) -> None:
        """Says who judges, and how that model is run."""
        title = f"Judge: {judge.model.name} {judge.model.quant}, asked as {judge.format}"
        self._begin_reading(run, title, judge.plan.reasons)

    def begin_rater(self, run: Run, rater: RaterFacts) -> None:
        """Says who rates."""
        self._begin_reading(run, f"Scorer of toxicity: {rater.title}", ())

    def _begin_reading(self, run: Run, title: str, reasons: Sequence[str]) -> None:
        self.close()
        self.folder, self._suite = run.folder, None
        self._saved.clear()
        self._command = f"`llamabench score {run.folder} {self._again}`"
        if self._quiet:
            return
        say(title, err=True)
        for reason in reasons:
            say(f"  {reason}", err=True)

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """Moves the suite's bar."""
        from tqdm import tqdm

        from llamabench.hidden import show_hidden

        self._saved[suite] = f"{n_done:,} of {n_total:,} items of {suite}"
        if self._quiet:
            return
        if suite != self._suite:
            self.close()
            self._suite = suite
            self._standing = None
            # what an earlier session stored must not count towards this one's speed
            self._bar = tqdm(total=n_total, initial=n_done, desc=show_hidden(suite), unit="item", dynamic_ncols=True)
        assert self._bar is not None
        if tokens_per_s is not None:
            facts = [f"{tokens_per_s:,.0f} tokens/s", *_describe_standing(self._standing)]
            self._bar.set_postfix_str(show_hidden(", ".join(facts)), refresh=False)
        self._bar.update(n_done - self._bar.n)

    def stand(self, standing: Standing) -> None:
        """Keeps what the bar is to say of the suite's score and end."""
        self._standing = standing
        if self._bar is not None:
            # the bar reckons with all items, and would tell a time that is not meant
            self._bar.bar_format = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"

    def note(self, text: str) -> None:
        """Says what went wrong, above the bar."""
        from tqdm import tqdm

        from llamabench.hidden import show_hidden

        if not self._quiet:
            tqdm.write(show_hidden(text), file=sys.stderr)

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def saved(self) -> str:
        """What is safe, and how to go on from it; empty when nothing was begun."""
        if self.folder is None:
            return ""
        items = "; ".join(self._saved.values()) or "No items"
        return f"{items} are saved in {self.folder}. {self._command} goes on from there."


def _describe_standing(standing: Standing | None) -> Iterator[str]:
    """The current interval, and how long the suite still goes on."""
    from llamabench.report.format import format_duration

    if standing is not None and standing.low is not None and standing.high is not None:
        yield f"{standing.metric} {standing.low * 100:.1f} to {standing.high * 100:.1f} %"
    if standing is not None and standing.seconds_left is not None:
        yield f"{format_duration(standing.seconds_left)} left"


def run_and_show(options: RunOptions, *, as_json: bool, quiet: bool, readers: Sequence[Reader] = ()) -> int:
    """Runs suites, has the answers read where somebody is to, and shows the scores; the exit code.

    Raises:
        LlamabenchError: With a note on what is saved and how to go on.
    """
    from llamabench.cli.show import show_run

    bar = Bar(quiet=quiet, always_new=options.resume is False)
    return work_and_show(run_and_read(options, readers), bar, partial(show_run, as_json=as_json))


def run_and_read(options: RunOptions, readers: Sequence[Reader]) -> Callable[[Bar], Run]:
    """What runs suites, and has the answers read where somebody is to."""

    def work(bar: Bar) -> Run:
        from llamabench import evaluating

        return evaluating.run_and_read(options, readers, bar)

    return work


def work_and_show(work: Callable[[Bar], Run], bar: Bar, show: Callable[[Run], None]) -> int:
    """Does what gives a run, and shows its scores; the exit code.

    Raises:
        LlamabenchError: With a note on what is saved and how to go on.
    """
    run = do_work(work, bar)
    if run is None:
        return 130
    try:
        with run:
            show(run)
    except KeyboardInterrupt:
        say(f"Interrupted. The scores are safe: llamabench report {run.folder}", err=True)
        return 130
    return 0


def do_work(work: Callable[[Bar], Run], bar: Bar) -> Run | None:
    """Does what gives a run; None when a person interrupted it, who has been told what is saved.

    Raises:
        LlamabenchError: With a note on what is saved and how to go on.
    """
    try:
        return work(bar)
    except KeyboardInterrupt:
        bar.close()
        say(f"Interrupted. {bar.saved}".rstrip(), err=True)
        return None
    except LlamabenchError as exc:
        if not bar.saved:
            raise
        raise type(exc)(f"{exc}\n{bar.saved}") from exc
    finally:
        bar.close()
