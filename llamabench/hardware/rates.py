"""How fast a place computes: what fits to published measurements say of a card, and what is usual of anything else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from llamabench.hardware.catalogue import Card, card_of_device
from llamabench.records import Basis, Device, Machine, ModelFacts
from llamabench.units import format_bytes

_GB, _TERA, _MS = 1e9, 1e12, 1e-3

MEASURED_DOUBT = 0.1

_DENSE_CUDA_DOUBT, _DOUBT, _WIDE_DOUBT, _UNKNOWN_DOUBT = 0.15, 0.3, 0.5, 0.6
"""How far off a prediction may be: the leave-one-out errors of the fits, and more where there were none."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a place does in effect.

    Attributes:
        bandwidth: Bytes per second at which weights and cache are read.
        flops: Operations per second in large batches.
        overhead_s: Seconds that a decode takes beside both, for 32 layers.
        doubt: How far off speeds may be that nobody measured, as a share of them.
        basis: What figures rest on that nobody measured.
        is_prompt_measured: Whether the speed of prompts was measured.
        is_generation_measured: Whether that of generated text was.
    """

    bandwidth: float
    flops: float
    overhead_s: float
    doubt: float
    basis: Basis
    is_prompt_measured: bool = False
    is_generation_measured: bool = False


class Link(NamedTuple):
    """The way to a device.

    Attributes:
        bandwidth: Bytes per second.
        latency_s: Seconds per message.
        is_network: Whether it leads to another machine: there, activations cost and weights are not sent.
    """

    bandwidth: float
    latency_s: float
    is_network: bool


@dataclass(frozen=True, slots=True)
class PlaceSpeed:
    """What was measured of a place; None where it was not.

    Attributes:
        bandwidth: Bytes per second at which weights are read, from the speed of generated text.
        overhead_s: Seconds that a decode takes beside that, for 32 layers; from the same.
        flops: Operations per second, from the speed of prompts.
    """

    bandwidth: float | None = None
    overhead_s: float | None = None
    flops: float | None = None


class _Fit(NamedTuple):
    """Share of the bandwidth that is reached, milliseconds per decode of 32 layers, operations per FP32 operation."""

    efficiency: float
    overhead_ms: float
    boost: float


_CUDA, _METAL = _Fit(0.85, 1.05, 2.1), _Fit(0.89, 4.25, 0.66)
_VULKAN, _ROCM, _SYCL = _Fit(0.86, 1.35, 0.4), _Fit(0.86, 1.35, 0.75), _Fit(0.6, 2.0, 0.6)

_FITS: Mapping[tuple[str, str], _Fit] = {
    ("CUDA", "pascal"): _Fit(0.52, 1.2, 1.05),
    ("CUDA", "turing16"): _Fit(0.75, 1.2, 1.05),
    ("CUDA", "turing"): _Fit(0.75, 1.2, 2.1),
    ("CUDA", "ampere"): _Fit(0.81, 1.2, 2.1),
    ("CUDA", "ada"): _Fit(0.90, 1.2, 2.1),
    ("CUDA", "blackwell"): _Fit(0.85, 0.95, 2.1),
    ("MTL", "m1"): _Fit(0.86, 5.95, 0.66),
    ("MTL", "m2"): _Fit(0.94, 5.5, 0.61),
    ("MTL", "m3"): _Fit(0.95, 5.6, 0.72),
    ("MTL", "m4"): _Fit(0.84, 3.65, 0.69),
    ("MTL", "m5"): _Fit(0.91, 1.65, 2.36),
    ("ROCm", "rdna3"): _ROCM,
    ("ROCm", "rdna3.5"): _Fit(0.86, 1.35, 0.8),
    ("Vulkan", "rdna3.5"): _Fit(0.86, 1.35, 0.8),
    ("Vulkan", "rdna4"): _Fit(0.86, 1.35, 1.58),
    ("Vulkan", "turing"): _Fit(0.75, 1.35, 1.5),
    ("Vulkan", "ampere"): _Fit(0.81, 1.35, 1.5),
    ("Vulkan", "ada"): _Fit(0.86, 1.35, 1.5),
    ("Vulkan", "blackwell"): _Fit(0.85, 1.35, 1.5),
    ("Vulkan", "xe"): _SYCL,
    ("Vulkan", "xe1"): _SYCL,
    ("Vulkan", "xe2"): _SYCL,
}
"""By backend and family.

