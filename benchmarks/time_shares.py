"""Where the time of a scoring run and of a generation run goes.

    python benchmarks/time_shares.py [--model model.gguf]

Three measurements, in shares of their wall time:

* scoring, the child's side: the requests of BBQ and TruthfulQA items in one session, with every call timed that
  leaves Python (decode, memory) or is worth a line (log-softmax, filling the batch, encoding text);
* scoring, the parent's side: a whole run with its process and its store, with the time that the parent spends on
  making items, scoring answers and committing chunks. It does so while the child decodes the next chunk; the same for
  RealToxicityPrompts, where it scores 25 texts a prompt;
* generation: texts at temperature 1, top-p 0.9, with decode and sampling timed.

What nobody timed is `the rest`: Python between the calls.

Not covered: offload to devices.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import llama_tools
from mcq import ensure_model
from mcq_questions import SUITE_NAMES, find_data
from measuring import Target, wait_until_quiet

from llamabench import asking, runner
from llamabench.data.cache import STARTER
from llamabench.engine.encoding import Encoder
from llamabench.engine.llama import Batch, Context
from llamabench.engine.process import PLAIN_PLAN
from llamabench.engine.sampling import Sampler
from llamabench.engine.scoring import Sheet
from llamabench.engine.session import Session
from llamabench.hardware.machine import read_machine
from llamabench.records import ContextPlan, GenerateRequest, ModelSpec, Sampling, ScoreRequest, Standing, TextPrompt
from llamabench.results.store import Run
from llamabench.runner import RunOptions
from llamabench.selection import Task
from llamabench.suites import SUITES

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_MOST_OVERHEAD = 0.03
_SCORING = ContextPlan(1024, n_seq_max=256, n_batch=512, n_ubatch=512, n_outputs_max=512, kv_unified=True)
_GENERATION = ContextPlan(2048, n_seq_max=16, n_batch=512, n_ubatch=512, n_outputs_max=16, kv_unified=False)

Shares = dict[str, float]
"""Share of the wall time by what it went to."""


class Stopwatch:
    """Adds up the time spent inside functions, those inside others counted once."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._depth = 0

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds[name] += time.perf_counter() - start

        return timed

    def around_iterator(self, function: Callable[..., Iterator[Any]], name: str) -> Callable[..., Iterator[Any]]:
        """A function that returns an iterator, each step of it timed."""

        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            step = self.around(function(*args, **kwargs).__next__, name)
            while True:
                try:
                    yield step()
                except StopIteration:
                    return

        return timed

    @contextmanager
    def timing(self, *places: tuple[object, str, str]) -> Iterator[None]:
        """Times attributes while it is entered; a place is an owner, an attribute and a name."""
        with ExitStack() as stack:
            for owner, attribute, name in places:
                stack.enter_context(mock.patch.object(owner, attribute, self.around(getattr(owner, attribute), name)))
            yield

    def shares(self, wall_s: float) -> Shares:
        """What went where, and the rest."""
        found = {name: seconds / wall_s for name, seconds in self.seconds.items()}
        return {**found, "the rest": 1 - sum(found.values())}


def share_of_child(session: Session, requests: list[ScoreRequest]) -> Shares:
    """Scores requests and says where the time went."""
    session.score(requests[:8])
    watch = Stopwatch()
    with watch.timing(
        (Context, "decode", "decode"),
        (Context, "copy", "memory"),
        (Context, "forget", "memory"),
        (Context, "keep_only", "memory"),
        (Sheet, "enter", "log-softmax"),
        (Batch, "fill", "filling batches"),
        (Encoder, "encode_pairs", "encoding text"),
    ):
        start = time.perf_counter()
        session.score(requests)
        return watch.shares(time.perf_counter() - start)


def share_of_generation(session: Session, *, n_prompts: int) -> Shares:
    """Generates texts and says where the time went."""
    sampling = Sampling(max_tokens=20, temperature=1.0, top_p=0.9)
    requests = [
        GenerateRequest(str(n), TextPrompt(f"The {n}th thing she said was"), sampling, 8) for n in range(n_prompts)
    ]
    session.generate(requests[:2])
    watch = Stopwatch()
    with watch.timing(
        (Context, "decode", "decode"),
        (Context, "copy", "memory"),
        (Context, "forget", "memory"),
        (Sampler, "draw", "sampling"),
        (Batch, "fill", "filling batches"),
        (Encoder, "encode", "encoding text"),
    ):
        start = time.perf_counter()
        session.generate(requests)
        return watch.shares(time.perf_counter() - start)


