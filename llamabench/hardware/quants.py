"""What other quantizations of a model would take: estimates from bits per weight. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llamabench.records import ModelFacts

BITS_PER_WEIGHT = {
    "Q2_K": 3.1593,
    "Q3_K_M": 3.9960,
    "IQ4_XS": 4.4597,
    "Q4_K_M": 4.8944,
    "Q5_K_M": 5.7036,
    "Q6_K": 6.5633,
    "Q8_0": 8.5008,
    "F16": 16.0005,
}
"""Those that publishers offer most. Source: Llama 3.1 8B in llama.cpp's `tools/quantize/README.md`; other models differ
by some percent, with the share of their embeddings."""


@dataclass(frozen=True, slots=True)
class OtherQuant:
    """A model in another quantization, about: its facts, and how many times the size of the one at hand it is."""

    quant: str
    model: ModelFacts
    ratio: float


def list_other_quants(model: ModelFacts) -> Iterator[OtherQuant]:
    """The model in the usual quantizations but its own, the smallest first."""
    bits = BITS_PER_WEIGHT.get(model.quant, model.size_bytes * 8 / max(model.n_params, 1))
    for quant, other_bits in BITS_PER_WEIGHT.items():
        if quant != model.quant:
            ratio = other_bits / bits
            yield OtherQuant(quant, _scale(model, quant, ratio), ratio)


def _scale(model: ModelFacts, quant: str, ratio: float) -> ModelFacts:
    return replace(
        model,
        quant=quant,
        size_bytes=int(model.size_bytes * ratio),
        layer_bytes=tuple(int(size * ratio) for size in model.layer_bytes),
        expert_bytes=tuple(int(size * ratio) for size in model.expert_bytes),
        output_bytes=int(model.output_bytes * ratio),
        input_bytes=int(model.input_bytes * ratio),
    )
