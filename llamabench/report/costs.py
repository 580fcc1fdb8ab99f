"""What models cost beside what they are worth: size, memory and speed against quality, for a picture and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.records import Side, Speed
from llamabench.repeats import summarise
from llamabench.report.format import format_bytes, format_score


@dataclass(frozen=True, slots=True)
class CostRow:
    """A model with what it costs; `is_best` where no other is at least as good in everything and better in something.

    `x` and `y` are places in the picture in per cent, None where quality is not known.
    """

    name: str
    quality: str | None
    size: str
    memory: str
    prompt_speed: str | None
    text_speed: str | None
    is_best: bool
    x: float | None
    y: float | None


@dataclass(frozen=True, slots=True)
class CostsView:
    """All models, and the ends of the picture's axes."""

    rows: tuple[CostRow, ...]
    sizes: tuple[str, str]
    qualities: tuple[str, str]
    has_picture: bool


def describe_costs(sides: Sequence[Side], names: Sequence[str]) -> CostsView:
    """Sets what the models of runs cost against their quality; `names` tell them apart."""
    sizes = [side.model.size_bytes for side in sides]
    qualities = [side.quality for side in sides if side.quality is not None]
    widest = max(sizes)
    low, high = _span(qualities)
    rows = []
    for name, side in zip(names, sides, strict=True):
        is_known = side.quality is not None and high > low
        speeds = _find_speeds(side.speed)
        rows.append(
            CostRow(
                name=name,
                quality=None if side.quality is None else format_score(side.quality, "share"),
                size=format_bytes(side.model.size_bytes),
                memory=format_bytes(side.expected_bytes),
                prompt_speed=_format_speed(speeds[0]),
                text_speed=_format_speed(speeds[1]),
                is_best=not any(_beats(other, side) for other in sides if other is not side),
                x=round(side.model.size_bytes / widest * 92 + 4, 2) if is_known else None,
                y=round(96 - ((side.quality or 0) - low) / (high - low) * 92, 2) if is_known else None,
            )
        )
    ends = (format_score(low, "share"), format_score(high, "share"))
    return CostsView(tuple(rows), ("0", format_bytes(widest)), ends, any(row.x is not None for row in rows))


def _span(qualities: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis of quality: whole tenths around all of them."""
    if not qualities:
        return 0.0, 0.0
    return max(0.0, int(min(qualities) * 10) / 10), min(1.0, (int(max(qualities) * 10) + 1) / 10)


def _find_speeds(speed: Speed | None) -> tuple[float | None, float | None]:
    """Measured tokens per second of prompts and of one text, None where they were not measured."""
    timings = [] if speed is None else speed.timings
    prompt = next((one for one in timings if one.test.kind == "prompt"), None)
    text = next((one for one in timings if one.test.kind != "prompt" and one.test.n_parallel == 1), None)
    return (
        None if prompt is None else summarise(prompt.tokens_per_s).mean,
        None if text is None else summarise(text.tokens_per_s).mean,
    )


def _format_speed(tokens_per_s: float | None) -> str | None:
    return None if tokens_per_s is None else f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.1f}"


def _beats(other: Side, side: Side) -> bool:
    """Whether another model is at least as good in everything that is known of both, and better in something."""
    theirs, mine = _goods(other), _goods(side)
    pairs = [(a, b) for a, b in zip(theirs, mine, strict=True) if a is not None and b is not None]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _goods(side: Side) -> tuple[float | None, ...]:
    """What is known of a model, each the more the better."""
    return (side.quality, -side.model.size_bytes, -side.expected_bytes, *_find_speeds(side.speed))
