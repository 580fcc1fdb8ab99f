"""Is work ever lost? Runs of the demo models, killed, without disk, damaged, stopped, locked: what comes out at last.

    python benchmarks/reliability.py             # 100 kills each of scoring, writing and attacks: about an hour
    python benchmarks/reliability.py --quick     # a few of everything
    python benchmarks/reliability.py --only kills --kills 300

Every disturbed run is gone on with by the same command until it is done, and compared with an undisturbed one, items
and scores, bit for bit. The last lines count results that were lost, asked twice without need, wrong, or refused with
no clear sentence.

Not covered: that a disk keeps what it has confirmed. Killing processes leaves the system's memory of files as it is,
which a power cut does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from measuring import Target
from reliability_damage import damage_runs
from reliability_disks import can_mount, fill_disks
from reliability_kills import kill_runs, run_undisturbed
from reliability_others import try_all
from reliability_runs import SUITES, Place, make_place


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table.

    Attributes:
        what: What was done to runs.
        n_tried: How often.
        n_survived: How often nothing was lost.
        n_lost: Results lost, or wrong, or errors that nobody would understand.
        more: What else is worth knowing.
        details: What was lost.
    """

    what: str
    n_tried: int
    n_survived: int
    n_lost: int
    more: str = ""
    details: tuple[str, ...] = ()


def try_kills(place: Place, options: argparse.Namespace) -> Iterator[Line]:
    """Kills of whole process groups, for each kind of suite."""
    for name in options.suite or SUITES:
        tally = kill_runs(place, name, options.kills, seed=options.seed)
        more = (
            f"{tally.n_runs} runs; {tally.n_in_flight} items under way asked once more, {tally.most_in_flight} at most "
            f"at a kill; {tally.n_empty} processes ended before they stored anything"
        )
        details = (*tally.lost, *tally.asked_again, *tally.wrong_ends, *tally.failures)
        survived = tally.n_kills if not details else max(0, tally.n_kills - len(details))
        yield Line(f"kill -9 of the process group, {name}", tally.n_kills, survived, tally.n_lost, more, details)


def try_disks(place: Place, options: argparse.Namespace) -> Iterator[Line]:
    """Disks that are full."""
    if not can_mount(place.folder / "disk"):
        yield Line("full disks", 0, 0, 0, "not tried: nothing can be mounted here")
        return
    tally = fill_disks(place, options.disks)
    more = f"{tally.n_refused} commands refused in a sentence"
    details = (*tally.unclear, *tally.lost)
    yield Line("full disks", tally.n_disks, max(0, tally.n_disks - len(details)), tally.n_lost, more, details)


def try_damage(place: Place, options: argparse.Namespace) -> Iterator[Line]:
    """Damaged files."""
    for name, tally in damage_runs(place, options.files, options.commands, seed=options.seed).items():
        share = tally.n_saved / max(1, tally.n_stored)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in tally.outcomes.most_common())
        more = f"{outcomes}; {100 * share:.1f} % of items read; {tally.n_finished} runs brought to their end"
        details = (*tally.wrong, *tally.silent)
        survived = tally.n_damaged - len(details) - tally.outcomes["nothing to go on with"]
        yield Line(f"file {name}", tally.n_damaged, max(0, survived), tally.n_lost, more, details)


def try_others(place: Place, options: argparse.Namespace) -> Iterator[Line]:
    """Everything else."""
    reference, _ = run_undisturbed(place, "scoring")
    for what, found in try_all(place, reference, n_times=options.times):
        if found is None:
            yield Line(what, 0, 0, 0, "not tried: what it needs is not here")
        else:
            n_tried, wrong = found
            yield Line(what, n_tried, max(0, n_tried - len(wrong)), len(wrong), "", tuple(wrong))


PARTS: dict[str, Callable[[Place, argparse.Namespace], Iterator[Line]]] = {
    "kills": try_kills,
    "disks": try_disks,
    "damage": try_damage,
    "others": try_others,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="kills of each kind of suite")
    parser.add_argument("--suite", choices=list(SUITES), action="append", help="what to kill; repeat for several")
    parser.add_argument("--disks", type=int, default=12, help="sizes of the disk for each command")
    parser.add_argument("--files", type=int, default=25, help="files damaged in each way, of each of two runs")
    parser.add_argument("--commands", type=int, default=2, help="of them, runs that are then brought to their end")
    parser.add_argument("--times", type=int, default=4, help="how often each of the others")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(PARTS), action="append", help="a part; repeat for several")
    parser.add_argument("--quick", action="store_true", help="a few of everything")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.disks, options.files, options.commands, options.times = 3, 2, 2, 0, 1
    lines = []
    print("what was done\ttried\tsurvived\tlost\tmore")
    with tempfile.TemporaryDirectory(prefix="reliability-") as name:
        for part in options.only or PARTS:
            began = time.monotonic()
            for line in PARTS[part](make_place(Path(name) / part), options):
                lines.append(line)
                print(f"{line.what}\t{line.n_tried}\t{line.n_survived}\t{line.n_lost}\t{line.more}", flush=True)
                for detail in line.details[:10]:
                    print(f"  {detail}", flush=True)
            print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    targets = [Target(f"lost: {line.what}", line.n_lost, 0, at_most=True) for line in lines]
    for target in targets:
        print(target.line())
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
