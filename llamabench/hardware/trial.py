"""Whether llama.cpp computes on this processor at all: a tiny model as quantized weights and as plain ones.

Builds are broken now and then by a compiler, and end their process, or answer wrongly without a word, at the first
prompt of a quantized model.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model
from llamabench.engine.deaths import BUILD_ADVICE
from llamabench.engine.process import PLAIN_PLAN, Engine
from llamabench.errors import EngineError, ModelFileError

_SHAPE = Shape(n_layer=2, n_embd=256, n_head=4, n_head_kv=2, n_ff=512, n_ctx=512)
_PROMPT, _CONTINUATION = list(range(32, 96)), list(range(64, 80))
_PLAN = replace(PLAIN_PLAN, strategy="single")
"""With a strategy that is chosen already, an engine does not look for a way around kernels that end the process."""

_QUANTS = {"Q8_0": 0.1, "Q4_0": 1.0}
"""Types to try, and by how many nats a token's log-probability may differ from plain weights, at the root of the mean
square: 0.006 and 0.11 were measured."""


def find_fault() -> str | None:
    """Why quantized models cannot be run here, None when they can; takes some seconds."""
    with tempfile.TemporaryDirectory(prefix="llamabench-") as folder:
        try:
            plain = _score(Path(folder), "F32")
            for quant, most in _QUANTS.items():
                differences = [one - other for one, other in zip(_score(Path(folder), quant), plain, strict=True)]
                apart = (sum(value**2 for value in differences) / len(differences)) ** 0.5
                if not apart <= most:
                    return f"{quant} weights give other numbers than plain ones: {apart:.2g} nats a token."
        except (EngineError, ModelFileError, OSError) as exc:
            told = str(exc).replace(folder, "").replace("/trial-", "a tiny model in ")
            return told.removesuffix(BUILD_ADVICE).rstrip()
    return None


def _score(folder: Path, quant: str) -> tuple[float, ...]:
    path = folder / f"trial-{quant}"
    write_random_model(path, _SHAPE, byte_vocabulary(), name="trial", quant=quant)
    with Engine(path, _PLAN) as engine:
        ((scored,),) = engine.score_tokens([(_PROMPT, [_CONTINUATION])])
    return scored.token_logprobs
