"""Scores a model, and has others read what it wrote: what `llamabench run` does, as a function."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from llamabench import comparing, runner, suite_runs
from llamabench.cluster.job import ClusterOptions
from llamabench.data.models import FoundModel, find_model, locate_models
from llamabench.errors import LlamabenchError, StoreError, UnknownNameError
from llamabench.hardware.planner import NO_OVERRIDES
from llamabench.hardware.verifying import match_expected, parse_expected, verify_files
from llamabench.readers import Progress, Reader, find_run_judge, read_answers
from llamabench.records import (
    Budget,
    Comparison,
    ItemRow,
    JudgeFacts,
    Overrides,
    RaterFacts,
    RedTeamResults,
    RunInfo,
    Score,
    Standing,
)
from llamabench.results.red_team import collect_results, find_choice
from llamabench.results.store import Run, holds_run
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

REPORT_NAME = "score.html"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is seldom decided of an evaluation; the defaults are those of `llamabench run`.

    Attributes:
        resume: True insists on an unfinished run, False on a new one, None takes what there is.
        use_chat: Whether conversations go through the chat template; None when the model has one.
        chat_template: Jinja2 text to use instead of the model's own chat template.
        system_prompt: System message of conversations that have none of their own; None for what models.toml says,
            empty for none.
        is_exact: Whether sequences are scored one at a time, sharing nothing: slow.
        winners_only: Whether, of long answers, no more is scored than shows which is the likeliest.
        n_audited: Items of each suite that are scored again one at a time, to compare; 0 for none.
        reference: Model, or folder of a finished run, that preference pairs are compared with; None for none.
        is_benched: Whether the machine's speed is measured first.
        watchdog_s: Seconds that a decode may take, 0 for any time, None for what is generous on this machine.
        budget: What is to end the run before all items are done, None for nothing.
        judge_format: How the judge is asked; None for what its file says.
        overrides: What is decided of the plan.
        cluster: Where workers are found who are asked in place of this machine; None for this machine.
        configured: Suites in place of those of the same name, where something of them is decided.
    """

    resume: bool | None = None
    use_chat: bool | None = None
    chat_template: str | None = None
    system_prompt: str | None = None
    is_exact: bool = False
    winners_only: bool = False
    n_audited: int = 0
    reference: str | Path | None = None
    is_benched: bool = False
    watchdog_s: float | None = None
    budget: Budget | None = None
    judge_format: str | None = None
    overrides: Overrides = NO_OVERRIDES
    cluster: ClusterOptions | None = None
    configured: Mapping[str, Suite] = field(default_factory=dict)


