"""Speed of multiple choice by log-probability: BBQ and TruthfulQA, against other ways to the same numbers.

    python benchmarks/mcq.py --build            # builds llama.cpp's tools and a model of random weights the first time
    python benchmarks/mcq.py --quick            # under a minute, less sure

Against, with the same model file, questions and threads, all in one run:

* `llama-perplexity --multiple-choice` as it is, told only how many sequences the questions need; and beside it, at the
  settings that are fastest for the first of these questions here;
* `Llama.create_completion(echo=True, logprobs=1)` of llama-cpp-python, on a few choices only: its time for all is
  extrapolated by tokens;
* the physical limit: the tokens to decode when every shared prefix is decoded once, at the best prompt speed that
  `llama-bench` reaches (128, 256 and 512 tokens, with and without flash attention). `efficiency` is that time divided
  by ours. `llama-bench` asks for the logits of one token; a continuation needs those of every token, which costs much
  where the model is small and the vocabulary large. `with logits` is the efficiency when the tokens that need them are
  reckoned at the speed that `llama-batched-bench` reaches at 128 sequences, with logits for every token.

What is timed: from text to answers, tokenising and scoring included, with the model loaded and warm on every side.
Ours goes through the engine's process in the chunks of a run, two in flight; reading the data and storing the answers
are left out. The sides take turns, `llama-bench` before and after ours each time; the results are medians over turns.
A turn during which other processes kept the machine busy is shown and not counted.

Of TruthfulQA every side scores the MC1 choices, because `llama-perplexity` knows no others. It also divides by tokens
where the suites do not: that rule is applied to our log-probabilities too, and the answers compared item by item.

Not covered: offload to devices. Every side runs on the processor alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import llama_tools
import numpy as np
from make_model import SHAPES, read_vocabulary
from mcq_peers import (
    PerplexityOptions,
    PerplexityRun,
    PromptTest,
    binding_features,
    default_settings,
    other_settings,
    run_batched_bench,
    run_llama_bench,
    run_perplexity,
    time_completion,
    write_tasks,
)
from mcq_questions import (
    SUITE_NAMES,
    Benchmark,
    as_choices,
    count_peer_tokens,
    count_shared,
    find_data,
    load_benchmark,
    prompt_of,
    request_of,
)
from mcq_results import Measured, Turn
from measuring import OthersWatch, wait_until_quiet

from llamabench import selection
from llamabench.data.demo_model import write_random_model
from llamabench.engine.encoding import Encoder
from llamabench.engine.llama import Model
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Asker
from llamabench.hardware.gguf import read_model
from llamabench.hardware.machine import read_machine
from llamabench.hardware.planner import plan_run
from llamabench.opening import size_chunks
from llamabench.records import Answers, Demand, Item, Plan, ScoreRequest, ScoreResult, TextPrompt

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_N_TUNING = 24
_MOST_TURNS = 3
"""Times as many turns are taken as asked for, when others disturb so many."""

_WARM_UP = ScoreRequest("warm-up", TextPrompt("One two three"), (" four", " five"))


# --- ours ---------------------------------------------------------------------------------------


def make_plan(engine: Engine, model: Path, *, longest: int, n_threads: int) -> Plan:
    """The plan that a run would have on the processor, its pack size measured as a run does.

    Args:
        engine: Opens the model with the plan.
        model: The GGUF file.
        longest: Tokens of the longest sequence.
        n_threads: Threads for every side.
    """
    machine = replace(read_machine(), devices=(), n_performance_cores=n_threads)
    plan = plan_run(read_model(model), machine, Demand(longest))
    plan = engine.open(plan)
    speed = engine.measure()
    return replace(plan, pack_tokens=speed.n_tokens, chunk_tokens=size_chunks(speed))


def run_ours(engine: Engine, benchmark: Benchmark) -> tuple[float, int]:
    """Scores all items as a run does; seconds and decoded tokens."""
    engine.score([_WARM_UP])  # opens the model with its plan, and forgets the prefix that the last turn left
    chunk_tokens = engine.spec.plan.chunk_tokens if engine.spec.plan else 0
    start = time.perf_counter()
    n_decoded = 0
    in_flight: deque[tuple[list[Item], Future[Answers]]] = deque()
    chunks = selection.cut_chunks(benchmark.items, chunk_tokens)
    while True:
        while len(in_flight) < Asker.n_in_flight and (items := next(chunks, None)) is not None:
            in_flight.append((items, engine.submit(list(map(request_of, items)))))
        if not in_flight:
            return time.perf_counter() - start, n_decoded
        items, future = in_flight.popleft()
        answers = engine.wait(future)
        n_decoded += answers.n_decoded
        for item, result in zip(items, answers.results, strict=True):
            score = benchmark.suite.score(item, [result])
            assert score.outcome == "scored", score.error


def compare_answers(engine: Engine, benchmark: Benchmark, peer: PerplexityRun) -> tuple[bool, str]:
    """Whether our log-probabilities, under `llama-perplexity`'s rule, answer as many items right, give or take one.

    Its rule: the mean over the tokens that come after those common to all choices, the first choice in a tie. Where a
    choice's tokens begin another's, it reads past the end of a list; those items are counted apart.
    """
    results = engine.score([replace(request_of(item), wants_tokens=True) for item in benchmark.items])
    is_right, n_undefined = [], 0
    for item, sequences, result in zip(benchmark.items, benchmark.sequences, results, strict=True):
        assert isinstance(result, ScoreResult), result
        n_shared = count_shared(sequences)
        n_undefined += n_shared == min(len(sequence.tokens) for sequence in sequences)
        means = [
            statistics.fmean(scored.token_logprobs[max(n_shared - sequence.n_context, 0) :] or [-np.inf])
            for sequence, scored in zip(sequences, result.continuations, strict=True)
        ]
        is_right.append(as_choices(item).is_right[means.index(max(means))])
    n_differ = sum(a != b for a, b in zip(is_right, peer.is_right, strict=True))
    is_same = abs(sum(is_right) - sum(peer.is_right)) <= 1
    return is_same, (
        f"{'agreement' if is_same else 'NO AGREEMENT'}: llama-perplexity answers {sum(peer.is_right)} of "
        f"{len(is_right)} right, our log-probabilities by its rule {sum(is_right)}; {n_differ} items differ"
        + (f"; {n_undefined} are undefined in llama-perplexity" if n_undefined else "")
    )


# --- measuring ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs."""

    args: argparse.Namespace
    model: Path
    tools: Path
    folder: Path
    engine: Engine

    def ask_peer(self, items: list[Item], options: PerplexityOptions) -> PerplexityRun:
        """Has `llama-perplexity` answer items."""
        tasks = self.folder / "tasks.bin"
        write_tasks(tasks, list(map(as_choices, items)))
        tool = self.tools / "llama-perplexity"
        return run_perplexity(tool, self.model, tasks, n_threads=self.args.threads, options=options)

    def find_limit(self) -> dict[PromptTest, float]:
        """Has `llama-bench` read prompts."""
        n_repeats = 1 if self.args.quick else 2
        return run_llama_bench(self.tools / "llama-bench", self.model, n_threads=self.args.threads, n_repeats=n_repeats)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def tune_peer(bench: Bench, benchmark: Benchmark) -> dict[PerplexityOptions, float]:
    """Seconds that `llama-perplexity` takes for the first items, by its settings; those that hold every item."""
    n_tokens = max(map(count_peer_tokens, benchmark.sequences))
    tried = {}
    for options in other_settings(benchmark.most_answers, n_tokens):
        wait_until_quiet(bench.args.wait)
        tried[options] = bench.ask_peer(benchmark.items[:_N_TUNING], options).seconds
        say(f"{benchmark.name}: llama-perplexity {options}: {tried[options]:.2f} s")
    return tried


