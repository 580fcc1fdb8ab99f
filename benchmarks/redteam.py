"""How long attacks take, how much of it is our own Python and store, and whether the time left is told rightly.

A whole run as `llamabench redteam` makes it, with its process and its store. `overhead` is the time that the parent
spends on making attacks, on what is said next, on judging answers and on committing chunks, most of it while the
child decodes the next chunk. `eta` compares the time that was reckoned after a tenth of the items, from the items done
and the tokens decoded as the progress bar does, with what the rest took.

Not covered: attackers that are models.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import llama_tools
from mcq import ensure_model
from measuring import Target, wait_until_quiet
from time_shares import Shares, Stopwatch

from llamabench import asking, runner, selection
from llamabench.data.demo_model import ensure_demo_model
from llamabench.records import Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites.redteam.suite import AttackOptions, RedTeam

_MOST_OVERHEAD = 0.05
_MOST_ETA_ERROR = 0.2


class _Clock:
    """Progress that keeps when how many items were done."""

    def __init__(self) -> None:
        self.began = 0.0
        self.steps: list[tuple[int, float]] = []
        self.left: list[float | None] = []
        self.n_total = 0

    def begin(self, run: Run) -> None: ...

    def stand(self, standing: Standing) -> None:
        self.left.append(standing.seconds_left)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        now = time.perf_counter()
        if n_done == 0:
            self.began = now
        self.n_total = n_total
        self.steps.append((n_done, now - self.began))

    def eta_error(self) -> float:
        """How far off the time left was, after the first tenth of the items, as a share of what the rest took."""
        # of the first step nothing was reckoned
        told = zip(self.steps[1:], self.left, strict=True)
        passed, left = next((step[1], left) for step, left in told if step[0] * 10 >= self.n_total)
        return math.inf if left is None else abs(left / (self.steps[-1][1] - passed) - 1)


def attack(model: Path, *, count: int, chat_template: str | None = None) -> tuple[_Clock, Shares, int]:
    """Attacks a model; when what was done, what the parent did meanwhile, and how many attacks gave no number."""
    watch, clock = Stopwatch(), _Clock()
    suite = RedTeam(AttackOptions(count=count))
    with TemporaryDirectory() as folder, ExitStack() as stack:
        making = watch.around_iterator(RedTeam.items, "making attacks")
        stack.enter_context(mock.patch.object(RedTeam, "items", making))
        stack.enter_context(
            watch.timing(
                (asking, "_score", "judging"),
                (RedTeam, "follow_up", "next turns"),
                (Run, "commit_chunk", "store"),
                (selection, "choose_items", "making attacks"),
            )
        )
        options = RunOptions(model, ("redteam:builtin",), Path(folder), chat_template=chat_template)
        with runner.run(replace(options, configured={suite.NAME: suite}), clock) as run:
            n_errored = run.counts("redteam")["errored"]
    return clock, watch.shares(clock.steps[-1][1]), n_errored


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; default: random weights, made once")
    parser.add_argument("--demo", action="store_true", help="the demo model instead")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for the model")
    parser.add_argument("--count", type=int, default=500, help="attacks")
    parser.add_argument("--quick", action="store_true", help="the demo model, few attacks, under a minute")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    is_demo = args.demo or args.quick
    model = args.model or (ensure_demo_model(args.cache) if is_demo else ensure_model(args.cache))
    wait_until_quiet(0 if args.quick else 60)
    clock, shares, n_errored = attack(model, count=60 if args.quick else args.count)
    targets = [
        Target("overhead_share", 1 - shares["the rest"], _MOST_OVERHEAD, at_most=True),
        Target("eta_error_after_a_tenth", clock.eta_error(), _MOST_ETA_ERROR, at_most=True),
    ]
    facts = {
        "model": model.name,
        "items": clock.n_total,
        "errored": n_errored,
        "seconds": clock.steps[-1][1],
        "shares": shares,
        "steps": list(zip(clock.steps[1:], clock.left, strict=True)),
    }
    if args.json:
        shown = [{"name": t.name, "value": t.value, "target": t.target, "is_met": t.is_met} for t in targets]
        print(json.dumps({**facts, "targets": shown}, indent=1))
    else:
        print(f"{model.name}: {clock.n_total} items in {facts['seconds']:.0f} s, {n_errored} errored")
        print(", ".join(f"{part} {share:.1%}" for part, share in shares.items() if share >= 0.0005))
        print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
