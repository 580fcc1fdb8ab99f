"""How fast a model was on a machine: every repeat of every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class SpeedTest:
    """What is timed.

    Attributes:
        kind: Whether a prompt is read, or tokens are decoded one after the other.
        n_tokens: Tokens of each text.
        n_parallel: Texts side by side.
    """

    kind: Literal["prompt", "generation"]
    n_tokens: int
    n_parallel: int = 1

    @property
    def name(self) -> str:
        """Its name, for one text that of llama-bench.

        >>> SpeedTest("prompt", 512).name, SpeedTest("generation", 32, 16).name
        ('pp512', 'tg32 x 16')
        """
        side_by_side = "" if self.n_parallel == 1 else f" x {self.n_parallel}"
        return f"{'pp' if self.kind == 'prompt' else 'tg'}{self.n_tokens}{side_by_side}"


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the process that owns the model measured.

    Attributes:
        seconds: Of each repeat, in order; the warm-up is not among them.
        first_token_s: Of each repeat of a prompt, until the token after it was drawn; empty for other tests.
    """

    seconds: tuple[float, ...]
    first_token_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """A test with its repeats.

    Attributes:
        test: What was timed.
        seconds: Of each repeat, in order.
        joules: Energy of all repeats together by the counter's name; empty where there is no counter.
    """

    test: SpeedTest
    seconds: tuple[float, ...]
    joules: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_tokens(self) -> int:
        """Tokens of one repeat, all texts together."""
        return self.test.n_tokens * self.test.n_parallel

    @property
    def tokens_per_s(self) -> tuple[float, ...]:
        """Speed of each repeat."""
        return tuple(self.n_tokens / seconds for seconds in self.seconds)

    @property
    def joules_per_token(self) -> dict[str, float]:
        """Energy of one token by the counter's name."""
        return {name: joules / (self.n_tokens * len(self.seconds)) for name, joules in self.joules.items()}


@dataclass(frozen=True, slots=True)
class LoadTiming:
    """How long a model took from its file to its first token.

    Attributes:
        seconds: For weights, a context and one decode of one token: weights may be read no sooner.
        disk_bytes: What came from the disk meanwhile, None where the system does not say. Next to nothing is a warm
            start: the system had the file in memory.
    """

    seconds: float
    disk_bytes: int | None


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a model took on a device.

    Attributes:
        device: Its name, `CPU` for the host.
        peak_bytes: On the host, the most that the process held, mapped pages of the file included. On a device, what
            its free memory had fallen by, whoever took it.
        program_bytes: Part of it that the process held before the model was there; 0 on devices.
    """

    device: str
    peak_bytes: int
    program_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured of a model's speed.

    Attributes:
        measured: When, ISO 8601 with time zone.
        load: From the file to the first token.
        timings: Each test with its repeats.
        sustained: Further repeats of the generation test without a pause, None where none were asked for.
        first_token_s: For each repeat of the prompt test, seconds until the token after it was drawn.
        memory: What each device held.
        no_energy: Why there is no energy, or not that of all; a sentence each.
    """

    measured: str
    load: LoadTiming
    timings: tuple[Timing, ...]
    sustained: Timing | None
    first_token_s: tuple[float, ...]
    memory: tuple[MemoryUse, ...]
    no_energy: tuple[str, ...] = ()
