"""What must be known before a number of a run is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamabench.records import OutcomeKind, RunInfo, SuiteChoice
from llamabench.report.format import format_count, format_duration, format_things
from llamabench.results.signature import find_mixed


@dataclass(frozen=True, slots=True)
class Banner:
    """A warning at the top of a report; `stop` where the numbers mean nothing, `care` where they mean less."""

    kind: Literal["stop", "care"]
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class SuiteState:
    """How far a suite of a run has come."""

    title: str
    choice: SuiteChoice
    counts: Mapping[OutcomeKind, int]


def raise_banners(info: RunInfo, suites: Sequence[SuiteState], *, is_finished: bool) -> tuple[Banner, ...]:
    """Say what limits a run's numbers, the worst first."""
    banners = (
        warn_demo(is_demo=info.is_demo),
        None if is_finished else _warn_unfinished(suites),
        _warn_starter(suites),
        _warn_ended(info, suites),
        _warn_subset(info, suites),
        _warn_winners_only(suites),
        _warn_mixed(info),
        _warn_failures(suites),
    )
    return tuple(banner for banner in banners if banner is not None)


def warn_demo(*, is_demo: bool) -> Banner | None:
    """Say that a model is one of the toys that come with llamabench, where that is so."""
    text = (
        "This model is a toy that comes with llamabench: these numbers show what the program does, "
        "they say nothing about any real model."
    )
    return Banner("stop", "Demo model", text) if is_demo else None


def _warn_unfinished(suites: Sequence[SuiteState]) -> Banner:
    parts = [
        f"{suite.title}: {format_count(sum(suite.counts.values()))} of {format_count(suite.choice.n_items)}"
        for suite in suites
    ]
    text = f"Items done so far: {'; '.join(parts)}. The same command goes on where this run stopped."
    return Banner("care", "Unfinished run", text)


def _warn_starter(suites: Sequence[SuiteState]) -> Banner | None:
    names = [suite.title for suite in suites if suite.choice.edition == "starter"]
    if not names:
        return None
    text = (
        f"{'; '.join(names)}: these items come with llamabench and show how the test works. "
        "Do not compare their scores with published ones."
    )
    return Banner("care", "Starter items, not the published benchmark", text)


def _warn_ended(info: RunInfo, suites: Sequence[SuiteState]) -> Banner | None:
    reasons = {end.suite: end.reason for end in info.ends}
    parts = []
    for suite in suites:
        n_done = sum(suite.counts.values())
        done = f"{format_count(n_done)} of {format_things(suite.choice.n_items, 'item', 'items')}"
        if suite.choice.name in reasons:
            why = "known well enough" if reasons[suite.choice.name] == "precision" else "its time was over"
            parts.append(f"{suite.title}: {done}, {why}" if n_done else f"{suite.title}: not run, {why}")
        elif reasons:
            parts.append(f"{suite.title}: {done}")
    if not parts:
        return None
    text = (
        f"{'; '.join(parts)}. What was run is a random sample, each group in proportion, drawn with seed {info.seed}. "
        "The same command with a larger budget goes on from there."
    )
    if info.budget is not None and info.budget.precision is not None:
        text += (
            " Intervals of suites that ended so are valid under repeated looking, and are about the score that all "
            "items would give."
        )
    return Banner("care", f"Ended by its budget: {describe_budget(info)}", text)


def describe_budget(info: RunInfo) -> str:
    """Say what may end a run early."""
    if info.budget is None:
        return "none"
    limits = []
    if info.budget.time_s is not None:
        limits.append(format_duration(info.budget.time_s))
    if info.budget.precision is not None:
        limits.append(f"first score within \u00b1{info.budget.precision * 100:.3g} points")
    return " or ".join(limits)


def _warn_subset(info: RunInfo, suites: Sequence[SuiteState]) -> Banner | None:
    chosen = [(suite.title, suite.choice) for suite in suites if suite.choice.n_items < suite.choice.n_available]
    parts = [
        f"{title}: {format_count(choice.n_items)} of {format_things(choice.n_available, 'item', 'items')}"
        for title, choice in chosen
    ]
    if not parts:
        return None
    text = f"{'; '.join(parts)}; drawn with seed {info.seed}. The intervals are as wide as that makes them."
    return Banner("care", "A subset of the items", text)


def _warn_winners_only(suites: Sequence[SuiteState]) -> Banner | None:
    names = [suite.title for suite in suites if suite.choice.winners_only]
    if not names:
        return None
    text = (
        f"{'; '.join(names)}: an answer was left as soon as it could not be the likeliest any more. "
        "What needs its log-probability is not reported."
    )
    return Banner("care", "Winners only", text)


def _warn_mixed(info: RunInfo) -> Banner | None:
    mixed, parts = find_mixed(info), []
    if "files" in mixed:
        names = dict.fromkeys(one.name for one in info.workers if one.fingerprint != info.model.fingerprint)
        parts.append(f"another file of the model: {', '.join(names)}")
    if "builds" in mixed:
        builds = dict.fromkeys(f"{one.name} ({one.machine.llama_cpp_commit})" for one in info.workers)
        parts.append(f"other builds of llama.cpp: {', '.join(builds)}")
    if not parts:
        return None
    text = f"{'; '.join(parts)}. It was allowed by --allow-mixed; the scores are of all of them together."
    return Banner("care", "Workers that were not alike", text)


def _warn_failures(suites: Sequence[SuiteState]) -> Banner | None:
    unparsed = sum(suite.counts.get("unparsed", 0) for suite in suites)
    errored = sum(suite.counts.get("errored", 0) for suite in suites)
    if not unparsed + errored:
        return None
    parts = []
    if unparsed:
        parts.append(f"{format_things(unparsed, 'answer', 'answers')} could not be read")
    if errored:
        parts.append(f"{format_things(errored, 'item', 'items')} ended in an error")
    total = sum(sum(suite.counts.values()) for suite in suites)
    text = f"{' and '.join(parts)}. They are counted beside each score, never as zeros, and come first among the items."
    return Banner(
        "care", f"{format_count(unparsed + errored)} of {format_things(total, 'item', 'items')} gave no number", text
    )
