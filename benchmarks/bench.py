"""Our speed tests against llama-bench's, side by side on the same model: both must say the same.

    python benchmarks/bench.py --build               # builds llama.cpp's tools and a model the first time
    python benchmarks/bench.py --quick               # under a minute, less sure

Both sides read the same file with the threads, layers and batches that llamabench plans for this machine. They take
turns, a short one each, in changing order, so that a machine whose speed drifts drifts for both. Of each turn the
ratio of the medians of both sides counts, and of all turns the median.

llama.cpp's threads wait for each other by spinning; llamabench lets them sleep sooner, because another program would
else make a decode five times slower (docs/measurements.md). llama-bench is given the same setting here; with
`--usual` it is left as it comes, which on a quiet machine makes single tokens some per cent faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import llama_tools
from mcq import ensure_model, say
from measuring import QUIET_SHARE, OthersWatch, Target, wait_until_quiet

from llamabench.benching import BenchOptions, list_tests
from llamabench.engine.process import Engine
from llamabench.engine.worker import SPIN_COUNT
from llamabench.hardware.gguf import read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planning import make_plan
from llamabench.records import Demand, Overrides, Plan, SpeedTest
from llamabench.repeats import find_doubts

_LEAST_AGREEMENT = 0.97
_MOST_TURNS = 3
"""Times as many turns are taken as asked for, when others disturb so many."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Tokens per second of every repeat on both sides, and the share of the machine that others used."""

    ours: tuple[float, ...]
    peer: tuple[float, ...]
    others: float

    @property
    def is_quiet(self) -> bool:
        """Whether others left the machine alone."""
        return self.others <= QUIET_SHARE

    @property
    def medians(self) -> tuple[float, float]:
        """The median repeat of ours and of the peer."""
        return statistics.median(self.ours), statistics.median(self.peer)

    @property
    def ratio(self) -> float:
        """Our median as a share of the peer's."""
        ours, peer = self.medians
        return ours / peer


@dataclass(slots=True)
class Compared:
    """All turns of a test; one during which others kept the machine busy counts only where all were so."""

    test: SpeedTest
    turns: list[Turn] = field(default_factory=list)

    @property
    def counted(self) -> list[Turn]:
        """The turns that the result is a median of."""
        return [turn for turn in self.turns if turn.is_quiet] or self.turns

    @property
    def ratio(self) -> float:
        """Our speed as a share of the peer's, the median over turns."""
        return statistics.median(turn.ratio for turn in self.counted)

    def target(self) -> Target:
        """The ratio, or its inverse where ours is the faster: to be too fast is as wrong as to be too slow."""
        return Target(f"{self.test.name}_vs_llama_bench", min(self.ratio, 1 / self.ratio), _LEAST_AGREEMENT)

    def line(self) -> str:
        """Both speeds, medians over turns, and every turn's ratio."""
        ours, peer = (statistics.median(side) for side in zip(*(turn.medians for turn in self.counted), strict=True))
        turns = ", ".join(f"{turn.ratio:.3f}" for turn in self.turns)
        return f"{self.test.name}: {ours:.1f} tokens/s, llama-bench {peer:.1f}, ratio {self.ratio:.3f} (turns: {turns})"

    def doubts(self) -> Iterator[str]:
        """What makes the ratio doubtful."""
        yield from find_doubts(f"{self.test.name}, ratios", [turn.ratio for turn in self.counted])
        if not any(turn.is_quiet for turn in self.turns):
            yield f"{self.test.name}: others kept the machine busy during every turn. Quieten it, or --wait longer."


def run_llama_bench(
    tool: Path, model: Path, test: SpeedTest, plan: Plan, *, n_repeats: int, is_usual: bool
) -> tuple[float, ...]:
    """Has `llama-bench` make one test; tokens per second of every repeat.

    Args:
        tool: The program.
        model: The GGUF file.
        test: The test, of one text.
        plan: Threads, layers and batches.
        n_repeats: Repeats after the warm-up.
        is_usual: Whether its threads wait as they usually do.
    """
    sizes = plan.scoring if test.kind == "prompt" else plan.generation
    command = [str(tool), "-m", str(model), "-t", str(plan.n_threads), "-ngl", str(plan.n_gpu_layers)]
    command += ["-p", str(test.n_tokens), "-n", "0"] if test.kind == "prompt" else ["-p", "0", "-n", str(test.n_tokens)]
    command += ["-ub", str(sizes.n_ubatch), "-r", str(n_repeats), "-o", "json"]
    environment = dict(os.environ) if is_usual else {"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{tool.name} failed ({done.returncode}): {done.stderr[-800:]}")
    (row,) = json.loads(done.stdout)
    return tuple(map(float, row["samples_ts"]))


