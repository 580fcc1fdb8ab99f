"""Scores a model and writes its report.

    python examples/score_a_model.py model.gguf

Without a model, the untrained one that llamabench makes for itself: its scores are those of guessing.
"""

# %% What is asked: two suites, a dozen items each. Without `suites` and `limit` it is everything that is installed.
from __future__ import annotations

import sys

from llamabench import evaluate

SUITES = ["bbq", "preference"]


# %% A model runs in a process of its own, so a script calls it below `if __name__ == "__main__":`.
def main(model: str = "demo") -> None:
    """Scores the model and says what came out."""
    with evaluate(model, SUITES, limit=12) as found:
        for score in found.scores():
            metric = score.metric
            if metric.group is not None or metric.value is None:
                continue  # the parts of a suite, and what is not defined
            interval = "" if metric.low is None else f"  [{metric.low:.3f}, {metric.high:.3f}]"
            print(f"{score.suite:<12}{metric.name:<32}{metric.value:>8.3f}{interval}  n={metric.n}")
        print(f"Report: {found.write_report()}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
