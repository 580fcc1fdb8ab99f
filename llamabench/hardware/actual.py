"""What llama.cpp took against what was planned. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from llamabench.hardware.layout import HOST, MIB
from llamabench.records import BufferBytes, Plan
from llamabench.units import format_bytes

_MOST_OVER, _SLACK_BYTES = 1.02, MIB
"""By how much a device may hold more than planned before it is worth a word."""


def find_excess(plan: Plan, buffers: Sequence[BufferBytes]) -> str | None:
    """Says which devices hold more than was planned, None where none does.

    Args:
        plan: The plan, with its layout.
        buffers: What each buffer of the open model and context holds; may be empty.
    """
    if not plan.layout:
        return None
    held: Counter[str] = Counter()
    for buffer in buffers:
        is_planned = any(part.device == buffer.device for part in plan.layout) and not buffer.is_host
        place = buffer.device if is_planned else HOST
        held[place] += buffer.weight_bytes + buffer.context_bytes + buffer.compute_bytes
    words = []
    for part in plan.layout:
        planned = part.weight_bytes + part.context_bytes + part.compute_bytes
        if held[part.device] > planned * _MOST_OVER + _SLACK_BYTES and not (plan.is_mapped and part.device == HOST):
            words.append(
                f"{format_bytes(held[part.device])} on {part.device} where {format_bytes(planned)} were planned"
            )
    return f"llama.cpp took more than planned: {', '.join(words)}." if words else None
