"""`llamabench export`: a run in the formats of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.completing import complete_runs
from llamabench.cli.screen import say

if TYPE_CHECKING:
    from llamabench.results.junit import Demand
    from llamabench.results.store import Run


@click.command(short_help="Write a run in a format of another program.")
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(("json", "csv", "parquet", "lm-eval", "model-index", "junit")),
    help="Which of the formats above to write.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where to. [the run's folder, a name for each format]")
@click.option(
    "--require",
    "requirements",
    multiple=True,
    metavar="SUITE.METRIC>=N",
    help="Bound on a score, as in bbq.accuracy_ambig>=0.8: the exit code is 1 where it is not met; repeatable.",
)
def command(run: Path, *, format_name: str | None, out: Path | None, requirements: tuple[str, ...]) -> int:
    """Write RUN, a run's folder, in a format of another program.

    \b
    json         scores, machine and plan in one document
    csv          a folder with scores.csv and a table of items for each suite
    parquet      scores.parquet and items.parquet, with pyarrow (extra parquet)
    lm-eval      the results layout of lm-evaluation-harness
    model-index  YAML for the head of a Hugging Face model card
    junit        XML for CI, with what is required of the scores as tests

    Example: llamabench export llamabench-runs/model-1a2b3c4d --format junit --require "xstest.over_refusal<=0.1"
    """  # noqa: D301 - Click wants the sign itself
    from llamabench.errors import LlamabenchError, StoreError
    from llamabench.results.junit import find_unmet, read_demand
    from llamabench.results.store import Run

    if format_name is None and not requirements:
        raise click.UsageError("Say which --format to write, or what to --require.")
    demands = [read_demand(text) for text in requirements]
    with Run(run) as stored:
        if format_name is not None:
            name, write = _WRITERS[format_name]
            target = out or stored.folder / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                write(stored, target, demands)
            except OSError as exc:
                raise StoreError(f"{target} cannot be written: {exc.strerror or exc}. Choose another --out.") from exc
            say(str(target))
        unmet = find_unmet(stored, demands)
    if unmet:
        raise LlamabenchError("Not as required. " + "; ".join(unmet) + ".")
    return 0


def _write_json(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.results.export import run_document

    path.write_text(json.dumps(run_document(run), indent=2) + "\n", encoding="utf-8")


def _write_csv(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.results.tables import write_csv

    write_csv(run, path)


def _write_parquet(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.results.tables import write_parquet

    write_parquet(run, path)


def _write_lm_eval(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.results.lm_eval import write_lm_eval
    from llamabench.suites import SUITES

    ways = {"higher": True, "lower": False}
    directions = {
        name: {measure.name: ways.get(measure.better or "") for measure in suite.MEASURES}
        for name, suite in SUITES.items()
    }
    write_lm_eval(run, path, directions)


def _write_model_index(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.data.sources import SOURCES
    from llamabench.results.model_card import write_model_index
    from llamabench.suites import SUITES

    main_metrics = {name: suite.MAIN_METRICS for name, suite in SUITES.items()}
    hub_ids = {edition.name: one.hub_id for one in SOURCES.values() if one.hub_id for edition in one.editions}
    write_model_index(run, path, main_metrics, hub_ids)


def _write_junit(run: Run, path: Path, demands: Sequence[Demand]) -> None:
    from llamabench.results.junit import write_junit

    write_junit(run, path, demands)


_WRITERS: dict[str, tuple[str, Callable[[Run, Path, Sequence[Demand]], None]]] = {
    "json": ("run.json", _write_json),
    "csv": ("csv", _write_csv),
    "parquet": ("parquet", _write_parquet),
    "lm-eval": ("lm-eval", _write_lm_eval),
    "model-index": ("model-index.yaml", _write_model_index),
    "junit": ("junit.xml", _write_junit),
}
"""For each format the name of its file or folder, and what writes it."""