Least squares on the relative error of Llama 7B Q4_0, `tg128` for the first two figures and `pp512` for the last, in
llama.cpp's own collections of results: discussions 15013 (CUDA), 4167 (Metal), 10879 (Vulkan). Ampere, Ada and
Blackwell rest on 4 to 6 cards each, each Apple generation on 2 to 5 chips, Vulkan on 8 cards of AMD's, Pascal and
Turing on one each. Not fitted but guessed: Vulkan on NVIDIA's cards, and Intel's, from single reports.
"""

_BY_BACKEND: Mapping[str, _Fit] = {"CUDA": _CUDA, "MTL": _METAL, "Vulkan": _VULKAN, "ROCm": _ROCM, "SYCL": _SYCL}
"""Of families without a fit of their own."""

_EXPERTS_EFFICIENCY, _EXPERTS_OVERHEAD = 0.77 / 0.85, 1.80 / 24 * 32 / 1.05
"""Mixtures of experts read less well and start more work: gpt-oss-20b on 7 cards (discussion 15396) over Llama 7B."""

_SYNONYMS = {"Metal": "MTL", "HIP": "ROCm"}
_PLAIN_QUANTS = re.compile(r"Q[4-8]_")

_UNKNOWN = Rates(240 * _GB, 12 * _TERA, 1.5 * _MS, _UNKNOWN_DOUBT, "assumed")
_UNKNOWN_INTEGRATED = Rates(40 * _GB, 1.5 * _TERA, 3.0 * _MS, _UNKNOWN_DOUBT, "assumed")
_UNKNOWN_APPLE = Rates(90 * _GB, 2.4 * _TERA, 4.25 * _MS, _UNKNOWN_DOUBT, "assumed")
_SERVER = Rates(100 * _GB, 4 * _TERA, 1.5 * _MS, _UNKNOWN_DOUBT, "assumed")
"""A card, integrated graphics or an Apple chip that is not in the catalogue, and whatever is behind an RPC server:
the lower middle of what people have."""

_HOST_EFFICIENCY, _HOST_OVERHEAD_MS = 0.65, 1.5
_CORE_BANDWIDTH, _CORE_FLOPS = 12 * _GB, 0.08 * _TERA
"""What one core reads in effect, and computes with AVX2: 75 to 150 GFLOPS a core follow from `pp512` of an 8B model
on a Ryzen 9 7950X (75 to 153 tokens/s)."""

_MEMORY_BANDWIDTHS = (
    (re.compile(r"EPYC|Xeon|Threadripper|Neoverse|Graviton|Altra", re.IGNORECASE), 120 * _GB),
    (re.compile(r"Ryzen AI Max", re.IGNORECASE), 200 * _GB),
    (re.compile(r"Ryzen .*\b[789]\d{3}\w*\b|Ryzen AI|Core.* Ultra|i\d-1[34]\d{3}", re.IGNORECASE), 83 * _GB),
)
_DDR4_BANDWIDTH = 51 * _GB
"""Memory beside a processor by its name: servers with 8 channels (shared with others, as rented ones are), 256 bits
of LPDDR5X, two channels of DDR5-5200; two of DDR4-3200 for all others. Peak figures."""

_PCIE_BANDWIDTHS = {"pascal": 6, "turing": 6, "turing16": 6, "polaris": 6, "rdna1": 10, "blackwell": 18, "rdna4": 18}
_PCIE_BANDWIDTH = 12.0
"""10^9 bytes per second from memory that is not pinned, for PCIe 3, 5 and 4: half of the bus or less."""

_NETWORK = Link(0.11 * _GB, 0.3 * _MS, is_network=True)
"""A wired network of 1 Gbit/s."""


def device_rates(device: Device, model: ModelFacts) -> Rates:
    """What a device does with a model, from the catalogue or, where it is not in it, from what is usual."""
    backend = _SYNONYMS.get(device.backend, device.backend)
    card = None if backend == "RPC" else card_of_device(device)
    return _with_experts(_unknown_rates(device, backend) if card is None else _card_rates(card, backend, model), model)


def host_rates(machine: Machine, model: ModelFacts) -> Rates:
    """What the processor does: as many cores as may be used, within what memory beside such a processor gives."""
    n_cores = max(machine.n_performance_cores, 1)
    bandwidth = min(_host_bandwidth(machine.cpu) * _HOST_EFFICIENCY, n_cores * _CORE_BANDWIDTH)
    rates = Rates(bandwidth, n_cores * _CORE_FLOPS, _HOST_OVERHEAD_MS * _MS, _WIDE_DOUBT, "assumed")
    return _with_experts(rates, model)


def device_key(device: Device, model: ModelFacts) -> str:
    """What speeds of a device are remembered under: itself, its backend, and what models they hold for.

    Those are of the same quantization and about the same size: a small model spends its time on other things.
    """
    return f"{device.backend} {device.description} {_kind(model)}"


def host_key(machine: Machine, model: ModelFacts) -> str:
    """The same for the processor, with the cores that may be used."""
    return f"{machine.cpu} x{machine.n_performance_cores} {_kind(model)}"


def replace_measured(rates: Rates, speed: PlaceSpeed | None) -> Rates:
    """Rates with what was measured in place of what was expected."""
    if speed is None:
        return rates
    return replace(
        rates,
        bandwidth=speed.bandwidth or rates.bandwidth,
        overhead_s=rates.overhead_s if speed.overhead_s is None else speed.overhead_s,
        flops=speed.flops or rates.flops,
        is_prompt_measured=speed.flops is not None,
        is_generation_measured=speed.bandwidth is not None,
    )


def device_link(device: Device) -> Link:
    """How what a device needs gets there: over PCIe, by a copy within memory that it shares, or over a network."""
    if device.backend == "RPC":
        return _NETWORK
    card = card_of_device(device)
    if card is not None and card.shares_memory:
        return Link(card.bandwidth_gb_s * _GB / 2, 0.0, is_network=False)
    if device.kind == "igpu":
        return Link(_UNKNOWN_INTEGRATED.bandwidth / 2, 0.0, is_network=False)
    bandwidth = _PCIE_BANDWIDTHS.get(card.family, _PCIE_BANDWIDTH) if card else _PCIE_BANDWIDTH
    return Link(bandwidth * _GB, 0.0, is_network=False)


def _kind(model: ModelFacts) -> str:
    least = 4 ** int(math.log(max(model.size_bytes, 1), 4))
    experts = " experts" if model.n_experts else ""
    return f"{model.quant}{experts} from {format_bytes(least)}"


def _card_rates(card: Card, backend: str, model: ModelFacts) -> Rates:
    fit = _FITS.get((backend, card.family)) or _BY_BACKEND.get(backend, _VULKAN)
    doubt = _DOUBT
    if card.shares_memory and card.vendor != "apple":
        doubt = _WIDE_DOUBT
    elif backend == "CUDA" and (backend, card.family) in _FITS and _PLAIN_QUANTS.match(model.quant):
        doubt = _DENSE_CUDA_DOUBT
    return Rates(
        bandwidth=fit.efficiency * card.bandwidth_gb_s * _GB,
        flops=fit.boost * card.fp32_tflops * _TERA,
        overhead_s=fit.overhead_ms * _MS,
        doubt=doubt,
        basis="catalogue",
    )


def _with_experts(rates: Rates, model: ModelFacts) -> Rates:
    """The rates that a mixture of experts gets, if the model is one."""
    if not model.n_experts:
        return rates
    return replace(
        rates,
        bandwidth=rates.bandwidth * _EXPERTS_EFFICIENCY,
        overhead_s=rates.overhead_s * _EXPERTS_OVERHEAD,
        doubt=max(rates.doubt, _DOUBT),
    )


def _unknown_rates(device: Device, backend: str) -> Rates:
    if backend == "RPC":
        return _SERVER
    if backend == "MTL":
        return _UNKNOWN_APPLE
    return _UNKNOWN if device.kind == "gpu" else _UNKNOWN_INTEGRATED


def _host_bandwidth(cpu: str) -> float:
    """Peak bytes per second of the memory beside a processor."""
    chip = card_of_device(Device("", cpu, "cpu", "CPU", 0, 0))
    if chip is not None and chip.vendor == "apple":
        return chip.bandwidth_gb_s * _GB
    return next((bandwidth for name, bandwidth in _MEMORY_BANDWIDTHS if name.search(cpu)), _DDR4_BANDWIDTH)