class _Silent:
    """Progress that nobody sees."""

    def begin(self, run: Run) -> None: ...

    def note(self, text: str) -> None: ...

    def advance(self, suite: str, *, n_done: int, n_total: int, tokens_per_s: float | None) -> None: ...

    def stand(self, standing: Standing) -> None: ...


def share_of_parent(model: Path, suites: Sequence[str], *, n_items: int) -> Shares:
    """Runs suites on starter items as a command does and says what the parent did meanwhile.

    Of a small `limit` on many items the parent's share is larger: all are read, in seconds, to draw a few.
    """
    watch = Stopwatch()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        making = watch.around_iterator(Task.missing_chunks, "making items")
        stack.enter_context(mock.patch.object(Task, "missing_chunks", making))
        stack.enter_context(watch.timing((asking, "_score", "scoring answers"), (Run, "commit_chunk", "store")))
        options = RunOptions(model, tuple(f"{name}:{STARTER}" for name in suites), Path(folder), limit=n_items)
        with runner.run(options, _Silent()) as run:
            wall_s = sum(run.timings().values())
    return watch.shares(wall_s)


def load_requests(name: str, n_items: int) -> list[ScoreRequest]:
    """The first requests of a suite."""
    items = SUITES[SUITE_NAMES[name]].items(find_data(name, _DATA / name), use_chat=False)
    requests = itertools.chain.from_iterable(item.requests for item in itertools.islice(items, n_items))
    return [request for request in requests if isinstance(request, ScoreRequest)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; default: random weights, made once")
    parser.add_argument("--cache", type=Path, default=llama_tools.default_cache(), help="for the model")
    parser.add_argument("--n-items", type=int, default=100, help="of each suite")
    parser.add_argument("--n-prompts", type=int, default=10, help="to generate 8 texts each from")
    parser.add_argument("--quick", action="store_true", help="few items, under a minute")
    parser.add_argument("--json", action="store_true", help="one document instead of lines")
    args = parser.parse_args()
    n_items, n_prompts = (20, 3) if args.quick else (args.n_items, args.n_prompts)
    model = args.model or ensure_model(args.cache)
    plan = replace(
        PLAIN_PLAN,
        n_threads=read_machine().n_performance_cores,
        strategy="packed",
        pack_tokens=256,
        scoring=_SCORING,
        generation=_GENERATION,
    )
    wait_until_quiet(0 if args.quick else 60)
    session = Session(ModelSpec(str(model), plan))
    found = {f"scoring {name}, child": share_of_child(session, load_requests(name, n_items)) for name in SUITE_NAMES}
    found["generation, child"] = share_of_generation(session, n_prompts=n_prompts)
    session.close()
    found["scoring both, parent"] = share_of_parent(model, tuple(SUITE_NAMES.values()), n_items=n_items)
    found["texts, parent"] = share_of_parent(model, ("realtoxicity",), n_items=n_prompts)
    python = max(found[f"scoring {name}, child"]["the rest"] for name in SUITE_NAMES)
    parent, of_texts = (1 - found[name]["the rest"] for name in ("scoring both, parent", "texts, parent"))
    targets = [
        Target("python_share_of_scoring", python, _MOST_OVERHEAD, at_most=True),
        Target("python_share_of_generation", found["generation, child"]["the rest"], _MOST_OVERHEAD, at_most=True),
        Target("store_and_scoring_share", parent, _MOST_OVERHEAD, at_most=True),
        Target("store_and_scoring_share_of_texts", of_texts, _MOST_OVERHEAD, at_most=True),
    ]
    if args.json:
        shown = [{"name": t.name, "value": t.value, "target": t.target, "is_met": t.is_met} for t in targets]
        print(json.dumps({"model": model.name, "shares": found, "targets": shown}, indent=1))
    else:
        for name, shares in found.items():
            parts = ", ".join(f"{part} {share:.1%}" for part, share in shares.items() if share >= 0.0005)
            print(f"{name}: {parts}")
        print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
