"""`llamabench compare`: what changed between runs, and whether that is more than chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.cli.completing import DEFAULT_OUT, complete_named, suite_option
from llamabench.cli.screen import open_console, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamabench.comparing import Named
    from llamabench.records import Comparison
    from llamabench.results.store import Run
    from llamabench.runner import RunOptions

REPORT_NAME = "compare.html"


@click.command(short_help="Show what changed between runs or models, item by item.")
@click.argument("base", metavar="RUN_A", shell_complete=complete_named)
@click.argument("others", metavar="RUN_B...", nargs=-1, required=True, shell_complete=complete_named)
@suite_option("Suite to run on models; repeat. [all]")
@click.option("--limit", type=click.IntRange(min=1), help="Items per suite, for models that are run. [all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed, for models that are run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder of runs: new ones go there, finished ones are taken.",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="The page. [compare.html beside RUN_B]")
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a summary for a model card or a pull request, too.",
)
@click.option(
    "--kl",
    "n_prompts",
    type=click.IntRange(min=1),
    metavar="N",
    help="Have the models read N prompts of RUN_A: how far are their probabilities apart?",
)
@click.option("--allow-different", is_flag=True, help="Compare runs that were not asked the same, and say so.")
@click.option("--fail-on-regression", is_flag=True, help="End with exit code 1 if anything regressed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress on the error stream.")
def command(
    base: str,
    others: tuple[str, ...],
    *,
    suites: tuple[str, ...],
    limit: int | None,
    seed: int,
    out: Path,
    report: Path | None,
    markdown: Path | None,
    n_prompts: int | None,
    allow_different: bool,
    fail_on_regression: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Compare each of RUN_B... with RUN_A: folders of finished runs, or models, which are then run with equal settings.

    Base against fine-tune, or quant against quant. Items are paired; each difference has an interval and a verdict,
    corrected for how many are looked at: improved, regressed, no evidence, or too few items.

    Example: llamabench compare base.gguf tuned.gguf --suite bbq --limit 500
    """
    from llamabench.comparing import add_divergences, compare_runs
    from llamabench.evaluating import find_named
    from llamabench.runner import RunOptions
    from llamabench.suites import SUITES

    named = [find_named(name) for name in (base, *others)]
    options = RunOptions(named[0].path, suites or tuple(SUITES), out, limit=limit, seed=seed)
    runs = _open(named, options, quiet=quiet)
    try:
        found = compare_runs(runs, allow_different=allow_different)
        if n_prompts is not None:
            found = add_divergences(found, runs, n_prompts, say=lambda text: _say(text, quiet=quiet))
        show_comparisons(found, report or runs[1].folder / REPORT_NAME, markdown, as_json=as_json)
    finally:
        for run in runs:
            run.close()
    has_regressed = any(
        one.verdict == "regressed" for each in found for suite in each.suites for one in suite.differences
    )
    return 1 if fail_on_regression and has_regressed else 0


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        say(text, err=True)


def _open(named: Sequence[Named], options: RunOptions, *, quiet: bool) -> list[Run]:
    """Opens runs and runs models; an error or an interruption says what is saved."""
    from llamabench.cli.run import Bar
    from llamabench.comparing import open_runs
    from llamabench.errors import LlamabenchError

    bar = Bar(quiet=quiet, always_new=False)
    try:
        return open_runs(named, options, bar)
    except KeyboardInterrupt:
        bar.close()
        if bar.saved:
            say(bar.saved, err=True)
        raise
    except LlamabenchError as exc:
        raise (type(exc)(f"{exc}\n{bar.saved}") if bar.saved else exc) from exc
    finally:
        bar.close()


def show_comparisons(found: Sequence[Comparison], report: Path, markdown: Path | None, *, as_json: bool) -> None:
    """Writes the page and the summary, and prints the table or the document."""
    from llamabench.report.compare_text import comparison_tables, write_markdown
    from llamabench.report.compare_views import build_compare_view
    from llamabench.report.render import render_comparison
    from llamabench.results.export import comparison_document
    from llamabench.suites import SUITES

    view = build_compare_view(found, SUITES)
    _write(render_comparison(view), report)
    if markdown is not None:
        _write(write_markdown(view), markdown)
    if as_json:
        say(json.dumps({"comparisons": comparison_document(found), "report": str(report)}, indent=2))
        return

    open_console().print(comparison_tables(view))
    for text in dict.fromkeys(text for one in view.comparisons for text in (*one.mismatches, *one.templates)):
        say(f"! {text}")
    say(f"\nReport: {report}")


def _write(text: str, path: Path) -> None:
    from llamabench.errors import StoreError
    from llamabench.report.render import write_page

    try:
        write_page(text, path)
    except OSError as exc:
        raise StoreError(
            f"{path} cannot be written: {exc.strerror}. Name another with --report or --markdown."
        ) from exc
