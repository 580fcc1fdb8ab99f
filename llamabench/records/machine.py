"""What a computer is made of, beside its memory and the devices that llama.cpp offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Vendor = Literal["NVIDIA", "AMD", "Intel", "Apple", "other"]

CardAccess = Literal["open", "closed", "absent"]
"""Whether this process may open a card's device file, may not, or there is none to open."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend that this build of llama.cpp contains.

    Attributes:
        name: ggml's name for it (`CPU`, `CUDA`, `ROCm`, `Vulkan`, `MTL`, `SYCL`, `RPC`).
        n_devices: Devices that it found.
        features: What it was built with, as ggml names it (`AVX2`: `1`, `ARCHS`: `800,860`).
    """

    name: str
    n_devices: int
    features: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics processor that the system knows, whether llama.cpp uses it or not.

    Attributes:
        vendor: Who made it; `other` where only a driver's traces were found.
        name: What to call it.
        pci_id: Its address on the bus, such as `0000:01:00.0`.
        driver: The kernel's driver for it, None without one.
        driver_version: The driver's version, where it says so.
        access: Whether this process may use it.
        is_integrated: Whether it is part of the processor and shares the main memory.
        has_display: Whether a display is attached, None where nobody knows.
        architecture: Compute capability (`8.6`) or target (`gfx1100`).
        free_bytes: Its free memory, as the vendor's own library says.
        total_bytes: All of its memory, likewise.
        power_limit_w: Power it may draw, in watts.
    """

    vendor: Vendor
    name: str
    pci_id: str | None = None
    driver: str | None = None
    driver_version: str | None = None
    access: CardAccess = "open"
    is_integrated: bool = False
    has_display: bool | None = None
    architecture: str | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None
    power_limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor, as far as it decides how fast llama.cpp is on it.

    Attributes:
        architecture: What this Python is built for (`x86_64`, `aarch64`, `arm64`).
        instruction_sets: Those that matter to llama.cpp, by ggml's names; empty where the system does not say.
        n_logical: Logical processors of the machine.
        n_logical_allowed: Those that this process may run on.
        n_efficiency_cores: Physical efficiency cores among the allowed ones.
        is_confined: Whether only efficiency cores are allowed although there are others.
        quota: Processors' worth of time that a control group allows, None without a limit.
        is_translated: Whether this Python is built for another processor and runs translated (Rosetta).
    """

    architecture: str
    instruction_sets: tuple[str, ...]
    n_logical: int
    n_logical_allowed: int
    n_efficiency_cores: int = 0
    is_confined: bool = False
    quota: float | None = None
    is_translated: bool = False
