"""Compares runs: opens them, runs models that have none yet, refuses what was not asked alike."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from llamabench import __version__
from llamabench.diverging import measure_divergence
from llamabench.errors import LlamabenchError, StoreError
from llamabench.hardware.gguf import chat_template, read_header, read_model
from llamabench.measures import Measure
from llamabench.records import Comparison, Difference, RunInfo, Score, Side, TemplateUse
from llamabench.report.words import find_words
from llamabench.results.alikeness import describe_mismatch, find_mismatches
from llamabench.results.compare import PairedRows, compare_suite, give_verdicts
from llamabench.results.store import Run, holds_run, open_finished
from llamabench.runner import RunOptions, run
from llamabench.suite_runs import Progress
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

_N_TOLD = 8


@dataclass(frozen=True, slots=True)
class Named:
    """What a person named to compare: the folder of a finished run, or a model to be run.

    Attributes:
        path: The folder, or the model's file.
        chat_template: Template to use instead of the file's, for a model.
        is_demo: Whether it is a toy that ships with llamabench.
        system_prompt: System message of conversations that have none of their own, for a model that is named first.
    """

    path: Path
    chat_template: str | None = None
    is_demo: bool = False
    system_prompt: str | None = None


def open_runs(named: Sequence[Named], options: RunOptions, progress: Progress) -> list[Run]:
    """Opens what was named, and runs the models among it with equal settings; a finished run of the same is taken.

    Settings are those of the first run that is named, or else those of `options`. Conversations go through the chat
    template of the first, and begin with its system prompt if it has one, so that all models read the same text.

    Args:
        named: Two or more.
        options: How to run models, where no run says it; its `model` is not used.
        progress: Told how it goes.

    Returns:
        The runs, open, in the order they were named.

    Raises:
        LlamabenchError: A run is not finished, or a model cannot be run.
    """
    with contextlib.ExitStack() as opened:
        folders = {number: one.path for number, one in enumerate(named) if holds_run(one.path)}
        runs = {number: opened.enter_context(open_finished(path)) for number, path in folders.items()}
        for number, one in enumerate(named):
            if number in runs:
                continue
            mine = replace(
                options,
                model=one.path,
                chat_template=one.chat_template,
                system_prompt=one.system_prompt,
                is_demo=one.is_demo,
            )
            is_same: Callable[[RunInfo], bool] = partial(_is_asked, mine)
            if runs:
                like = runs[min(runs)].info
                mine, is_same = _settle(mine, like), partial(_is_like, like)
            runs[number] = opened.enter_context(_find_finished(mine, is_same) or run(mine, progress))
        opened.pop_all()
    return [runs[number] for number in range(len(named))]


def _settle(options: RunOptions, like: RunInfo) -> RunOptions:
    """The settings of a run for another model."""
    template = options.chat_template
    if like.use_chat and template is None:
        # the same text for both; where the first model's file is gone, its own, and the prompts tell
        with contextlib.suppress(LlamabenchError):
            template = chat_template(read_header(Path(like.model.path)))
    return replace(
        options,
        suites=tuple(f"{choice.name}:{choice.edition}" for choice in like.suites),
        limit=like.limit,
        seed=like.seed,
        use_chat=like.use_chat,
        chat_template=template if like.use_chat else None,
        system_prompt=like.system_prompt,
        winners_only=any(choice.winners_only for choice in like.suites),
        budget=like.budget,
    )


def _find_finished(options: RunOptions, is_same: Callable[[RunInfo], bool]) -> Run | None:
    """A finished run of the model that was asked the same."""
    fingerprint = read_model(options.model).fingerprint
    for folder in sorted(options.out.iterdir()) if options.out.is_dir() else ():
        with contextlib.suppress(StoreError):
            if not holds_run(folder):
                continue
            found = Run(folder)
            if found.is_finished and found.info.model.fingerprint == fingerprint and is_same(found.info):
                return found
            found.close()
    return None


def _is_like(like: RunInfo, info: RunInfo) -> bool:
    def settings(one: RunInfo) -> list[object]:
        return [
            {(choice.name, choice.version, choice.data_sha256, choice.n_items) for choice in one.suites},
            (one.limit, one.seed, one.chat_template_sha256, one.system_prompt, one.budget),
        ]

    return settings(info) == settings(like)


def _is_asked(options: RunOptions, info: RunInfo) -> bool:
    """Whether a run is what the options ask for; one with a template of its own is not told apart, and made anew."""
    wanted = [name.partition(":") for name in options.suites]
    editions = {name: edition for name, _, edition in wanted}
    uses_chat = info.model.has_chat_template if options.use_chat is None else options.use_chat
    fits = [editions.get(choice.name, "?") in ("", choice.edition) for choice in info.suites]
    return (
        (info.llamabench, info.limit, info.seed, info.budget) == (__version__, options.limit, options.seed, None)
        and len(info.suites) == len(wanted)
        and all(fits)
        and options.chat_template is None
        and _find_template_use(info) == ("own" if uses_chat else "none")
        and options.system_prompt == info.system_prompt
    )


# --- comparing ----------------------------------------------------------------------------------


def compare_runs(runs: Sequence[Run], *, allow_different: bool = False) -> list[Comparison]:
    """Compares each run with the first.

    Args:
        runs: Two or more finished runs, open.
        allow_different: Whether runs are compared that were not asked alike.

    Returns:
        A comparison for each run but the first.

    Raises:
        LlamabenchError: Two of them were not asked alike, or have no suite in common.
    """
    sides = _make_sides(runs)
    paired = [_pair(runs[0], other) for other in runs[1:]]
    found = []
    for other, pairs, side in zip(runs[1:], paired, sides[1:], strict=True):
        mismatches = find_mismatches(runs[0].info, other.info, pairs)
        grave = [describe_mismatch(one) for one in mismatches if one.is_grave]
        if grave and not allow_different:
            more = f" And {len(grave) - _N_TOLD} more." if len(grave) > _N_TOLD else ""
            raise LlamabenchError(
                f"{runs[0].folder} and {other.folder} were not asked the same, so their scores are not comparable. "
                f"{' '.join(grave[:_N_TOLD])}{more} {_advise(runs[0].info, other.info, pairs)}, or compare them all "
                "the same with --allow-different."
            )
        names = [{choice.name for choice in one.info.suites} for one in (runs[0], other)]
        suites = [compare_suite(one, SUITES[one.suite].MAIN_METRICS) for one in pairs]
        suites = [
            replace(one, not_compared=tuple(_explain_absent(runs[0], other, one.suite, one.differences)))
            for one in give_verdicts(suites)
        ]
        found.append(
            Comparison(
                first=sides[0],
                second=side,
                suites=tuple(suites),
                mismatches=mismatches,
                missing=tuple(sorted(names[0] ^ names[1])),
            )
        )
    return found


def _advise(first: RunInfo, second: RunInfo, pairs: Sequence[PairedRows]) -> str:
    """How two runs that were not asked the same can be had alike."""
    has_other_prompts = any(one.n_other_prompts for one in pairs)
    if first.chat_template_sha256 == second.chat_template_sha256 or not has_other_prompts:
        return "Run both alike"
    return "Run both with --no-chat, or compare the model files themselves, which are then asked alike"


def add_divergences(
    comparisons: Sequence[Comparison], runs: Sequence[Run], n_prompts: int, *, say: Callable[[str], None]
) -> list[Comparison]:
    """Has the models read prompts of the first run, and adds how far they are apart, or why that cannot be said.

    Args:
        comparisons: What `compare_runs` gave.
        runs: The runs.
        n_prompts: Prompts to read.
        say: Told what goes on.
    """
    found = []
    for comparison, other in zip(comparisons, runs[1:], strict=True):
        try:
            divergence = measure_divergence(runs[0], other, n_prompts, say=say)
            found.append(replace(comparison, divergence=divergence))
        except LlamabenchError as exc:
            found.append(replace(comparison, no_divergence=f"No divergence could be measured. {exc}"))
    return found


def _pair(first: Run, second: Run) -> list[PairedRows]:
    theirs = {choice.name for choice in second.info.suites}
    shared = [choice.name for choice in first.info.suites if choice.name in theirs and choice.name in SUITES]
    if not shared:
        raise LlamabenchError(f"{first.folder} and {second.folder} have no suite in common: nothing to compare.")
    return [
        PairedRows(name, (first.rows(name), second.rows(name)), _choose_measures(first, second, SUITES[name]))
        for name in shared
    ]


def _choose_measures(first: Run, second: Run, suite: Suite) -> list[Measure]:
    """The measures of metrics that both runs have, and that rest on the same judges and reference."""
    absent = {name for name, _ in _find_unlike(first, second, suite)}
    known = [set(_whole_scores(one, suite.NAME)) for one in (first, second)]
    return [one for one in suite.MEASURES if one.name in known[0] & known[1] and one.name not in absent]


def _whole_scores(stored: Run, suite: str) -> dict[str, Score]:
    return {one.metric.name: one for one in stored.scores() if one.suite == suite and one.metric.group is None}


def _find_unlike(first: Run, second: Run, suite: Suite) -> Iterator[tuple[str, str]]:
    mine, theirs = (_whole_scores(one, suite.NAME) for one in (first, second))
    references = [one.info.reference and one.info.reference.model.fingerprint for one in (first, second)]
    for name in mine.keys() & theirs.keys():
        judges = [scores[name].metric.judge for scores in (mine, theirs)]
        if judges[0] != judges[1]:
            yield name, f"judged by {judges[0]} in the first run and by {judges[1]} in the second"
        elif name in suite.REFERENCE_METRICS and references[0] != references[1]:
            yield name, "compared with other reference models"


def _explain_absent(
    first: Run, second: Run, suite: str, differences: Sequence[Difference]
) -> Iterator[tuple[str, str]]:
    """Metrics of the whole suite that are not compared, and why."""
    compared = {one.metric for one in differences if one.group is None}
    unlike = dict(_find_unlike(first, second, SUITES[suite]))
    mine, theirs = (_whole_scores(one, suite) for one in (first, second))
    for name in dict.fromkeys((*mine, *theirs)):
        if name in compared or name.endswith("_chance"):
            continue
        if name not in mine or name not in theirs:
            yield name, f"only the {'second' if name in theirs else 'first'} run has it"
        elif name in {one.name for one in SUITES[suite].MEASURES}:
            yield name, unlike.get(name, "too few items, or not defined")
        else:
            yield name, "not a sum over items, so that pairs say nothing of it"


# --- what a run costs ---------------------------------------------------------------------------


def _make_sides(runs: Sequence[Run]) -> list[Side]:
    return [
        Side(
            folder=str(one.folder),
            run_id=one.info.id,
            model=one.info.model,
            is_demo=one.info.is_demo,
            expected_bytes=sum(one.info.plan.expected_bytes.values()),
            speed=next(reversed(one.speeds()), None),
            template=_find_template_use(one.info),
            main_score_mean=mean,
        )
        for one, mean in zip(runs, _average_main_scores(runs), strict=True)
    ]


def _find_template_use(info: RunInfo) -> TemplateUse:
    if not info.use_chat:
        return "none"
    if not info.model.has_chat_template:
        return "another"
    with contextlib.suppress(LlamabenchError):
        template = chat_template(read_header(Path(info.model.path))) or ""
        is_own = hashlib.sha256(template.encode(errors="surrogatepass")).hexdigest() == info.chat_template_sha256
        return "own" if is_own else "another"
    return "own"


def _average_main_scores(runs: Sequence[Run]) -> list[float | None]:
    """For each run the mean over suites of the mean of their main scores, turned so that 1 is best; None without any.

    Only what all runs have counts, so that all means are of the same scores.
    """
    means: list[list[float]] = []
    shared = set.intersection(*({choice.name for choice in one.info.suites} for one in runs))
    for name in sorted(shared & SUITES.keys()):
        turned = [_turn_main_scores(one, name) for one in runs]
        unlike = {metric for one in runs[1:] for metric, _ in _find_unlike(runs[0], one, SUITES[name])}
        known = sorted(set.intersection(*map(set, turned)) - unlike)
        if known:
            means.append([fmean(one[metric] for metric in known) for one in turned])
    return [fmean(column) for column in zip(*means, strict=True)] if means else [None] * len(runs)


def _turn_main_scores(stored: Run, suite: str) -> dict[str, float]:
    """The main scores of a suite, 1 the best; without those that have no good way, and no bounds."""
    better = {measure.name: measure.better for measure in SUITES[suite].MEASURES}
    scores = _whole_scores(stored, suite)
    turned = {}
    for name in SUITES[suite].MAIN_METRICS:
        value = scores[name].metric.value if name in scores else None
        if value is None or better.get(name) is None or find_words(suite, name).scale == "number":
            continue
        turned[name] = value if better[name] == "higher" else 1 - abs(value)
    return turned
