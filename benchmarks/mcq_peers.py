"""The other ways to get multiple-choice answers out of llama.cpp, timed without loading the model."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROMPT_SIZES = (128, 256, 512)
_MAX_SEQUENCES = 128  # more are never used by the tool: 4 * max_tasks_per_batch
_STAMP = re.compile(r"^(\d+)\.(\d\d)\.(\d{3})\.(\d{3}) I (.*)$")
_SUM = re.compile(r"^(\d+)\t(\d+\.\d+)$")


class Choices(NamedTuple):
    """A question as the tools ask it: the prompt, its answers without the space before them, and which are right."""

    prompt: str
    answers: tuple[str, ...]
    is_right: tuple[bool, ...]


# --- llama-perplexity ---------------------------------------------------------------------------


def write_tasks(path: Path, tasks: Sequence[Choices]) -> None:
    """Writes questions in the format that `llama-perplexity --multiple-choice` reads.

    Source: `multiple_choice_task::deserialize` in llama.cpp, tools/perplexity/perplexity.cpp.
    """

    def text(value: str) -> bytes:
        raw = value.encode()
        return struct.pack("<I", len(raw)) + raw

    blocks = []
    for task in tasks:
        n = len(task.answers)
        answers = struct.pack("<I", n) + b"".join(map(text, task.answers)) + struct.pack(f"<{n}i", *task.is_right)
        blocks.append(text(task.prompt) + answers + answers)  # the second list, for MC2, is read and not used
    positions, position = [], 4 + 4 * len(blocks)
    for block in blocks:
        positions.append(position)
        position += len(block)
    header = struct.pack(f"<I{len(blocks)}I", len(blocks), *positions)
    path.write_bytes(header + b"".join(blocks))


class PerplexityOptions(NamedTuple):
    """What the user of `llama-perplexity` can turn: tokens and sequences per decode."""

    n_ctx: int
    n_sequences: int

    def arguments(self) -> list[str]:
        """As on the command line; the tool multiplies `-c` by `-np`."""
        per_sequence = str(math.ceil(self.n_ctx / self.n_sequences))
        return ["-c", per_sequence, "-np", str(self.n_sequences), "-ub", str(min(self.n_ctx, 512))]

    def __str__(self) -> str:
        return " ".join(self.arguments())


def default_settings(n_answers: int) -> PerplexityOptions:
    """What the tool does when told nothing but the most answers that a question has, which it must be told."""
    n_sequences = max(n_answers, 4)
    return PerplexityOptions(512 * n_sequences, n_sequences)


def other_settings(n_answers: int, n_tokens: int) -> list[PerplexityOptions]:
    """Settings that may be faster for questions of so many answers and so many tokens.

    Small decodes come first, because attention grows with them.
    """
    sizes = [n_ctx for n_ctx in (256, 512, 1024, 2048, 4096) if n_ctx >= n_tokens][:3]
    return [PerplexityOptions(n_ctx, max(min(n_ctx // 16, _MAX_SEQUENCES), n_answers, 4)) for n_ctx in sizes]


@dataclass(frozen=True, slots=True)
class PerplexityRun:
    """One run of `llama-perplexity`.

    Attributes:
        seconds: From the tool's line that says how many tasks there are to the one with the final result, by the
            tool's own time stamps: reading, tokenising, decoding and scoring the tasks; loading and warming up the
            model is left out.
        is_right: Whether each task was answered right, read off the running accuracy.
        features: The processor features that the tool uses, as `binding_features` words them.
    """

    seconds: float
    is_right: tuple[bool, ...]
    features: str


def run_perplexity(
    tool: Path, model: Path, tasks: Path, *, n_threads: int, options: PerplexityOptions
) -> PerplexityRun:
    """Has `llama-perplexity` answer the tasks of a file."""
    command = [str(tool), "-m", str(model), "--multiple-choice", "-bf", str(tasks), "-t", str(n_threads)]
    command += [*options.arguments(), "-ngl", "0", "--log-prefix", "--log-timestamps", "--log-colors", "off"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    start, end = _find_stamp(lines, "multiple_choice_score: there are"), _find_stamp(lines, "Final result")
    if done.returncode or start is None or end is None:
        raise SystemExit(f"{tool.name} failed ({done.returncode}): {' / '.join(lines[-8:])}")
    info = next((line.partition("system_info: ")[2] for line in lines if "system_info: " in line), "")
    return PerplexityRun(end - start, tuple(_read_running_accuracy(lines)), info.partition(" | ")[2].strip())


def _find_stamp(lines: Sequence[str], words: str) -> float | None:
    for line in lines:
        match = _STAMP.match(line)
        if match and match[5].startswith(words):
            minutes, seconds, millis, micros = map(int, match.groups()[:4])
            return minutes * 60 + seconds + millis / 1e3 + micros / 1e6
    return None


def _read_running_accuracy(lines: Sequence[str]) -> Iterator[bool]:
    n_right = 0
    for match in filter(None, map(_SUM.match, lines)):
        before, n_right = n_right, round(float(match[2]) * int(match[1]) / 100)
        yield n_right > before


def binding_features() -> str:
    """The processor features that the installed llama-cpp-python uses."""
    import llama_cpp

    return str(llama_cpp.llama_print_system_info(), "utf-8").strip()


# --- llama-bench --------------------------------------------------------------------------------


class PromptTest(NamedTuple):
    """What `llama-bench` was asked to time."""

    n_prompt: int
    flash_attention: str


def run_llama_bench(tool: Path, model: Path, *, n_threads: int, n_repeats: int) -> dict[PromptTest, float]:
    """Has `llama-bench` time prompts of several lengths; tokens per second, without loading the model."""
    command = [str(tool), "-m", str(model), "-p", ",".join(map(str, PROMPT_SIZES)), "-n", "0", "-fa", "off,on"]
    command += ["-t", str(n_threads), "-ngl", "0", "-r", str(n_repeats), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise SystemExit(f"{tool.name} failed ({done.returncode}): {done.stderr[-800:]}")
    return {
        PromptTest(row["n_prompt"], str(row["flash_attn"])): float(row["avg_ts"]) for row in json.loads(done.stdout)
    }


def run_batched_bench(tool: Path, model: Path, *, n_threads: int) -> float:
    """Has `llama-batched-bench` decode 128 short sequences side by side; tokens per second with logits for every one.

    `llama-bench` asks for the logits of a prompt's last token alone, which a scored continuation cannot.
    """
    command = [str(tool), "-m", str(model), "-c", "4096", "-b", "512", "-ub", "512", "-npp", "8", "-ntg", "8"]
    command += ["-npl", "128", "-t", str(n_threads), "-ngl", "0", "-fa", "on", "--output-format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not rows:
        raise SystemExit(f"{tool.name} failed ({done.returncode}): {done.stderr[-800:]}")
    return float(rows[-1]["speed_tg"])


# --- llama-cpp-python's high level --------------------------------------------------------------


def time_completion(model: Path, pairs: Sequence[tuple[str, str]], *, n_ctx: int, n_threads: int) -> list[float]:
    """Seconds that `Llama.create_completion(echo=True, logprobs=1)` takes for each prompt with its continuation.

    The way of every tool that asks for scores through the OpenAI interface, lm-evaluation-harness's gguf model among
    them.
    """
    from llama_cpp import Llama

    llama = Llama(
        str(model), n_ctx=n_ctx, n_threads=n_threads, n_threads_batch=n_threads, logits_all=True, verbose=False
    )
    seconds = []
    for prompt, continuation in pairs:
        start = time.perf_counter()
        llama.create_completion(prompt + continuation, max_tokens=1, echo=True, logprobs=1, temperature=0.0)
        seconds.append(time.perf_counter() - start)
    llama.close()
    return seconds
