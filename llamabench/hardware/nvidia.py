"""What NVIDIA's own library knows of its cards, where the extra `nvml` is installed.

The library is the driver's: it is asked in a child process only.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llamabench.records import Card


@dataclass(frozen=True, slots=True)
class NvidiaFacts:
    """The cards that the library knows, or what it complains about."""

    cards: tuple[Card, ...]
    failure: str | None = None


def is_library_installed() -> bool:
    """Whether nvidia-ml-py is there."""
    return importlib.util.find_spec("pynvml") is not None


def read_nvidia() -> NvidiaFacts:
    """Asks NVIDIA's library for its cards.

    Returns:
        The cards; figures that a card does not give are None.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as exc:
        return NvidiaFacts((), f"NVIDIA's management library does not start: {exc}.")
    version = str(pynvml.nvmlSystemGetDriverVersion())
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return NvidiaFacts(tuple(_read_card(pynvml, handle, version) for handle in handles))


def merge_nvidia(cards: Sequence[Card], known: Sequence[Card]) -> tuple[Card, ...]:
    """Cards of the system, with what NVIDIA's library knows of them.

    Args:
        cards: What the system knows.
        known: What the library knows. Its cards take the place of one that is known by a driver's traces alone.

    Returns:
        The cards in the order of `cards`.
    """
    by_address = {card.pci_id: card for card in known}
    merged: list[Card] = []
    for card in cards:
        if card.vendor == "NVIDIA" and card.pci_id is None and known:
            merged += [replace(found, driver=card.driver) for found in known]
        elif card.pci_id in by_address:
            found = by_address[card.pci_id]
            merged.append(
                replace(
                    found, driver=card.driver, access=card.access, has_display=card.has_display or found.has_display
                )
            )
        else:
            merged.append(card)
    return tuple(merged)


def _read_card(nvml: Any, handle: Any, version: str) -> Card:
    def ask(read: Callable[[Any], Any]) -> Any:
        try:
            return read(handle)
        except (nvml.NVMLError, nvml.NVMLLibraryMismatchError):
            return None

    address = ask(nvml.nvmlDeviceGetPciInfo)
    capability = ask(nvml.nvmlDeviceGetCudaComputeCapability)
    display = ask(nvml.nvmlDeviceGetDisplayActive)
    memory = ask(nvml.nvmlDeviceGetMemoryInfo)
    limit_mw = ask(nvml.nvmlDeviceGetEnforcedPowerLimit)
    return Card(
        vendor="NVIDIA",
        name=ask(nvml.nvmlDeviceGetName) or "an NVIDIA card",
        # the library writes the domain in eight digits, the system in four
        pci_id=address.busId.lower()[-12:] if address else None,
        driver="nvidia",
        driver_version=version,
        has_display=None if display is None else bool(display),
        architecture=".".join(map(str, capability)) if capability else None,
        free_bytes=memory.free if memory else None,
        total_bytes=memory.total if memory else None,
        power_limit_w=limit_mw / 1000 if limit_mw else None,
    )
