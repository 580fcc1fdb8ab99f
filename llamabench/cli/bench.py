"""`llamabench bench`: how fast a model is on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.completing import complete_models, complete_runs
from llamabench.cli.planning import plan_options, read_overrides
from llamabench.cli.screen import open_console, say
from llamabench.cli.verifying import verify_models, verify_option

if TYPE_CHECKING:
    from llamabench.benching import Benched
    from llamabench.hardware.verifying import Expected
    from llamabench.results.store import Run


@click.command(short_help="Measure how fast a model is on this machine.")
@click.argument("model", shell_complete=complete_models)
@click.option(
    "--prompt",
    "n_prompt",
    type=click.IntRange(min=0),
    default=512,
    show_default=True,
    metavar="N",
    help="Tokens of the prompt; 0 for no such test.",
)
@click.option(
    "--generate",
    "n_generate",
    type=click.IntRange(min=0),
    default=128,
    show_default=True,
    metavar="N",
    help="Tokens to generate; 0 for no such test.",
)
@click.option(
    "--repetitions",
    "n_repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Repeats of each test.",
)
@click.option(
    "--sustain",
    "sustain_s",
    type=click.FloatRange(min=0),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="Go on generating, to see whether the machine slows down.",
)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    metavar="RUN",
    shell_complete=complete_runs,
    help="Measure with the plan of a run, store it there and write its report again.",
)
@verify_option
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(
    model: str,
    *,
    n_prompt: int,
    n_generate: int,
    n_repeats: int,
    sustain_s: float,
    run_folder: Path | None,
    expected: tuple[Expected, ...],
    as_json: bool,
    quiet: bool,
    **decided: Any,
) -> int:
    """Measure how fast MODEL reads prompts and generates text on this machine.

    The tests are those of llama.cpp's llama-bench (pp512, tg128), with threads, layers and batches as llamabench
    plans them here. Quality is not measured: that is `llamabench run`.

    Example: llamabench bench model.gguf --json
    """
    from llamabench.benching import BenchOptions, bench_model
    from llamabench.data.models import find_model
    from llamabench.hardware.planner import NO_OVERRIDES

    overrides = read_overrides(decided)
    if not n_prompt and not n_generate:
        raise click.UsageError("--prompt 0 and --generate 0 leave nothing to measure.")
    if run_folder is not None and overrides != NO_OVERRIDES:
        raise click.UsageError("--run measures with the run's own plan: leave out the options that decide another.")
    options = BenchOptions(n_prompt, n_generate, n_repeats, sustain_s)
    path = find_model(model).path
    verify_models({model: path}, expected, quiet=quiet)
    stored = None if run_folder is None else _open_run(run_folder, path)
    try:
        benched = bench_model(
            path,
            options,
            overrides=overrides,
            plan=None if stored is None else stored.info.plan,
            say=lambda text: None if quiet else say(text, err=True),
        )
        if stored is not None:
            stored.save_speed(benched.speed)
        _show(benched, stored, as_json=as_json)
    finally:
        if stored is not None:
            stored.close()
    return 0


def _open_run(folder: Path, model: Path) -> Run:
    """The run, kept from others; refused where it is of another model."""
    from llamabench.errors import StoreError
    from llamabench.hardware.gguf import read_model
    from llamabench.results.store import Run

    run = Run(folder)
    if run.info.model.fingerprint != read_model(model).fingerprint:
        run.close()
        raise StoreError(f"{folder} is a run of {run.info.model.name}, not of {model}. Give the model of the run.")
    run.claim()
    return run


def _show(benched: Benched, stored: Run | None, *, as_json: bool) -> None:
    from llamabench.cli.show import write_report
    from llamabench.results import codec
    from llamabench.results.export import speed_document

    report = None if stored is None else str(write_report(stored))
    if as_json:
        document = {
            "model": codec.encode(benched.model),
            "machine": codec.encode(benched.machine),
            "plan": codec.encode(benched.plan),
            "speed": speed_document(benched.speed),
            "report": report,
        }
        say(json.dumps(document, indent=2))
        return

    from llamabench.report.speed import describe_speed
    from llamabench.report.terminal import speed_table

    view = describe_speed(benched.speed, benched.model.size_bytes)
    console = open_console()
    console.print(speed_table(view))
    for warning in view.warnings:
        console.print(f"! {warning}", style="bold")
    if report is not None:
        say(f"\nReport: {report}")
