"""How long the command line takes to say anything.

    python benchmarks/cold_start.py             # 30 turns of each command
    python benchmarks/cold_start.py --quick     # 8

Each command is a process of its own, its modules compiled before, as pip leaves them. Processor time (user and system)
is what the target is of: other programs disturb it least. The time on the clock is told beside it.

Not covered: the first start after the machine was, when everything comes from the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from statistics import median
from tempfile import TemporaryDirectory

from measuring import Target

_COMMANDS = (("--help",), ("--version",), ("run", "--help"), ("redteam", "--help"), ("data", "--help"))
_MOST_S = 0.15


def start(arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds of processor time and on the clock that a command takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "llamabench", *arguments]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    clock_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock_s


def main() -> int:
    """Measures, prints, and says whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    n_turns = 8 if parser.parse_args().quick else 30
    targets = []
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for arguments in _COMMANDS:
            start(arguments, environment)
            turns = [start(arguments, environment) for _ in range(n_turns)]
            processor_s, clock_s = (median(column) for column in zip(*turns, strict=True))
            name = " ".join(arguments)
            print(f"llamabench {name}: {processor_s:.3f} s of processor time, {clock_s:.3f} s on the clock")
            targets.append(Target(f"start {name}", processor_s, _MOST_S, at_most=True))
    print(*(target.line() for target in targets), sep="\n")
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
