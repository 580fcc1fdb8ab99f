"""Tokens in, log-probabilities out: any GGUF file, with a tokeniser or without, for an evaluation of your own.

python examples/score_tokens.py model.gguf
"""

from __future__ import annotations

import sys

from llamabench import Engine
from llamabench.data.models import find_model

# %% Two contexts with their continuations. What contexts share is decoded once.
REQUESTS = [
    ([10, 11, 12, 13], [[14, 15], [14, 16], [20]]),
    ([10, 11, 12, 17], [[14, 15]]),
]


# %% A plan decides layers, threads and batches; without one the processor alone is used, with a modest context.
def main(model: str = "demo") -> None:
    """Scores the continuations and prints their log-probabilities."""
    with Engine(find_model(model).path) as engine:
        for (context, continuations), scores in zip(REQUESTS, engine.score_tokens(REQUESTS), strict=True):
            for continuation, scored in zip(continuations, scores, strict=True):
                print(f"{context} {continuation}  {scored.logprob_sum:9.4f}  greedy={scored.is_greedy}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
