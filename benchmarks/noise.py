"""How far packing moves a log-probability, against how far llama.cpp moves it by itself.

    python benchmarks/noise.py model.gguf
    python benchmarks/noise.py model.gguf --flash-attention off --kv-type f32     # where the two nearly vanish

Reference: each sequence decoded by itself, from an empty memory, in one ubatch. *Noise*: the same with ubatches of
another size, the only thing changed. *Packed*: what a run does. Differences are of single tokens, in nats; the target
holds when the largest packed one is no larger than the largest that noise makes.

Not covered: models whose memory cannot be shared, which a run scores one sequence at a time.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mcq_questions import SUITE_NAMES, find_data, load_benchmark
from measuring import Target

from llamabench.engine.encoding import Encoder
from llamabench.engine.llama import Context, Model
from llamabench.engine.packing import TokenSequence
from llamabench.engine.process import PLAIN_PLAN
from llamabench.engine.scoring import PackedScoring, SingleScoring
from llamabench.records import ContextPlan, Plan

_OTHER_UBATCHES = (1, 7, 128)
_WHOLE = 512


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="GGUF file")
    parser.add_argument("--data", type=Path, help="folder with the publishers' files of BBQ; else the starter items")
    parser.add_argument("--n-items", type=int, default=8, help="of each suite")
    parser.add_argument("--flash-attention", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--kv-type", choices=("f16", "f32"), default="f16", help="type of the cache")
    parser.add_argument("--pack-tokens", type=int, default=256)
    return parser.parse_args()


def encode_items(args: argparse.Namespace) -> list[TokenSequence]:
    """The choices of items of both multiple-choice suites."""
    model = Model(str(args.model), None)
    folders = {"bbq": args.data}
    benchmarks = [
        load_benchmark(name, find_data(name, folders.get(name)), Encoder(model), n_items=args.n_items, is_sample=True)
        for name in SUITE_NAMES
    ]
    model.close()
    return list(itertools.chain.from_iterable(b.all_sequences for b in benchmarks))


def score(model: Model, plan: Plan, sequences: Sequence[TokenSequence], *, is_packed: bool) -> npt.NDArray[np.float64]:
    """Log-probability of every scored token, of all sequences in a row."""
    context = Context(model, plan.scoring, plan)
    strategy = PackedScoring(context, plan.pack_tokens) if is_packed else SingleScoring(context)
    scores = strategy.score(sequences)
    context.close()
    return np.concatenate([one.logprobs for one in scores])


def main() -> int:
    args = parse_arguments()
    sequences = encode_items(args)
    longest = max(len(sequence.tokens) for sequence in sequences)
    n_batch = max(_WHOLE, longest)
    sizes = ContextPlan(n_batch + longest + 256, 64, n_batch, n_batch, n_batch, kv_unified=True)
    plan = replace(
        PLAIN_PLAN,
        scoring=sizes,
        pack_tokens=args.pack_tokens,
        flash_attention=args.flash_attention,
        kv_type=args.kv_type,
    )
    model = Model(str(args.model), plan)
    alone = score(model, plan, sequences, is_packed=False)
    noise = np.zeros_like(alone)
    for n_ubatch in _OTHER_UBATCHES:
        other = replace(plan, scoring=replace(sizes, n_ubatch=n_ubatch))
        noise = np.maximum(noise, np.abs(score(model, other, sequences, is_packed=False) - alone))
    packed = np.abs(score(model, plan, sequences, is_packed=True) - alone)
    model.close()
    print(
        f"{args.model.name}: {len(sequences)} continuations, {len(alone)} tokens, "
        f"flash attention {plan.flash_attention}, {plan.kv_type} cache"
    )
    for name, found in (("n_ubatch alone", noise), ("packed", packed)):
        print(f"  {name}: largest {found.max():.2g}, 99th percentile {np.quantile(found, 0.99):.2g}")
    target = Target("noise_over_packed", float(noise.max() / max(packed.max(), 1e-12)), 1)
    print(target.line())
    return 0 if target.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
