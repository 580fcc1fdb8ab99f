"""What models cost beside how they score: size, memory and speed against a mean, for a picture and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamabench.records import Side, Speed
from llamabench.repeats import summarise
from llamabench.report.charts import SHARE_AXIS
from llamabench.report.format import format_bytes, format_score
from llamabench.report.scatter import Cost, Scatter, Spot, draw_scatter

MEAN_NOTE = (
    "Mean of main scores: of each suite that all runs have, the mean of those of its main scores that all have, turned "
    "so that 100 % is best; then the mean over suites. A rough summary for the picture, no verdict."
)

_SIZE = Cost("size of the file", True, lambda amount: format_bytes(round(amount)))


@dataclass(frozen=True, slots=True)
class CostRow:
    """A model with what it costs; `is_best` where no other is as good in all and better in something."""

    name: str
    mean: str | None
    size: str
    memory: str
    prompt_speed: str | None
    text_speed: str | None
    is_best: bool


@dataclass(frozen=True, slots=True)
class CostsView:
    """All models, the picture of their mean scores against their size, None where these are not known, and a note."""

    rows: tuple[CostRow, ...]
    picture: Scatter | None
    note: str = MEAN_NOTE


def describe_costs(sides: Sequence[Side], names: Sequence[str]) -> CostsView:
    """Sets what the models of runs cost against how they score; `names` tell them apart."""
    rows = []
    for name, side in zip(names, sides, strict=True):
        prompt, text = _find_speeds(side.speed)
        rows.append(
            CostRow(
                name=name,
                mean=None if side.main_score_mean is None else format_score(side.main_score_mean, "share"),
                size=format_bytes(side.model.size_bytes),
                memory=format_bytes(side.expected_bytes),
                prompt_speed=_format_speed(prompt),
                text_speed=_format_speed(text),
                is_best=not any(_beats(other, side) for other in sides if other is not side),
            )
        )
    spots = [
        Spot(name, side.model.size_bytes, side.main_score_mean)
        for name, side in zip(names, sides, strict=True)
        if side.main_score_mean is not None
    ]
    has_picture = len(spots) > 1 and all(spot.cost > 0 for spot in spots)
    picture = (
        draw_scatter("Mean of main scores", spots, SHARE_AXIS, better="higher", cost=_SIZE) if has_picture else None
    )
    return CostsView(tuple(rows), picture)


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
    return (side.main_score_mean, -side.model.size_bytes, -side.expected_bytes, *_find_speeds(side.speed))
