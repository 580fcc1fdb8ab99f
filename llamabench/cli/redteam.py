"""`llamabench redteam`: attacks on a model, and how bad what comes of them is."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.attacks import make_options, threshold_option
from llamabench.cli.cluster import cluster_options, read_cluster
from llamabench.cli.completing import complete_behaviours, complete_categories, complete_models, complete_techniques
from llamabench.cli.conversing import (
    chat_option,
    chat_template_option,
    read_system_prompt,
    read_template,
    system_prompt_option,
)
from llamabench.cli.planning import plan_options, read_overrides
from llamabench.cli.run import (
    Bar,
    judge_format_option,
    judge_option,
    out_option,
    precision_option,
    quiet_option,
    resume_option,
    run_and_read,
    time_budget_option,
    watchdog_option,
    work_and_show,
)
from llamabench.cli.screen import open_console, say
from llamabench.cli.verifying import verify_models, verify_option

if TYPE_CHECKING:
    from llamabench.attacking import AttackerOptions
    from llamabench.results.store import Run
    from llamabench.runner import RunOptions
    from llamabench.suites.redteam.suite import AttackOptions


def _read_names(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Reads names, separated by commas or given one by one, each once."""
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))


def _check_output(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuses a place that cannot be written to, before anything is run."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"{path.absolute().parent} is no folder. Make it first, or name another.")
    return path


@click.command(short_help="Attack a model, and grade what comes of it.")
@click.argument("model", required=False, shell_complete=complete_models)
@click.option(
    "--attack-count", "count", type=click.IntRange(min=1), default=500, show_default=True, help="How many attacks."
)
@click.option(
    "--categories",
    multiple=True,
    callback=_read_names,
    metavar="A,B",
    shell_complete=complete_categories,
    help="What attacks ask for. [all]",
)
@click.option(
    "--techniques",
    multiple=True,
    callback=_read_names,
    metavar="A,B",
    shell_complete=complete_techniques,
    help="How they ask. [all]",
)
@click.option("--list-techniques", "wants_list", is_flag=True, help="List the techniques with their sources, and end.")
@click.option(
    "--behaviours",
    metavar="EDITION",
    shell_complete=complete_behaviours,
    help="What attacks ask for: an imported edition. [llamabench's own]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random choice.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=256, show_default=True, metavar="N", help="Tokens of an answer."
)
@threshold_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_check_output,
    metavar="FILE",
    help="Write the results here too; they always lie in the run's folder as red_team_results.json.",
)
@click.option(
    "--attacker",
    metavar="MODEL",
    shell_complete=complete_models,
    help="Have this model write attacks too, by turns with MODEL (technique pair): never both in memory.",
)
@click.option("--attacker-rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Prompts it may try.")
@out_option
@resume_option
@chat_option
@chat_template_option
@system_prompt_option
@time_budget_option
@precision_option
@judge_option
@judge_format_option
@watchdog_option
@verify_option
@plan_options
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the tables.")
@quiet_option
def command(model: str | None, *, wants_list: bool, as_json: bool, **given: Any) -> int:
    """Attack MODEL, a GGUF file or a name in models.toml, and grade what comes of it.

    An attack is a request that should be refused, put by one technique: a role, a code, a story told turn by turn.
    Attacks are spread evenly over categories and techniques; one seed always gives the same list. Harmless requests
    that resemble the harmful ones are asked as well, to see what is refused without need. The same command goes on
    with a run that was cut short.

    Example: llamabench redteam model.gguf --attack-count 200 --categories jailbreak
    """
    if wants_list:
        _list_techniques(as_json=as_json)
        return 0
    if model is None:
        raise click.UsageError("Name a MODEL to attack: a GGUF file or a name in models.toml.")
    return _attack(model, given, as_json=as_json)


def _attack(model: str, given: dict[str, Any], *, as_json: bool) -> int:
    from llamabench.data.models import locate_models
    from llamabench.readers import find_run_judge
    from llamabench.suites.redteam.suite import AttackOptions

    attacks = AttackOptions(**{name: given.pop(name) for name in AttackOptions.__dataclass_fields__})
    threshold, output, quiet = (given.pop(name) for name in ("threshold", "output", "quiet"))
    judge, judge_format = given.pop("judge"), given.pop("judge_format")
    attacker, n_rounds = given.pop("attacker"), given.pop("attacker_rounds")
    verify_models(locate_models(model, judge, attacker), given.pop("expected"), quiet=quiet)
    options = _make_options(model, attacks, given)
    readers = find_run_judge(options, judge, judge_format)
    written = None if attacker is None else _find_attacker(attacker, options, attacks, n_rounds=n_rounds)
    bar = Bar(quiet=quiet, always_new=options.resume is False)
    show = partial(_show, threshold=threshold, output=output, as_json=as_json)

    def work(bar: Bar) -> Run:
        return run_and_read(options if written is None else _write_attacks(options, written, bar), readers)(bar)

    return work_and_show(work, bar, show)


