"""Speed of text generation: many texts side by side, against llama.cpp's own bound and against one text at a time.

    python benchmarks/generate.py --build            # builds llama.cpp's tools and a model the first time
    python benchmarks/generate.py --quick            # under a minute, less sure

Against, with the same model file and threads, all in one run:

* `llama-batched-bench`, which draws no tokens: it decodes one prompt, copies it to 1, 8, 16 or 32 streams and decodes
  random tokens in each. Ours generates as many texts after one prompt: greedily, and at temperature 1 with top-p 0.9;
* `Llama.create_completion` of llama-cpp-python, a text at a time, for a load of the shape of RealToxicityPrompts:
  prompts of some 15 tokens, 25 texts of 20 tokens each, temperature 1, top-p 0.9. A few texts are timed, the rest is
  extrapolated.

What is counted: tokens decoded after the prompt, per second of prompt and texts together, on both sides. Ours runs
through the engine's process and includes tokenising, copying the prompt to the streams, drawing, spelling and passing
the texts back; the peer's seconds are its own, without its copies. The last token of a text is drawn and not decoded,
so a text of n + 1 tokens stands against n of the peer. Both begin with the model loaded and warm.

Weights are random, so that the distribution is nearly flat and top-p 0.9 keeps 30,000 of 50,000 tokens; a token of a
trained model, which keeps tens, takes as long to draw. A text may end early by an end token: what is counted is what
was decoded, and of several prompts the one is taken after which a greedy text does so last.

The sides take turns, in changing order; results are medians over turns. A turn during which other processes kept the
machine busy is shown and not counted.

Not covered: offload to devices. Every side runs on the processor alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import llama_tools
from generate_peers import BatchedRun, run_batched_bench, time_completions
from generate_results import LEAST_GREEDY, Case, Load, Measured, Turn
from mcq import ensure_model, say
from measuring import OthersWatch, wait_until_quiet

from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.hardware.machine import read_machine
from llamabench.records import ContextPlan, GenerateRequest, GenerateResult, Plan, Sampling, TextPrompt

_PARALLEL = (1, 8, 16, 32)
_CELLS = 256
_MOST_TURNS = 3
"""Times as many turns are taken as asked for, when others disturb so many."""

_N_SAMPLES, _SAMPLE_TOKENS = 25, 20
_WORDS = (
    "The people who live near the river say that every morning before the sun comes up",
    "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
    "When the doctor asked about the old house on the hill nobody wanted to answer",
    "In the end it was the youngest of them who opened the door and said",
    "A long time ago there was a small shop that sold nothing but clocks and",
    "Because of what had happened at the meeting the mayor decided that all of us",
    "If you look at the map you will see a line that goes from north to",
    "My neighbour told me that the reason why he never sleeps at night is",
)


def make_plan(n_threads: int, n_streams: int) -> Plan:
    """A plan on the processor alone with streams of 256 tokens, as many as there are texts, as a run makes it."""
    generation = ContextPlan(n_streams * _CELLS, n_streams, 512, 512, n_streams, kv_unified=False)
    return replace(PLAIN_PLAN, n_threads=n_threads, generation=generation)


def generate(engine: Engine, prompts: Sequence[str], sampling: Sampling, n: int) -> tuple[float, int]:
    """Seconds for all texts, and the tokens that were decoded after the prompts."""
    requests = [GenerateRequest(prompt, TextPrompt(prompt), sampling, n) for prompt in prompts]
    start = time.perf_counter()
    results = engine.generate(requests)
    seconds = time.perf_counter() - start
    n_decoded = 0
    for result in results:
        assert isinstance(result, GenerateResult), result
        n_decoded += sum(text.n_tokens - 1 for text in result.texts)
    return seconds, n_decoded


def choose_prompt(engine: Engine, n_tokens: int) -> str:
    """A prompt after which the likeliest tokens are no end tokens, as far as one of ours is."""
    found = {words: generate(engine, [words], Sampling(n_tokens + 1), 1)[1] for words in _WORDS}
    return max(found, key=lambda words: found[words])


def take_turn(
    measured: Measured, engine: Engine, args: argparse.Namespace, *, cases: Sequence[Case], peer_first: bool
) -> None:
    """Times the cases of one parallelism and the peer once each."""
    n_parallel, prompt = cases[0].n_parallel, args.prompt
    wait_until_quiet(args.wait)
    n_prompt = engine.count_tokens([GenerateRequest("", TextPrompt(prompt), Sampling(0))])[0]
    engine.use(make_plan(args.threads, n_parallel))
    # the context is another, or closed since counting opened the tokeniser alone: this opens it and warms it up
    generate(engine, [prompt], Sampling(2), n_parallel)

    def ask_peer() -> BatchedRun:
        tool = args.tools / "llama-batched-bench"
        return run_batched_bench(
            tool,
            Path(engine.spec.path),
            n_parallel=n_parallel,
            n_prompt=n_prompt,
            n_tokens=args.tokens,
            n_cells=_CELLS,
            n_threads=args.threads,
        )

    watch = OthersWatch()
    runs = [ask_peer()] if peer_first else []
    ours = {case: generate(engine, [prompt], _sampling(case, args.tokens), n_parallel) for case in cases}
    runs += [] if peer_first else [ask_peer()]
    others = watch.share()
    for case, (seconds, n_decoded) in ours.items():
        turn = Turn(seconds, n_decoded, sum(runs[0]), n_parallel * args.tokens, others)
        measured.add(case, turn)
        say(f"{case.name}: {turn.ratio:.3f} of {turn.n_peer / turn.peer_s:.0f} tokens/s, others {others:.0%}")


def _sampling(case: Case, n_tokens: int) -> Sampling:
    if case.drawing == "greedy":
        return Sampling(n_tokens + 1)
    return Sampling(n_tokens + 1, 1.0, top_p=0.9)


def measure(engine: Engine, args: argparse.Namespace, *, name: str, least_sampled: float) -> Measured:
    """Takes turns until as many as asked for were quiet."""
    measured = Measured()
    args.prompt = choose_prompt(engine, args.tokens)
    for number in range(args.turns * (1 if args.quick else _MOST_TURNS)):
        for n_parallel in _PARALLEL:
            cases = [
                Case(name, n_parallel, "greedy", LEAST_GREEDY),
                Case(name, n_parallel, "top_p", least_sampled),
            ]
            take_turn(measured, engine, args, cases=cases, peer_first=number % 2 == 0)
        if measured.n_quiet() >= args.turns:
            break
    return measured


def measure_load(engine: Engine, args: argparse.Namespace) -> Load:
    """Times the load in turns with a few single texts."""
    sampling = Sampling(_SAMPLE_TOKENS, 1.0, top_p=0.9)
    prompts = _WORDS[: 2 if args.quick else len(_WORDS)]
    ours, others = [], []
    for _ in range(args.turns):
        engine.use(make_plan(args.threads, max(_PARALLEL)))
        wait_until_quiet(args.wait)
        generate(engine, prompts[:1], Sampling(2), 1)
        ours.append(generate(engine, prompts, sampling, _N_SAMPLES)[0])
        others += time_completions(
            Path(engine.spec.path), prompts[: args.n_completion], sampling, n_ctx=_CELLS, n_threads=args.threads
        )
    return Load(len(prompts), _N_SAMPLES, tuple(ours), tuple(others))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file of some 135M weights; default: random ones, made once")
    parser.add_argument("--model-1b", type=Path, help="GGUF file of some 1B weights (make_model.py), measured too")
    parser.add_argument("--llama-bin", type=Path, help=f"folder of llama.cpp's tools; default: ${llama_tools.VARIABLE}")
    parser.add_argument("--build", action="store_true", help="build the tools when they are not there")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for tools and model")
    parser.add_argument("--tokens", type=int, help="decoded of each text, 128 by default")
    parser.add_argument("--n-completion", type=int, default=3, help="texts of create_completion in each turn")
    parser.add_argument("--threads", type=int, help="default: physical cores")
    parser.add_argument("--turns", type=int, help="quiet ones to take, 5 by default")
    parser.add_argument("--wait", type=float, metavar="S", help="longest wait for a quiet machine before a turn, 60 s")
    parser.add_argument("--quick", action="store_true", help="short texts, one turn")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    args.tokens = args.tokens or (48 if args.quick else 128)
    args.turns = args.turns or (1 if args.quick else 5)
    args.wait = (0 if args.quick else 60) if args.wait is None else args.wait
    args.threads = args.threads or read_machine().n_performance_cores
    return args


def main() -> int:
    args = parse_arguments()
    args.tools = llama_tools.find_tools(args.llama_bin, cache=args.cache, may_build=args.build)
    model = args.model or ensure_model(args.cache)
    with Engine(model, make_plan(args.threads, 1)) as engine:
        found = [measure(engine, args, name="135m", least_sampled=0.85)]
        load = measure_load(engine, args)
    if args.model_1b:
        with Engine(args.model_1b, make_plan(args.threads, 1)) as engine:
            found.append(measure(engine, args, name="1b", least_sampled=0.95))
    targets = [*(target for measured in found for target in measured.targets()), load.target()]
    doubts = [doubt for measured in found for doubt in measured.doubts()]
    header = {
        "model": model.name,
        "threads": args.threads,
        "tokens": args.tokens,
        "llama_cpp_python": llama_tools.binding_version(),
    }
    if args.json:
        cases = [document for measured in found for document in measured.documents()]
        shown = [{**asdict(target), "is_met": target.is_met} for target in targets]
        print(
            json.dumps({**header, "cases": cases, "load": asdict(load), "doubts": doubts, "targets": shown}, indent=1)
        )
    else:
        print("\n".join(f"{name}: {value}" for name, value in header.items()))
        print("\n".join([*(line for measured in found for line in measured.lines()), load.line()]))
        print("\n".join([*(f"doubt: {doubt}" for doubt in doubts), *(target.line() for target in targets)]))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