class Evaluation:
    """A run and what it found: scores, items, the folder that holds them. Close it, or use it in a `with`.

    Args:
        folder: A run's own folder, as `evaluate` or `llamabench run` made it.

    Raises:
        StoreError: There is no run in it, or it cannot be read.

    Example:
        with Evaluation("llamabench-runs/model-1a2b3c4d") as found:
            print(found.scores())
    """

    def __init__(self, folder: str | Path):
        self._stored = Run(Path(folder))

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self._stored.folder

    @property
    def info(self) -> RunInfo:
        """What the run is: model, machine, plan, suites with their editions, seed."""
        return self._stored.info

    @property
    def is_finished(self) -> bool:
        """Whether every suite was run and scored."""
        return self._stored.is_finished

    def scores(self) -> list[Score]:
        """The scores, in the order of the suites: of each the whole first, then its groups.

        Returns:
            Each with its suite, its signature and its `metric`: name, value (a ratio is 0 to 1, a bias score -1 to 1,
            None where it is not defined), n, 95 % interval, group (None for the whole), unparsed, errored, judge.
        """
        return self._stored.scores()

    def items(self, suite: str | None = None) -> Iterator[ItemRow]:
        """The items with what was asked, what came back and what was made of it, read from the disk as they are needed.

        Args:
            suite: The suite whose items are wanted; None for all.

        Raises:
            UnknownNameError: The suite is not part of the run; a near match is offered.
        """
        names = [choice.name for choice in self.info.suites]
        if suite is not None and suite not in names:
            raise UnknownNameError.for_name("suite in this run", suite, names)
        return (row for name in names if suite in (None, name) for row in self._stored.rows(name))

    def attacks(self) -> RedTeamResults | None:
        """The attacks of the suite `redteam` with what came of each, its scores and scorers; None where none was made.

        Raises:
            StoreError: They cannot be read.
        """
        return collect_results(self._stored) if find_choice(self._stored) is not None else None

    def write_report(self, path: str | Path | None = None) -> Path:
        """Writes the report, one page that loads nothing; its path.

        Args:
            path: Where to; None for `score.html` in the run's folder.

        Raises:
            StoreError: It cannot be written.
        """
        return write_report(self._stored, path)

    def close(self) -> None:
        """Closes the run's file; what was read stays."""
        self._stored.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def evaluate(
    model: str | Path,
    suites: Sequence[str] = (),
    *,
    tests: Sequence[str | Path] = (),
    limit: int | None = None,
    seed: int = 0,
    out: str | Path = "llamabench-runs",
    judge: str | Path | None = None,
    verify: str | Sequence[str] = (),
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores a model, or goes on with a run that was cut short, as `llamabench run` does.

    The model runs in a process of its own: in a script, call this below `if __name__ == "__main__":`. The report is
    not written by itself: see `Evaluation.write_report`.

    Args:
        model: A GGUF file, a name in `models.toml`, or a model that another program keeps (`ollama:NAME:TAG`).
        suites: Suites to run, each `NAME` or `NAME:EDITION`; none for all.
        tests: Files of alignment tests of your own, for the suite `alignment`.
        limit: Items per suite, drawn at random from each group; None for all.
        seed: Seed of every random choice, 0 or larger.
        out: Folder that receives the run's own folder.
        judge: Model that reads what was written once the run is finished, as `model` is named; None for none.
        verify: Digests that the files of models must have, or nothing is opened: `sha256:HEX` for the model, one for
            each part of a split one, and `NAME=sha256:HEX` for a judge or reference of that name.
        settings: What is seldom decided; None for the defaults.
        progress: Told how it goes; None for nobody.

    Returns:
        The finished run, open.

    Raises:
        LlamabenchError: What failed, what was found, what to do. What was stored before is still there, and the same
            call goes on from it.

    Example:
        with evaluate("model.gguf", ["bbq"], limit=200) as found:
            for score in found.scores():
                print(score.suite, score.metric.name, score.metric.value, score.metric.low, score.metric.high)
    """
    more = settings or Settings()
    found = find_model(str(model))
    compared = None if more.reference is None else find_reference(str(more.reference), found)
    models = locate_models(str(model), None if judge is None else str(judge))
    _verify(models | ({} if compared is None else {str(more.reference): compared}), verify)
    options = runner.RunOptions(
        model=found.path,
        suites=tuple(suites) or tuple(SUITES),
        out=Path(out),
        name=found.name,
        tests=tuple(map(Path, tests)),
        limit=limit,
        seed=seed,
        resume=more.resume,
        use_chat=more.use_chat,
        chat_template=more.chat_template or found.chat_template,
        system_prompt=found.choose_system_prompt(more.system_prompt),
        is_demo=found.is_demo,
        is_exact=more.is_exact,
        winners_only=more.winners_only,
        n_audited=more.n_audited,
        reference=compared,
        is_benched=more.is_benched,
        watchdog_s=more.watchdog_s,
        overrides=more.overrides,
        cluster=more.cluster,
        budget=more.budget,
        configured=more.configured,
    )
    readers = find_run_judge(options, None if judge is None else str(judge), more.judge_format, flag="judge_format")
    run = run_and_read(options, readers, progress or _Silence())
    run.close()
    return Evaluation(run.folder)


def _verify(models: Mapping[str, Path], texts: str | Sequence[str]) -> None:
    """Compares models' files with the digests that a person gave."""
    expected = []
    for text in [texts] if isinstance(texts, str) else texts:
        one = parse_expected(text)
        if one is None:
            raise LlamabenchError(
                f"{text!r} is no digest to verify: write sha256: and 64 hexadecimal digits, or MODEL= before that."
            )
        expected.append(one)
    for path, digests in match_expected(models, expected):
        verify_files(path, digests, advance=lambda n_bytes: None)


def run_and_read(options: runner.RunOptions, readers: Sequence[Reader], progress: Progress) -> Run:
    """Runs suites, then has the answers read where somebody is to; the finished run, open.

    Raises:
        LlamabenchError: With what was stored before still there, and the same command going on from it.
    """
    return read_answers(runner.run(options, progress), readers, progress)


def compare(
    base: str | Path,
    *others: str | Path,
    suites: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    out: str | Path = "llamabench-runs",
    allow_different: bool = False,
    progress: suite_runs.Progress | None = None,
) -> list[Comparison]:
    """Compares runs or models with the first of them, item by item, as `llamabench compare` does.

    A finished run that fits is taken; models that have none are run with equal settings, in processes of their own.

    Args:
        base: What the others are compared with: the folder of a finished run, or a model as `evaluate` takes it.
        others: What is compared with it, likewise; one or more.
        suites: Suites to run on models, each `NAME` or `NAME:EDITION`; none for all.
        limit: Items per suite, for models that are run; None for all.
        seed: Seed of every random choice, for models that are run.
        out: Folder of runs: new ones go there, finished ones are looked for in it.
        allow_different: Whether runs are compared that were not asked alike.
        progress: Told how models are run; None for nobody.

    Returns:
        A comparison for each of the others: by suite, every difference with its interval and its verdict (improved,
        regressed, no evidence, or too few items), corrected for how many are looked at.

    Raises:
        LlamabenchError: A run is not finished, a model cannot be run, or two were not asked alike.

    Example:
        (found,) = compare("base.gguf", "tuned.gguf", suites=["bbq"], limit=500)
    """
    named = [find_named(str(name)) for name in (base, *others)]
    options = runner.RunOptions(named[0].path, tuple(suites) or tuple(SUITES), Path(out), limit=limit, seed=seed)
    with contextlib.ExitStack() as opened:
        runs = [opened.enter_context(run) for run in comparing.open_runs(named, options, progress or _Silence())]
        return comparing.compare_runs(runs, allow_different=allow_different)


def find_named(name: str) -> comparing.Named:
    """The folder of a run, or a model, whichever a name means."""
    if holds_run(Path(name)):
        return comparing.Named(Path(name))
    found = find_model(name)
    return comparing.Named(found.path, found.chat_template, found.is_demo, found.system_prompt)


def find_reference(name: str, model: FoundModel) -> Path:
    """The folder of a run, or the file of a model; `base` is what the model was made of, where models.toml says so."""
    if holds_run(Path(name)):
        return Path(name)
    return find_model(model.base if name == "base" and model.base else name).path


def write_report(run: Run, path: str | Path | None = None) -> Path:
    """Writes the score report of a run; its path.

    Args:
        run: The run, finished or not.
        path: Where to; None for `score.html` in the run's folder.

    Raises:
        StoreError: It cannot be written.
    """
    from llamabench.report.render import write_score_report

    target = run.folder / REPORT_NAME if path is None else Path(path)
    try:
        write_score_report(run, target, suites=SUITES)
    except OSError as exc:
        raise StoreError(
            f"The report {target} cannot be written: {exc.strerror}. "
            f"The scores are safe: llamabench report {run.folder}"
        ) from exc
    return target


class _Silence:
    """Told everything, says nothing."""

    def begin(self, run: Run) -> None:
        pass

    def begin_judge(self, run: Run, judge: JudgeFacts) -> None:
        pass

    def begin_rater(self, run: Run, rater: RaterFacts) -> None:
        pass

    def read_next(self, again: str) -> None:
        pass

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        pass

    def stand(self, standing: Standing) -> None:
        pass

    def note(self, text: str) -> None:
        pass
