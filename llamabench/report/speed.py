"""A measured speed in words and rows, the same in the report and on the screen."""

from __future__ import annotations

from dataclasses import dataclass

from llamabench.records import LoadTiming, MemoryUse, Speed, SpeedTest, Timing
from llamabench.repeats import find_drift, find_warnings, summarise
from llamabench.report.format import (
    MINUS,
    NBSP,
    format_bytes,
    format_count,
    format_duration,
    format_things,
    format_time,
)
from llamabench.report.items import Pair

NO_COUNTER = "no counter"

_WARM, _COLD = 0.05, 0.8
"""Share of the file that comes from the disk up to which a start is warm, and from which on it is cold."""


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One test: its name, what it is, tokens per second, every repeat, and the energy of a token."""

    name: str
    label: str
    speed: str
    spread: str
    repeats: str
    energy: str


@dataclass(frozen=True, slots=True)
class SpeedView:
    """A measured speed."""

    measured: str
    rows: tuple[SpeedRow, ...]
    facts: tuple[Pair, ...]
    warnings: tuple[str, ...]


def describe_speed(speed: Speed, size_bytes: int) -> SpeedView:
    """Put a measured speed into words.

    Args:
        speed: What was measured.
        size_bytes: Size of the model's file, all parts together.
    """
    return SpeedView(
        measured=format_time(speed.measured),
        rows=tuple(_describe_test(timing) for timing in speed.timings),
        facts=tuple(_describe_facts(speed, size_bytes)),
        warnings=tuple(find_warnings(speed)),
    )


def format_speed(tokens_per_s: float, like: float | None = None) -> str:
    r"""Format tokens per second to three digits or more.

    Args:
        tokens_per_s: The speed, or a spread of it.
        like: The speed whose decimals to take, so that a spread is written as its mean is.

    >>> format_speed(1234.5), format_speed(118.27), format_speed(5.1234), format_speed(0.8, like=118.27)
    ('1,234', '118.3', '5.12', '0.8')
    """
    size = tokens_per_s if like is None else like
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2
    return f"{tokens_per_s:,.{decimals}f}"


def _describe_test(timing: Timing) -> SpeedRow:
    speeds = timing.tokens_per_s
    mean, stdev, _ = summarise(speeds)
    energy = "; ".join(f"{joules:.3g}{NBSP}J ({name})" for name, joules in timing.joules_per_token.items())
    return SpeedRow(
        name=timing.test.name,
        label=_name_test(timing.test),
        speed=format_speed(mean),
        spread="" if stdev is None else f"±{NBSP}{format_speed(stdev, like=mean)}",
        repeats=" · ".join(format_speed(speed) for speed in speeds),
        energy=energy or NO_COUNTER,
    )


def _name_test(test: SpeedTest) -> str:
    tokens = format_things(test.n_tokens, "token", "tokens")
    if test.kind == "prompt":
        return f"reading a prompt of {tokens}"
    if test.n_parallel == 1:
        return f"generating {tokens}, one text"
    return f"generating {tokens} in each of {format_count(test.n_parallel)} texts side by side"


def _describe_facts(speed: Speed, size_bytes: int) -> list[Pair]:
    facts = [Pair("Load time", _describe_load(speed.load, size_bytes))]
    if speed.first_token_s:
        mean, stdev, _ = summarise(speed.first_token_s)
        (n_prompt,) = {timing.test.n_tokens for timing in speed.timings if timing.test.kind == "prompt"}
        spread = "" if stdev is None else f" ± {stdev:.3f}"
        facts.append(Pair("Time to first token", f"{mean:.3f}{spread}{NBSP}s after a prompt of {n_prompt} tokens"))
    facts += [Pair(f"Memory of {use.device}", _describe_memory(use)) for use in speed.memory]
    if speed.sustained is not None:
        facts.append(Pair("Over time", _describe_drift(speed, speed.sustained)))
    if speed.no_energy:
        facts.append(Pair("Energy", " ".join(speed.no_energy)))
    return facts


def _describe_load(load: LoadTiming, size_bytes: int) -> str:
    length = f"{load.seconds:.3g}{NBSP}s" if load.seconds < 10 else format_duration(load.seconds)
    seconds = f"{length} from the file to the first token"
    if load.disk_bytes is None:
        return f"{seconds}; whether the file was in memory already is not known"
    share = load.disk_bytes / max(size_bytes, 1)
    state = "warm" if share <= _WARM else "cold" if share >= _COLD else "partly warm"
    return f"{seconds}, {state}: {format_bytes(load.disk_bytes)} came from the disk"


def _describe_memory(use: MemoryUse) -> str:
    peak = f"{format_bytes(use.peak_bytes)} at most"
    if use.device != "CPU":
        return f"{peak}, by what was free before and after"
    return f"{peak}, mapped pages of the file and {format_bytes(use.program_bytes)} of the program itself included"


def _describe_drift(speed: Speed, sustained: Timing) -> str:
    drift = find_drift(speed)
    seconds = format_duration(sum(sustained.seconds))
    if drift is None:
        return f"too few repeats of {sustained.test.name} in {seconds} to tell"
    change = f"{drift.change:+.1%}".replace("-", MINUS).replace("%", f"{NBSP}%")
    return f"{change} from the first to the last {format_duration(drift.window_s)} of {format_duration(drift.seconds)}"