def take_turn(engine: Engine, test: SpeedTest, args: argparse.Namespace, *, peer_first: bool) -> Turn:
    """Times a test on both sides."""
    wait_until_quiet(args.wait)

    def ask_peer() -> tuple[float, ...]:
        tool, plan = args.tools / "llama-bench", engine.spec.plan
        assert plan is not None
        return run_llama_bench(tool, Path(engine.spec.path), test, plan, n_repeats=args.repeats, is_usual=args.usual)

    watch = OthersWatch()
    peer = ask_peer() if peer_first else ()
    engine.prepare_test(test)
    ours = tuple(test.n_tokens / seconds for seconds in engine.repeat_test(args.repeats).seconds)
    peer = peer or ask_peer()
    turn = Turn(ours, peer, watch.share())
    say(f"{test.name}: {turn.ratio:.3f} of {turn.medians[1]:.1f} tokens/s, others {turn.others:.0%}")
    return turn


def compare(engine: Engine, tests: Sequence[SpeedTest], args: argparse.Namespace) -> list[Compared]:
    """Takes turns until as many as asked for were quiet."""
    found = [Compared(test) for test in tests]
    for number in range(args.turns * (1 if args.quick else _MOST_TURNS)):
        for one in found:
            one.turns.append(take_turn(engine, one.test, args, peer_first=number % 2 == 0))
        if min(sum(turn.is_quiet for turn in one.turns) for one in found) >= args.turns:
            break
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; default: 135M random weights, made once")
    parser.add_argument("--llama-bin", type=Path, help=f"folder of llama.cpp's tools; default: ${llama_tools.VARIABLE}")
    parser.add_argument("--build", action="store_true", help="build the tools when they are not there")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for tools and model")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--generate", type=int, default=128, help="tokens to generate")
    parser.add_argument("--repeats", type=int, default=3, help="of a test in a turn, on each side")
    parser.add_argument("--threads", type=int, help="default: performance cores")
    parser.add_argument("--turns", type=int, help="quiet ones to take, 10 by default")
    parser.add_argument("--usual", action="store_true", help="llama-bench's threads wait as they usually do")
    parser.add_argument("--wait", type=float, metavar="S", help="longest wait for a quiet machine before a turn, 30 s")
    parser.add_argument("--quick", action="store_true", help="three turns")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    args.turns = args.turns or (3 if args.quick else 10)
    args.wait = (0 if args.quick else 30) if args.wait is None else args.wait
    return args


def main() -> int:
    args = parse_arguments()
    args.tools = llama_tools.find_tools(args.llama_bin, cache=args.cache, may_build=args.build)
    path = args.model or ensure_model(args.cache)
    demand = Demand(args.prompt, args.generate)
    plan = make_plan(read_model(path), read_machine(), demand, overrides=Overrides(n_threads=args.threads))
    with Engine(path, plan) as engine:
        engine.open_bench()
        found = compare(engine, list(list_tests(BenchOptions(args.prompt, args.generate), plan)), args)
    targets = [one.target() for one in found]
    doubts = [doubt for one in found for doubt in one.doubts()]
    header = {
        "model": path.name,
        "threads": plan.n_threads,
        "layers on devices": plan.n_gpu_layers,
        "llama-bench's threads": "as usual" if args.usual else "as ours",
        "llama_cpp_python": llama_tools.binding_version(),
    }
    if args.json:
        shown = [{**asdict(target), "is_met": target.is_met} for target in targets]
        document = {**header, "tests": [asdict(one) for one in found], "doubts": doubts, "targets": shown}
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(f"{name}: {value}" for name, value in header.items()))
        print("\n".join(one.line() for one in found))
        print("\n".join([*(f"doubt: {doubt}" for doubt in doubts), *(target.line() for target in targets)]))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
