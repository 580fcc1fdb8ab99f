"""The other ways to generate text with llama.cpp, timed without loading the model."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llamabench.records import Sampling


class BatchedRun(NamedTuple):
    """What `llama-batched-bench` took: seconds for the prompt, and for the tokens after it."""

    prompt_s: float
    tokens_s: float


def run_batched_bench(
    tool: Path, model: Path, *, n_parallel: int, n_prompt: int, n_tokens: int, n_cells: int, n_threads: int
) -> BatchedRun:
    """Has `llama-batched-bench` decode one prompt and, after it, random tokens in several streams.

    Args:
        tool: The program.
        model: The GGUF file.
        n_parallel: Streams.
        n_prompt: Tokens of the prompt, which all streams share.
        n_tokens: Tokens that each stream decodes after it; none is drawn.
        n_cells: Room of each stream in tokens.
        n_threads: Processor threads.
    """
    command = [str(tool), "-m", str(model), "-c", str(n_parallel * n_cells), "-b", "512", "-ub", "512", "-pps"]
    command += ["-npp", str(n_prompt), "-ntg", str(n_tokens), "-npl", str(n_parallel), "-t", str(n_threads)]
    command += ["-ngl", "0", "-fa", "auto", "--output-format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not rows:
        raise SystemExit(f"{tool.name} failed ({done.returncode}): {done.stderr[-800:]}")
    return BatchedRun(float(rows[-1]["t_pp"]), float(rows[-1]["t_tg"]))


def time_completions(
    model: Path, prompts: Sequence[str], sampling: Sampling, *, n_ctx: int, n_threads: int
) -> list[float]:
    """Seconds that `Llama.create_completion` of llama-cpp-python takes for one text after each prompt."""
    from llama_cpp import Llama

    llama = Llama(str(model), n_ctx=n_ctx, n_threads=n_threads, n_threads_batch=n_threads, verbose=False)
    seconds = []
    for seed, prompt in enumerate(["warm up", *prompts]):
        start = time.perf_counter()
        llama.create_completion(
            prompt,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repeat_penalty=1.0,
            seed=seed,
        )
        seconds.append(time.perf_counter() - start)
    llama.close()
    return seconds[1:]