def take_turn(bench: Bench, benchmark: Benchmark, tuned: PerplexityOptions | None) -> tuple[Turn, PerplexityRun]:
    """Times ours between two runs of `llama-bench`, then the peer; waits for a quiet machine first."""
    wait_until_quiet(bench.args.wait)
    watch = OthersWatch()
    before = bench.find_limit()
    ours_s, n_decoded = run_ours(bench.engine, benchmark)
    after = bench.find_limit()
    others = watch.share()
    watch = OthersWatch()
    peer = bench.ask_peer(benchmark.items, default_settings(benchmark.most_answers))
    tuned_s = bench.ask_peer(benchmark.items, tuned).seconds if tuned else None
    others = max(others, watch.share())
    with_logits = run_batched_bench(bench.tools / "llama-batched-bench", bench.model, n_threads=bench.args.threads)
    return Turn(ours_s, n_decoded, peer.seconds, tuned_s, before, after, with_logits, others), peer


def measure(bench: Bench, benchmark: Benchmark) -> Measured:
    """Takes turns until as many as asked for were quiet, then samples `create_completion`."""
    tried = {} if bench.args.quick else tune_peer(bench, benchmark)
    measured = Measured(benchmark, tried)
    n_wanted = bench.args.turns
    for number in range(1, n_wanted * (1 if bench.args.quick else _MOST_TURNS) + 1):
        turn, peer = take_turn(bench, benchmark, measured.tuned)
        measured.turns.append(turn)
        say(f"{benchmark.name}, turn {number}: {turn.ours_s:.2f} s against {turn.peer_s:.2f}, others {turn.others:.0%}")
        if number == 1:
            measured.notes.extend(compare_builds(peer))
            measured.is_same, measured.agreement = compare_answers(bench.engine, benchmark, peer)
        if sum(turn.is_quiet for turn in measured.turns) == n_wanted:
            break
    measure_completion(bench, measured)
    return measured


def compare_builds(peer: PerplexityRun) -> Iterator[str]:
    """Says so where the tools and the binding are not built alike."""
    if peer.features != binding_features():
        yield (
            f"llama-perplexity is built for other processor features than llama-cpp-python: {peer.features} against "
            f"{binding_features()}. Build both with the same CMAKE_ARGS."
        )


