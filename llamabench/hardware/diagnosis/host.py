"""What the processor, the memory and the system they are in allow. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llamabench.hardware.diagnosis.findings import Finding
from llamabench.hardware.installation import Installation
from llamabench.records import Machine, Processor
from llamabench.units import format_bytes, format_part

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 << 30, 1 << 29
_SWAPPED_BYTES, _SWAPPED_SHARE = 1 << 30, 0.1


def check_cores(machine: Machine, _installation: Installation) -> Iterator[Finding]:
    """Looks at which cores may be used, and for how long."""
    processor, n_threads = machine.processor, machine.n_performance_cores
    subject = "cores"
    if processor is None:
        return
    if processor.is_confined:
        found = "This process may run on efficiency cores only."
        yield Finding("warning", subject, found, "Start it without taskset, or on the performance cores.")
    yield Finding("ok", subject, f"{n_threads} {_plural(n_threads, 'thread')}, {_explain_threads(machine, processor)}")
    if processor.quota is not None and processor.quota < processor.n_logical_allowed:
        found = (
            f"A control group allows {processor.quota:g} {_plural(processor.quota, 'processor')} "
            f"of {processor.n_logical_allowed}."
        )
        yield Finding("warning", subject, found, "Give the container more (docker run --cpus), or expect less speed.")
    if processor.n_logical_allowed < processor.n_logical:
        found = f"This process may run on {processor.n_logical_allowed} of {processor.n_logical} logical processors."
        yield Finding("note", subject, found, "For more, start it without taskset or with a wider cpuset.")


def check_memory(machine: Machine, _installation: Installation) -> Iterator[Finding]:
    """Looks at what memory is there, and who limits it."""
    subject = "memory"
    free = machine.ram_available_bytes
    found = f"{format_part(free, machine.ram_total_bytes)} of memory are free."
    advice = "Close other programs, or choose a smaller model."
    if free < _TOO_LITTLE_BYTES:
        yield Finding("problem", subject, found, advice)
    elif free < _LITTLE_BYTES:
        yield Finding("warning", subject, found, advice)
    else:
        yield Finding("ok", subject, found)
    installed = machine.ram_installed_bytes
    if installed is not None and machine.ram_total_bytes < installed:
        limited = f"A control group limits memory to {format_part(machine.ram_total_bytes, installed)}."
        yield Finding("note", subject, limited, "Plans keep within it; docker run --memory gives more.")
    swapped = machine.swap_used_bytes or 0
    if swapped > max(_SWAPPED_BYTES, int(machine.ram_total_bytes * _SWAPPED_SHARE)):
        found = f"{format_bytes(swapped)} are swapped out."
        yield Finding("warning", subject, found, "Memory is short: close other programs, or measured speeds are wrong.")


def check_system(machine: Machine, _installation: Installation) -> Iterator[Finding]:
    """Looks at power and at what the system is inside of."""
    if machine.is_on_battery:
        advice = "Plug it in before you measure speed: processors and cards are slowed down to save power."
        yield Finding("warning", "power", "The machine runs on battery.", advice)
    elif machine.is_on_battery is False:
        yield Finding("ok", "power", "The machine runs on mains.")
    if machine.is_wsl:
        yield _check_wsl(machine)


def _check_wsl(machine: Machine) -> Finding:
    """Windows gives its Linux half of the memory, and about 1 GiB at most of memory pinned for a card."""
    has_cuda = any(device.backend == "CUDA" for device in machine.devices)
    found = "This is Linux inside Windows: it has a part of the memory, as .wslconfig says (memory=)."
    if not has_cuda or "GGML_CUDA_NO_PINNED" in machine.environment:
        return Finding("note", "WSL", found)
    return Finding(
        "warning",
        "WSL",
        f"{found} About 1 GiB of it can be pinned for a card, which layers and experts on the processor need.",
        "Where a model with layers on the processor does not load, set GGML_CUDA_NO_PINNED=1.",
    )


def _explain_threads(machine: Machine, processor: Processor) -> str:
    if processor.quota is not None and processor.quota < machine.n_performance_cores + 1:
        return "as many as a control group allows."
    if processor.is_confined:
        return "one for each core."
    n_left_out = processor.n_efficiency_cores
    others = f"; {n_left_out} efficiency {_plural(n_left_out, 'core')} left out" if n_left_out else ""
    return f"one for each performance core{others}. More would be slower."


def _plural(number: float, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"
