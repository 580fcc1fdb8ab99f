"""How far two models' next-token distributions are apart on the prompts of a run, which both read in turn."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from llamabench.engine.process import Engine
from llamabench.errors import LlamabenchError
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planning import make_plan
from llamabench.records import Demand, Divergence, Gaps, ReadingTask, RunInfo
from llamabench.results.store import Run

MOST_TOKENS = 512
"""Tokens of a prompt that are read; what follows is left out."""

N_KEPT = 1024
"""Likeliest tokens of the first model that are told apart: 4 MiB for a prompt on disk."""

_PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)


def measure_divergence(first: Run, second: Run, n_prompts: int, *, say: Callable[[str], None]) -> Divergence:
    """Has both models of two runs read prompts of the first run.

    Args:
        first: A run.
        second: Another, of a model with the same tokeniser.
        n_prompts: Prompts to draw, by the first run's seed.
        say: Told what goes on.

    Raises:
        LlamabenchError: The tokenisers are not the same, or a model cannot be opened.
    """
    if first.info.model.n_vocab != second.info.model.n_vocab:
        raise LlamabenchError(
            f"Their vocabularies have {first.info.model.n_vocab:,} and {second.info.model.n_vocab:,} tokens."
        )
    texts = tuple(draw_prompts(first, n_prompts))
    if not texts:
        raise LlamabenchError(f"The run in {first.folder} holds no prompts.")
    with tempfile.TemporaryDirectory(prefix="llamabench-") as folder:
        task = ReadingTask(texts, first.info.use_chat, folder, MOST_TOKENS, N_KEPT, is_first=True)
        gaps: list[Gaps] = []
        for info, mine in ((first.info, task), (second.info, replace(task, is_first=False))):
            say(f"{info.model.name} {info.model.quant} reads {len(texts):,} prompts.")
            gaps = _read(info, mine)
    if not gaps:
        raise LlamabenchError(f"The prompts of {first.folder} are too short: nothing follows their first token.")
    return sum_up_gaps(gaps, min(N_KEPT, first.info.model.n_vocab))


def draw_prompts(stored: Run, n_prompts: int) -> list[str]:
    """Draws different prompts of a run, by its seed; always the same."""

    def rank(text: str) -> bytes:
        return hashlib.sha256(f"{stored.info.seed}|{text}".encode(errors="replace")).digest()

    return heapq.nsmallest(n_prompts, dict.fromkeys(_walk_prompts(stored)), key=rank)


def _walk_prompts(stored: Run) -> Iterator[str]:
    for choice in stored.info.suites:
        for row in stored.rows(choice.name):
            for exchange in row.exchanges[:1]:
                if exchange.prompt.strip():
                    yield exchange.prompt


def _read(info: RunInfo, task: ReadingTask) -> list[Gaps]:
    demand = Demand(
        longest_sequence=MOST_TOKENS,
        longest_generation=0,
        n_parallel=1,
        n_prompt_tokens=MOST_TOKENS * len(task.texts),
        n_generated_tokens=0,
    )
    plan = make_plan(info.model, read_machine(), demand)
    with Engine(info.model.path) as engine:
        engine.open(plan)
        return engine.read_texts(task)


def sum_up_gaps(gaps: Sequence[Gaps], n_kept: int) -> Divergence:
    """Makes the figures that llama.cpp gives of two models, of all places of all texts.

    Args:
        gaps: The gaps of each text, one place or more each.
        n_kept: Tokens that were told apart.
    """
    sizes = np.array([one.divergences.size for one in gaps], dtype=np.float64)
    sums = np.array([one.divergences.sum() for one in gaps])
    every = [np.concatenate(column) for column in zip(*gaps, strict=True)]
    divergences, is_same, first, second, rest = every
    mean = float(divergences.mean())
    error = None
    if len(gaps) > 1:
        # places of one text go together: the error of a ratio of sums over texts
        spread = float(((sums - mean * sizes) ** 2).sum()) * len(gaps) / (len(gaps) - 1)
        error = float(np.sqrt(spread) / sizes.sum())
    changes = np.exp(second) - np.exp(first)
    return Divergence(
        n_prompts=len(gaps),
        n_tokens=divergences.size,
        mean=mean,
        mean_error=error,
        percentiles={f"{one:g} %": float(np.percentile(divergences, one)) for one in _PERCENTILES},
        agreement=float(is_same.mean()),
        mean_change=float(changes.mean()),
        root_mean_square_change=float(np.sqrt((changes**2).mean())),
        log_perplexity_ratio=float((first - second).mean()),
        n_kept=n_kept,
        mean_rest=float(rest.mean()),
    )
