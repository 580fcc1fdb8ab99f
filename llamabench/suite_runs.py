"""Suites of a run, one after the other: asked, scored and stored chunk by chunk, summed up at their end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from llamabench.asking import ChunkAsker, score_chunks
from llamabench.budget import Ledger, Pacer, Watch, describe_end
from llamabench.errors import LlamabenchError
from llamabench.records import EndReason, Metric, Score, Standing, SuiteEnd
from llamabench.results.signature import make_signature
from llamabench.results.store import Run
from llamabench.selection import Task
from llamabench.suites.base import Suite


class Progress(Protocol):
    """Told how a run goes."""

    def begin(self, run: Run) -> None:
        """The run's folder is there and its plan is made."""

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """Items of a suite are stored; speed in decoded tokens per second, None when none were decoded now."""

    def stand(self, standing: Standing) -> None:
        """What is known of the suite under way; told before its items are."""

    def note(self, text: str) -> None:
        """Something went wrong and was got over."""


def run_suites(stored: Run, tasks: Sequence[Task], asker: ChunkAsker, progress: Progress, *, watch: Watch) -> None:
    """Runs all suites, with a budget the smallest first, and stores which of them it ended early.

    Args:
        stored: The run.
        tasks: The suites with their items.
        asker: Asks the engine.
        progress: Told how it goes.
        watch: The time of the run, and its budget.

    Raises:
        EngineError: The engine cannot be brought back.
        StoreError: What was done cannot be stored.
        LlamabenchError: The time was over before anything was asked.
    """
    ends = []
    if watch.budget is not None:
        tasks = sorted(tasks, key=Task.estimate_cost)
    for number, task in enumerate(tasks):
        reason = _run_suite(stored, task, asker, progress, pacer=watch.pace(task, len(tasks) - number))
        if reason is not None:
            ends.append(SuiteEnd(task.suite.NAME, reason))
            stored.add_event("budget", describe_end(ends[-1], stored.counts(task.suite.NAME), len(task.chosen)))
    if ends:
        if not stored.has_items:
            raise LlamabenchError("The time budget was over before anything was asked. Allow more time.")
        stored.replace_info(replace(stored.info, ends=tuple(ends)))


def _run_suite(stored: Run, task: Task, asker: ChunkAsker, progress: Progress, *, pacer: Pacer) -> EndReason | None:
    """Runs a suite to its end, or as far as it is to go; why it ended early, None when it did not."""
    name = task.suite.NAME
    done = stored.done_ids(name)
    n_total = len(task.chosen)
    n_done = len(done)
    pacer.recall(stored.placed_rows(name))
    progress.advance(name, n_done=n_done, n_total=n_total, tokens_per_s=None)
    chunks = task.missing_chunks(stored.info.plan.chunk_tokens, done)
    started = time.perf_counter()
    while not pacer.is_over:
        for chunk in score_chunks(task.suite, pacer.feed(chunks), asker, seed=stored.info.seed):
            rows, seconds = chunk.rows, time.perf_counter() - started
            stored.commit_chunk(name, rows, first=chunk.first, seconds=seconds, workers=chunk.workers)
            started = time.perf_counter()
            n_done += len(rows)
            pacer.note(chunk.first, rows, seconds=seconds, n_decoded=chunk.n_decoded, n_ahead=chunk.n_ahead)
            if (standing := pacer.describe(n_total - n_done)) is not None:
                progress.stand(standing)
            tokens_per_s = chunk.n_decoded / max(seconds, 1e-9)
            progress.advance(name, n_done=n_done, n_total=n_total, tokens_per_s=tokens_per_s)
    reason = pacer.find_reason() if n_done < n_total else None
    if n_done:
        summarise_suite(stored, task.suite, pacer.ledger if reason and pacer.precision else None)
    return reason


def summarise_suite(stored: Run, suite: Suite, ledger: Ledger | None = None) -> None:
    """Makes a suite's scores of what is stored, and stores them.

    Args:
        stored: The run.
        suite: The suite.
        ledger: What a suite that was watched until it was known well enough had given; None for all others.
    """
    info = stored.info
    choice = next(choice for choice in info.suites if choice.name == suite.NAME)
    choice = replace(choice, n_items=sum(stored.counts(suite.NAME).values()))
    signatures = {uses: make_signature(info, choice, uses_reference=uses) for uses in (False, True)}
    rng = np.random.default_rng([info.seed, *suite.NAME.encode(), 1])
    metrics = suite.summarise(stored.rows(suite.NAME), rng)
    if choice.winners_only:
        metrics = [metric for metric in metrics if metric.name in suite.WINNER_METRICS]
    if ledger is not None:
        metrics = ledger.find_intervals(metrics)
    scores = [Score(suite.NAME, metric, signatures[metric.name in suite.REFERENCE_METRICS]) for metric in metrics]
    stored.save_scores(suite.NAME, scores)


def summarise_judged(stored: Run, suite: Suite) -> None:
    """Puts the scores that rest on judges beside those that do not, which stay as they are."""
    info, judges = stored.info, stored.judges_of(suite.NAME)
    choice = next(choice for choice in info.suites if choice.name == suite.NAME)
    choice = replace(choice, n_items=sum(stored.counts(suite.NAME).values()))
    rng = np.random.default_rng([info.seed, *suite.NAME.encode(), 3])

    def score(metric: Metric) -> Score:
        asked = (judges[aspect].facts for aspect in suite.JUDGE_METRICS[metric.name] if aspect in judges)
        named = {facts.title: facts for facts in asked}
        signature = make_signature(info, choice, judges=list(named.values()))
        return Score(suite.NAME, replace(metric, judge="; ".join(named)), signature)

    found = [score(metric) for metric in suite.summarise_judged(stored.rows(suite.NAME), rng)]
    others = [one for one in stored.scores() if one.suite == suite.NAME and one.metric.name not in suite.JUDGE_METRICS]
    stored.save_scores(suite.NAME, sorted([*others, *found], key=lambda one: one.metric.group is not None))
