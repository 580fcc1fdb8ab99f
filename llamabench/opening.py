"""Opens a model as it was planned, measures what only a trial tells, and remembers it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llamabench.data.cache import data_folder
from llamabench.engine.process import Engine
from llamabench.engine.recovery import Note
from llamabench.hardware.actual import find_excess
from llamabench.hardware.calibration import keep_speeds
from llamabench.hardware.speed import SpeedMemory, speed_key
from llamabench.records import Machine, ModelFacts, PackSpeed, Plan

_CHUNK_S = 4.0
_CHUNK_TOKENS = (256, 16384)


def open_measured(plan: Plan, model: ModelFacts, machine: Machine, *, engine: Engine, note: Note) -> Plan:
    """Opens a model; the plan with its strategy, and with packs and chunks of a size that suits this machine.

    Args:
        plan: The plan.
        model: The model.
        machine: The machine that it runs on.
        engine: The engine.
        note: Told when the model takes more memory than was planned.

    Raises:
        EngineError: The model cannot be opened.
    """
    plan = engine.open(plan)
    excess = find_excess(plan, engine.read_buffers())
    if excess is not None:
        note("memory", excess)
    memory = SpeedMemory(data_folder() / "speed.json")
    key = speed_key(model, machine, plan)
    speed = memory.recall(key)
    if speed is None:
        speed = engine.measure()
        memory.keep(key, speed)
        measured_plan = replace(plan, pack_tokens=speed.n_tokens)
        keep_speeds(memory, model, machine, measured_plan, prompt_tokens_per_s=speed.tokens_per_s)
    reason = f"{speed.n_tokens} tokens per decode: {speed.tokens_per_s:.0f} tokens/s when measured."
    return replace(plan, pack_tokens=speed.n_tokens, chunk_tokens=size_chunks(speed), reasons=(*plan.reasons, reason))


def size_chunks(speed: PackSpeed) -> int:
    """Tokens of a chunk that takes about as long to read as a person waits without a thought."""
    return int(np.clip(speed.tokens_per_s * _CHUNK_S, *_CHUNK_TOKENS))
