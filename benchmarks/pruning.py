"""What it saves to leave continuations that can no longer be the likeliest.

    python benchmarks/pruning.py [--model model.gguf]

Scores the same questions twice, in turns: to the end, and for the winner alone. Preference pairs are
where it pays: their answers are long. `--suite truthfulqa_mc` and `--suite bbq` show why their requests are not
pruned. Winners must be the same wherever both ways are further apart than llama.cpp's noise.

Not covered: what a trained model saves. With random weights the shorter answer wins; with a trained one a longer
answer sometimes does, and the other is decoded further before it has lost.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import llama_tools
from mcq import ensure_model
from mcq_questions import find_data
from measuring import OthersWatch, Target, wait_until_quiet

from llamabench import selection
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.hardware.machine import read_machine
from llamabench.records import ContextPlan, ScoreRequest, ScoreResult, StrategyName
from llamabench.repeats import find_doubts
from llamabench.suites import SUITES
from llamabench.suites.base import find_best

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_FOLDERS = {"preference": "preference/hh-rlhf", "truthfulqa_mc": "truthfulqa", "bbq": "bbq"}
_CHUNK_TOKENS = 4096
_STRATEGIES: tuple[StrategyName, ...] = ("packed", "copied", "single")
_NOISE = 0.5
"""Nats between two sums below which either may win."""


@dataclass(frozen=True, slots=True)
class Answered:
    """All questions, scored once: results, tokens decoded and seconds."""

    results: list[ScoreResult]
    n_decoded: int
    seconds: float


def load_chunks(suite_name: str, folder: Path, n_items: int) -> list[list[ScoreRequest]]:
    """Requests of a suite, in chunks as a run cuts them."""
    suite = SUITES[suite_name]
    items = suite.items(find_data(suite.DATA_SOURCES[0], folder), use_chat=False)
    chunks = selection.cut_chunks(itertools.islice((item for item in items if item.requests), n_items), _CHUNK_TOKENS)
    return [[r for item in chunk for r in item.requests if isinstance(r, ScoreRequest)] for chunk in chunks]


def answer(engine: Engine, chunks: list[list[ScoreRequest]], *, wants_winner: bool) -> Answered:
    """Scores all chunks."""
    results: list[ScoreResult] = []
    n_decoded = 0
    start = time.perf_counter()
    for chunk in chunks:
        asked = [replace(request, wants_winner=wants_winner) for request in chunk]
        answers = engine.wait(engine.submit(asked))
        results += [result for result in answers.results if isinstance(result, ScoreResult)]
        n_decoded += answers.n_decoded
    return Answered(results, n_decoded, time.perf_counter() - start)


def sums(result: ScoreResult) -> list[float]:
    """Sums of a question's continuations, bounds among them."""
    return [scored.logprob_sum for scored in result.continuations]


def count_other_winners(whole: Answered, pruned: Answered) -> int:
    """Questions with another winner, those left out whose two best are within noise."""
    n_other = 0
    for every, some in zip(whole.results, pruned.results, strict=True):
        best, *rest = sorted(sums(every), reverse=True)
        if rest and best - rest[0] > _NOISE:
            n_other += find_best(sums(every)) != find_best(sums(some))
    return n_other


def report(whole: list[Answered], pruned: list[Answered], n_tokens: int) -> list[Target]:
    """Prints what was measured; the targets."""
    n_pruned = sum(scored.is_pruned for result in pruned[0].results for scored in result.continuations)
    n_continuations = sum(len(result.continuations) for result in whole[0].results)
    for name, times in (("whole", whole), ("winner alone", pruned)):
        seconds = [one.seconds for one in times]
        speed = times[0].n_decoded / min(seconds)
        print(
            f"{name}: {times[0].n_decoded:,} tokens decoded, {statistics.median(seconds):.2f} s (median of "
            f"{len(seconds)}), {speed:,.0f} tokens/s at best"
        )
        for doubt in find_doubts(name, seconds):
            print(doubt)
    print(f"{n_pruned} of {n_continuations} continuations left early; the continuations alone have {n_tokens:,} tokens")
    ratio = statistics.median(one.seconds / other.seconds for one, other in zip(whole, pruned, strict=True))
    return [
        Target("other_winners", count_other_winners(whole[0], pruned[0]), 0, at_most=True),
        Target("tokens_saved", 1 - pruned[0].n_decoded / whole[0].n_decoded, 0),
        Target("pruned_speedup", ratio, 1),
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; default: random weights, made once")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for the model")
    parser.add_argument("--suite", choices=_FOLDERS, default="preference")
    parser.add_argument("--data", type=Path, help="publishers' files; else those beside the checkout, or starter items")
    parser.add_argument("--strategy", choices=_STRATEGIES, default="packed")
    parser.add_argument("--pack-tokens", type=int, default=256)
    parser.add_argument("--n-items", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few items, one turn")
    args = parser.parse_args()
    if args.quick:
        args.n_items, args.turns = 12, 1
    return args


def main() -> int:
    args = parse_arguments()
    chunks = load_chunks(args.suite, args.data or _DATA / _FOLDERS[args.suite], args.n_items)
    plan = replace(
        PLAIN_PLAN,
        n_threads=read_machine().n_performance_cores,
        strategy=args.strategy,
        pack_tokens=args.pack_tokens,
        scoring=ContextPlan(4096, n_seq_max=256, n_batch=512, n_ubatch=512, n_outputs_max=512, kv_unified=True),
    )
    whole, pruned = [], []
    with Engine(args.model or ensure_model(args.cache), plan) as engine:
        answer(engine, chunks[:1], wants_winner=False)
        wait_until_quiet(0 if args.quick else 60)
        watch = OthersWatch()
        for _ in range(args.turns):
            whole.append(answer(engine, chunks, wants_winner=False))
            pruned.append(answer(engine, chunks, wants_winner=True))
        others = watch.share()
    n_tokens = sum(scored.n_tokens for result in whole[0].results for scored in result.continuations)
    print(f"{len(whole[0].results)} questions of {args.suite}, {args.strategy}; others used {others:.0%}")
    targets = report(whole, pruned, n_tokens)
    print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
