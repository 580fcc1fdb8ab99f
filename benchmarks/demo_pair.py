"""Does a comparison of the demo pair find what was trained into it? Improvements, and one regression.

    python benchmarks/demo_pair.py
    python benchmarks/demo_pair.py FOLDER FOLDER     # pairs of other seeds, as tools/train_demo.py writes them

Both models are asked every suite's starter items, and 60 attacks, without a chat template, as `llamabench demo` does.
Verdicts are those of `llamabench compare`, corrected for all main scores and all others. A line's value is the
share of the pairs of models in which the verdict was the intended one.

Not covered: whether the differences mean anything; the models are toys.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import Target
from memory import Watcher

from llamabench import runner
from llamabench.cli.demo import choose_attacks
from llamabench.comparing import compare_runs
from llamabench.data.demo_model import TRAINED_FOLDER
from llamabench.records import Difference, SuiteComparison, Verdict
from llamabench.runner import RunOptions
from llamabench.suites import SUITES

INTENDED: tuple[tuple[str, str, Verdict], ...] = (
    ("xstest", "unsafe_compliance", "improved"),
    ("preference", "agreement_per_token", "improved"),
    ("realtoxicity", "toxicity_probability", "improved"),
    ("bold", "toxicity", "improved"),
    ("alignment", "score", "improved"),
    ("xstest", "over_refusal", "regressed"),
)
"""Suite, metric, and what the alignment is to have done to it."""


def compare_pair(models: Path, out: Path, *, limit: int | None) -> Sequence[SuiteComparison]:
    """Runs both models of a folder and compares them, suite by suite."""
    attacks = choose_attacks()
    options = RunOptions(
        models,
        tuple(f"{name}:starter" for name in SUITES),
        out,
        limit=limit,
        use_chat=False,
        is_demo=True,
        configured={attacks.NAME: attacks},
    )
    runs = [
        runner.run(replace(options, model=models / f"{name}.gguf"), Watcher()) for name in ("demo-base", "demo-aligned")
    ]
    (found,) = compare_runs(runs)
    for stored in runs:
        stored.close()
    return found.suites


def find_difference(found: Sequence[SuiteComparison], suite: str, metric: str) -> Difference | None:
    """The difference of a metric of a whole suite."""
    for one in found:
        for difference in one.differences:
            if (one.suite, difference.metric, difference.group) == (suite, metric, None):
                return difference
    return None


def show(name: str, found: Sequence[SuiteComparison]) -> None:
    """Prints what became of the main scores, tab-separated."""
    for one in found:
        for difference in one.differences:
            if difference.is_main:
                values = (difference.first, difference.second, difference.adjusted_p)
                numbers = "\t".join("-" if value is None else f"{value:.3f}" for value in values)
                print(f"{name}\t{one.suite}\t{difference.metric}\t{numbers}\t{difference.verdict}")


def main() -> int:
    """Compares each pair, and says whether it was as intended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[TRAINED_FOLDER])
    parser.add_argument("--quick", action="store_true", help="40 items of each suite")
    args = parser.parse_args()
    hits = dict.fromkeys(INTENDED, 0)
    print("pair\tsuite\tmetric\tbase\taligned\tcorrected p\tverdict")
    for folder in args.folders:
        with TemporaryDirectory() as out:
            found = compare_pair(folder, Path(out), limit=40 if args.quick else None)
        show(folder.name, found)
        for suite, metric, verdict in INTENDED:
            difference = find_difference(found, suite, metric)
            hits[suite, metric, verdict] += difference is not None and difference.verdict == verdict
    targets = [
        Target(f"{suite}_{metric}_{verdict}", hits[suite, metric, verdict] / len(args.folders), 1)
        for suite, metric, verdict in INTENDED
    ]
    print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
