"""Machines that are not there: this one with other graphics cards, or with another amount of memory. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from llamabench.hardware.catalogue import Card, virtual_device
from llamabench.records import Device, Machine
from llamabench.units import format_bytes


def imagine_machine(
    here: Machine, *, cards: Sequence[Card] = (), vram_bytes: Sequence[int] = (), ram_bytes: int | None = None
) -> Machine:
    """A machine with the processor of this one, and cards and memory as they are named.

    Args:
        here: This machine.
        cards: Its graphics cards, in llama.cpp's order.
        vram_bytes: Memory of further cards of which nothing else is known; they are laid out like CUDA's.
        ram_bytes: Its memory, all of it free; None for that of this machine, as it is free now.

    Returns:
        The machine. Without cards, its devices are those of this one; devices on servers stay in any case.
    """
    machine = here
    if ram_bytes is not None:
        machine = replace(machine, ram_total_bytes=ram_bytes, ram_available_bytes=ram_bytes)
    if not cards and not vram_bytes:
        return machine
    note = (
        f"The graphics are not of this machine; the processor is ({here.cpu}, {here.n_performance_cores} cores used). "
        "Operations that a driver leaves to the processor are not foreseen."
    )
    servers = [device for device in here.devices if device.backend == "RPC"]
    devices = (*servers, *_make_devices(cards, vram_bytes, ram_bytes or here.ram_total_bytes))
    return replace(machine, devices=devices, notes=(note,))


def _make_devices(cards: Sequence[Card], vram_bytes: Sequence[int], ram_bytes: int) -> Iterator[Device]:
    numbers: Counter[str] = Counter()
    for card in cards:
        # of a chip that shares the host's memory, a size in its name is that of the host
        shared_bytes = min(card.memory_bytes or ram_bytes, ram_bytes) if card.shares_memory else None
        device = virtual_device(card, ram_bytes=shared_bytes)
        yield virtual_device(card, ram_bytes=shared_bytes, index=numbers[device.backend])
        numbers[device.backend] += 1
    for size in vram_bytes:
        name = f"CUDA{numbers['CUDA']}"
        yield Device(name, f"a card with {format_bytes(size)}", "gpu", "CUDA", size, size)
        numbers["CUDA"] += 1
