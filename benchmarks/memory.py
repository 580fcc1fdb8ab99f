"""Memory over a long run: does it stay flat?

    python benchmarks/memory.py                 # every BBQ item on the demo model: minutes
    python benchmarks/memory.py --quick         # 5,000 of them: under a minute, says less

A run of all BBQ items, the publishers' where they are at hand, as `llamabench run` does it: items read, asked for,
scored and stored. The resident memory of both processes is read at each stored chunk. *Beyond the model* is the whole
of the parent (Python, suites, results) and what the child grew by after its first chunk, when model and context are in
place.

Not covered: the memory of devices, and what the kernel keeps of files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import psutil
from mcq_questions import find_data
from measuring import Target

from llamabench import runner
from llamabench.data.demo_model import ensure_demo_model
from llamabench.records import Standing
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.suites import SUITES

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_MIB = 1 << 20
_MOST_MIB, _MOST_GROWTH_MIB = 300, 30
_SETTLED = 0.1
"""Share of the items after which memory must not grow any more."""
_N_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """Resident memory in MiB when so many items were stored, seconds after the first."""

    n_done: int
    seconds: float
    parent_mib: float
    child_mib: float


class Watcher:
    """Reads memory whenever a chunk is stored."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._me = psutil.Process()
        self._started = time.monotonic()

    def begin(self, run: Run) -> None:
        """The run begins."""

    def note(self, text: str) -> None:
        """Something went wrong and was got over."""
        print(text, file=sys.stderr)

    def stand(self, standing: Standing) -> None:
        """How the suite's score stands is of no matter here."""

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None:
        """A chunk is stored."""
        child_mib = max((child.memory_info().rss for child in self._me.children(recursive=True)), default=0) / _MIB
        parent_mib = self._me.memory_info().rss / _MIB
        self.readings.append(Reading(n_done, time.monotonic() - self._started, parent_mib, child_mib))
        if sys.stderr.isatty():
            print(f"\r{n_done:,} of {n_total:,}", end="", file=sys.stderr)


def run_all(*, data: Path | None, limit: int | None, folder: Path) -> list[Reading]:
    """Runs BBQ on the demo model; the readings from the first stored chunk on."""
    watcher = Watcher()
    options = RunOptions(ensure_demo_model(folder), ("bbq",), folder, limit=limit)
    dataset = find_data("bbq", data)
    with mock.patch.object(runner, "find_suite", return_value=(SUITES["bbq"], dataset)):
        runner.run(options, watcher).close()
    return [reading for reading in watcher.readings if reading.n_done]


def judge(readings: list[Reading]) -> list[Target]:
    """What was to be reached."""
    first = readings[0]
    beyond = max(reading.parent_mib + reading.child_mib - first.child_mib for reading in readings)
    settled = [r.parent_mib + r.child_mib for r in readings if r.n_done >= _SETTLED * readings[-1].n_done]
    return [
        Target("memory_beyond_the_model_mib", beyond, _MOST_MIB, at_most=True),
        Target("memory_growth_mib", max(settled) - settled[0], _MOST_GROWTH_MIB, at_most=True),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_DATA / "bbq", help="publishers' files; else the starter items")
    parser.add_argument("--limit", type=int, help="items; all by default")
    parser.add_argument("--quick", action="store_true", help="5,000 items")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        limit = args.limit or (5000 if args.quick else None)
        readings = run_all(data=args.data, limit=limit, folder=Path(folder))
    targets = judge(readings)
    if args.json:
        shown = [{**asdict(target), "is_met": target.is_met} for target in targets]
        print(json.dumps({"readings": [asdict(reading) for reading in readings], "targets": shown}, indent=1))
    else:
        print("items\tseconds\tparent MiB\tchild MiB")
        for reading in readings[:: max(1, len(readings) // _N_SHOWN)] + readings[-1:]:
            print(f"{reading.n_done}\t{reading.seconds:.0f}\t{reading.parent_mib:.1f}\t{reading.child_mib:.1f}")
        print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
