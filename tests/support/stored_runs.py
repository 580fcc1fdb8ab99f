"""Finished runs on disk, made of rows: two models whose answers are known to the item; and what runs hold so far."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from llamabench.records import (
    ContextPlan,
    Exchange,
    ItemRow,
    Machine,
    ModelFacts,
    Plan,
    RunInfo,
    Score,
    SuiteChoice,
)
from llamabench.results.signature import make_signature
from llamabench.results.store import Run
from llamabench.suites import SUITES

MODEL = ModelFacts(
    path="models/tiny.gguf",
    name="tiny",
    architecture="llama",
    quant="Q8_0",
    size_bytes=1 << 30,
    n_params=7,
    n_layers=2,
    n_ctx_train=4096,
    n_vocab=300,
    n_embd=8,
    layer_bytes=(10, 11),
    output_bytes=3,
    input_bytes=4,
    kv_bytes_per_token=(5, 6),
    has_chat_template=True,
    fingerprint="f00d",
)
PLAN = Plan(
    n_gpu_layers=0,
    tensor_split=(),
    n_threads=4,
    scoring=ContextPlan(4096, 64, 512, 256, 512, True),
    generation=ContextPlan(2048, 4, 512, 256, 64, False),
    strategy="packed",
    pack_tokens=128,
    expected_bytes={"CPU": 1 << 30},
)
INFO = RunInfo(
    id="0123456789ab",
    created="2026-03-04T14:05:09+01:00",
    llamabench="0.1.0",
    model=MODEL,
    machine=Machine("Linux", "A processor", 4, 1 << 40, 1 << 39, (), "0.3.36", "0c1e57098"),
    plan=PLAN,
    suites=(),
    limit=None,
    seed=7,
    use_chat=False,
    chat_template_sha256=None,
)

Answer = Callable[[int], bool]
"""Whether the item of a number is answered rightly."""


def question_rows(n: int, is_right: Answer, *, n_groups: int = 4, prompt: str = "Q: {}?\nA:") -> list[ItemRow]:
    """Rows of the suite truthfulqa_mc, each a question of its own."""
    rows = []
    for number in range(n):
        right = is_right(number)
        logprobs = (-1.0, -2.0) if right else (-2.0, -1.0)
        texts = (f" right {number}", f" wrong {number}")
        answers = tuple(
            {"text": text, "logprob": logprob, "n_tokens": 2, "n_bytes": 8}
            for text, logprob in zip(texts, logprobs, strict=True)
        )
        rows.append(
            ItemRow(
                suite="truthfulqa_mc",
                id=f"q-{number}",
                group=f"Group {number % n_groups}",
                cluster=f"q-{number}",
                outcome="scored",
                facts={"mc0": None, "mc1": [1, 0], "mc2": [1, 0], "question": f"Question {number}?"},
                values={"mc1": float(right), "mc2": 0.73 if right else 0.27},
                error=None,
                exchanges=(Exchange(prompt.format(number), answers),),
            )
        )
    return rows


def store_run(folder: Path, rows: Sequence[ItemRow], info: RunInfo = INFO, *, edition: str = "2025") -> Run:
    """A finished run of these rows, its scores made of them."""
    names = list(dict.fromkeys(row.suite for row in rows))
    choices = []
    for name in names:
        n = sum(row.suite == name for row in rows)
        choices.append(
            SuiteChoice(name, SUITES[name].VERSION, edition, n, n, hashlib.sha256(edition.encode()).hexdigest())
        )
    run = Run.create(folder, replace(info, suites=tuple(choices)))
    for choice in choices:
        mine = [row for row in rows if row.suite == choice.name]
        run.commit_chunk(choice.name, mine, first=0, seconds=1.0)
        metrics = SUITES[choice.name].summarise(iter(mine), np.random.default_rng(1))
        signature = make_signature(run.info, choice)
        run.save_scores(choice.name, [Score(choice.name, metric, signature) for metric in metrics])
    run.finish()
    return run


def count_items(out: Path) -> int:
    """Items stored so far below a folder of runs, read beside the run; 0 before there is a file."""
    for path in out.glob("*/run.sqlite"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as database:
            try:
                return int(database.execute("SELECT COUNT(*) FROM item").fetchone()[0])
            except sqlite3.OperationalError:
                return 0
    return 0