def measure_completion(bench: Bench, measured: Measured) -> None:
    """Times `create_completion` for the first choice of items spread evenly over the benchmark."""
    wait_until_quiet(bench.args.wait)
    benchmark = measured.benchmark
    n_pairs = 1 if bench.args.quick else bench.args.n_completion
    places = np.linspace(0, len(benchmark.items) - 1, n_pairs).round().astype(int).tolist()
    pairs = [(prompt_of(benchmark.items[i]), request_of(benchmark.items[i]).continuations[0]) for i in places]
    measured.completion_tokens = [len(benchmark.sequences[i][0].tokens) for i in places]
    measured.completion_s = time_completion(
        bench.model, pairs, n_ctx=benchmark.longest + 8, n_threads=bench.args.threads
    )


def ensure_model(cache: Path) -> Path:
    """A model of 135 million random weights with the vocabulary of GPT-2, made once."""
    path = cache / "random-135m-Q4_0.gguf"
    if not path.exists():
        source = llama_tools.ensure_source(cache)
        vocabulary = read_vocabulary(source / "models" / "ggml-vocab-gpt-2.gguf")
        write_random_model(path, SHAPES["135m"], vocabulary, name="random 135m Q4_0", quant="Q4_0")
    return path


# --- from and to the command line ---------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; default: random weights, made once")
    parser.add_argument("--llama-bin", type=Path, help=f"folder of llama.cpp's tools; default: ${llama_tools.VARIABLE}")
    parser.add_argument("--build", action="store_true", help="build the tools when they are not there")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for tools and model")
    parser.add_argument("--bbq", type=Path, default=_DATA / "bbq", help="publishers' files; else the starter items")
    parser.add_argument("--truthfulqa", type=Path, default=_DATA / "truthfulqa", help="the same")
    parser.add_argument("--n-bbq", type=int, help="items, 200 by default")
    parser.add_argument("--n-truthfulqa", type=int, help="items, 100 by default")
    parser.add_argument("--n-completion", type=int, default=3, help="choices that create_completion scores")
    parser.add_argument("--sample", action="store_true", help="a sample of all items, as `run --limit` takes it")
    parser.add_argument("--threads", type=int, help="default: physical cores")
    parser.add_argument("--turns", type=int, help="quiet ones to take, 5 by default")
    parser.add_argument("--wait", type=float, metavar="S", help="longest wait for a quiet machine before a turn, 60 s")
    parser.add_argument("--quick", action="store_true", help="few items, one turn")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    args.n_bbq = args.n_bbq or (32 if args.quick else 200)
    args.n_truthfulqa = args.n_truthfulqa or (6 if args.quick else 100)
    args.turns = args.turns or (1 if args.quick else 5)
    args.wait = (0 if args.quick else 60) if args.wait is None else args.wait
    args.threads = args.threads or read_machine().n_performance_cores
    return args


def load_benchmarks(args: argparse.Namespace, model: Path) -> list[Benchmark]:
    tokeniser = Model(str(model), None)
    encoder = Encoder(tokeniser)
    folders = {"bbq": args.bbq, "truthfulqa": args.truthfulqa}
    n_items = {"bbq": args.n_bbq, "truthfulqa": args.n_truthfulqa}
    benchmarks = [
        load_benchmark(name, find_data(name, folders[name]), encoder, n_items=n_items[name], is_sample=args.sample)
        for name in SUITE_NAMES
    ]
    tokeniser.close()
    return benchmarks


def main() -> int:
    args = parse_arguments()
    tools = llama_tools.find_tools(args.llama_bin, cache=args.cache, may_build=args.build)
    model = args.model or ensure_model(args.cache)
    benchmarks = load_benchmarks(args, model)
    wait_until_quiet(args.wait)
    with TemporaryDirectory() as folder, Engine(model) as engine:
        plan = make_plan(engine, model, longest=max(b.longest for b in benchmarks), n_threads=args.threads)
        engine.use(plan)
        bench = Bench(args, model, tools, Path(folder), engine)
        measured = [measure(bench, benchmark) for benchmark in benchmarks]
    targets = [target for one in measured for target in one.targets()]
    doubts = [doubt for one in measured for doubt in one.doubts()]
    header = {
        "model": model.name,
        "threads": args.threads,
        "llama_cpp_python": llama_tools.binding_version(),
        "pack_tokens": plan.pack_tokens,
        "chunk_tokens": plan.chunk_tokens,
    }
    if args.json:
        documents = [one.document() for one in measured]
        shown = [{**asdict(target), "is_met": target.is_met} for target in targets]
        print(json.dumps({**header, "benchmarks": documents, "doubts": doubts, "targets": shown}, indent=1))
    else:
        print("\n".join(f"{name}: {value}" for name, value in header.items()))
        print("\n".join(line for one in measured for line in one.lines()))
        print("\n".join([*(f"doubt: {doubt}" for doubt in doubts), *(target.line() for target in targets)]))
    return 0 if all(target.is_met for target in targets) and all(one.is_same for one in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