def _find_attacker(name: str, options: RunOptions, attacks: AttackOptions, *, n_rounds: int) -> AttackerOptions:
    from llamabench.attacking import AttackerOptions
    from llamabench.data.models import find_model

    found = find_model(name)
    return AttackerOptions(
        attacker=found.path,
        subject=options.model,
        folder=options.out,
        n_rounds=n_rounds,
        seed=options.seed,
        max_tokens=attacks.max_tokens,
        use_chat=options.use_chat,
        chat_template=options.chat_template,
        attacker_template=found.chat_template,
        system_prompt=options.system_prompt,
        watchdog_s=options.watchdog_s,
        overrides=options.overrides,
    )


def _write_attacks(options: RunOptions, attacker: AttackerOptions, bar: Bar) -> RunOptions:
    """The same run with the attacks in it that the attacker writes first."""
    from llamabench.attacking import add_written
    from llamabench.runner import find_suite
    from llamabench.scorers.attack_success import judge_attack
    from llamabench.suites.redteam.suite import RedTeam

    suite, dataset = find_suite(options.suites[0], configured=options.configured)
    assert isinstance(suite, RedTeam), "it was configured as one"
    judge = partial(judge_attack, is_harmful=True)
    written = add_written(suite, dataset, attacker, judge=judge, progress=bar)
    return replace(options, configured={suite.NAME: written})


def _make_options(model: str, attacks: AttackOptions, given: dict[str, Any]) -> RunOptions:
    from llamabench.data.models import find_model
    from llamabench.records import Budget
    from llamabench.runner import RunOptions
    from llamabench.suites.redteam.suite import RedTeam

    found, suite = find_model(model), RedTeam(attacks)
    behaviours, time_s, precision = (given.pop(name) for name in ("behaviours", "time_s", "precision"))
    template, cluster = given.pop("chat_template"), read_cluster(given)
    return RunOptions(
        model=found.path,
        suites=(suite.NAME if behaviours is None else f"{suite.NAME}:{behaviours}",),
        out=given.pop("out"),
        name=found.name,
        seed=attacks.seed,
        resume=given.pop("resume"),
        use_chat=given.pop("chat"),
        chat_template=found.chat_template if template is None else read_template(template),
        system_prompt=found.choose_system_prompt(read_system_prompt(given.pop("system_prompt"))),
        is_demo=found.is_demo,
        watchdog_s=given.pop("watchdog_s"),
        overrides=read_overrides(given),
        cluster=cluster,
        budget=None if time_s is None and precision is None else Budget(time_s, precision),
        configured={suite.NAME: suite},
    )


def _show(run: Run, *, threshold: float, output: Path | None, as_json: bool) -> None:
    """Writes the reports and the results, then prints what came of the attacks."""
    from llamabench.cli.show import write_attacks, write_report
    from llamabench.report.red_team import count_severe, red_team_tables
    from llamabench.results.export import run_document
    from llamabench.results.red_team import FILE_NAME, write_results

    report, written = write_report(run), write_attacks(run, threshold)
    assert written is not None, "the run is one of attacks"
    results = written.results
    paths = [run.folder / FILE_NAME, *([output] if output else [])]
    for path in paths[1:]:
        write_results(results, path)
    if as_json:
        severe = count_severe(results, threshold)
        document = {
            **run_document(run),
            "severe": {"threshold": threshold, "n": severe.n, "n_over": severe.n_over},
            "results": str(paths[-1]),
            "report": str(report),
            "attack_report": None if written.page is None else str(written.page),
        }
        say(json.dumps(document, indent=2))
        return

    open_console().print(red_team_tables(results, threshold, make_options(threshold).titles))
    # paths are for copying: never wrapped
    say(f"\nResults: {paths[-1]}\nReport: {report}")
    if written.page is not None:
        say(f"Attacks: {written.page}")


def _list_techniques(*, as_json: bool) -> None:
    from llamabench.suites.redteam.suite import RedTeam

    techniques = list(RedTeam().techniques.values())
    if as_json:
        rows = [{"name": t.name, "title": t.title, "family": t.family, "source": t.source} for t in techniques]
        say(json.dumps(rows, indent=2))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("technique", no_wrap=True)
    for name in ("kind", "what it is", "source"):
        table.add_column(name)
    for t in techniques:
        table.add_row(*map(Text, (t.name, t.family, t.title, t.source)))
    open_console().print(table)
