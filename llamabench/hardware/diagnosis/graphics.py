"""Whether llama.cpp uses the graphics cards that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llamabench.hardware.diagnosis.findings import Finding, Level, from_remedy, toolbox_of
from llamabench.hardware.installation import Installation
from llamabench.hardware.rebuilding import device_of, explain_unused, local_devices, silent_devices
from llamabench.records import Card, Device, Machine
from llamabench.units import format_part

_SUBJECT = "graphics"
_BUSY_SHARE = 0.5


def check_graphics(machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Looks at every card, and at every device that llama.cpp offers."""
    if machine.failure:
        return  # what llama.cpp would use is not known, and the failure is a finding of its own
    toolbox = toolbox_of(installation)
    for remedy in silent_devices(machine):
        yield from_remedy("problem", _SUBJECT, remedy)
    for device in local_devices(machine):
        if device.total_bytes:
            yield from _describe_device(device, machine)
    unused = [card for card in _cards_that_count(machine) if device_of(card, machine) is None]
    for card in unused:
        yield from_remedy(_weigh(card, machine), _SUBJECT, explain_unused(card, machine, toolbox))
    if machine.driver_failure and not any(card.vendor == "NVIDIA" for card in unused):
        yield Finding("note", _SUBJECT, f"{machine.driver_failure} llama.cpp uses the card all the same.")
    if not machine.cards and not local_devices(machine):
        yield Finding("note", _SUBJECT, "There is no graphics card: models run on the processor.")


def _describe_device(device: Device, machine: Machine) -> Iterator[Finding]:
    card = next((card for card in machine.cards if device_of(card, machine) == device), None)
    facts = [f"{format_part(device.free_bytes, device.total_bytes)} free"]
    if card and card.driver_version:
        facts.append(f"driver {card.driver_version}")
    if card and card.architecture:
        facts.append(f"compute capability {card.architecture}" if card.vendor == "NVIDIA" else card.architecture)
    if card and card.power_limit_w:
        facts.append(f"{card.power_limit_w:.0f} W")
    if device.has_display:
        facts.append("a display is attached, for which memory is kept free")
    yield Finding("ok", _SUBJECT, f"{device.description} is used as {device.name}: {', '.join(facts)}.")
    if device.kind == "gpu" and device.free_bytes < device.total_bytes * _BUSY_SHARE:
        found = f"Other programs hold most of {device.name}: {format_part(device.free_bytes, device.total_bytes)} free."
        yield Finding("warning", _SUBJECT, found, "Close them, and more layers fit.")


def _cards_that_count(machine: Machine) -> tuple[Card, ...]:
    """All cards; where there are some, llama.cpp leaves graphics that are part of the processor alone."""
    cards = tuple(card for card in machine.cards if not card.is_integrated)
    return cards or machine.cards


def _weigh(card: Card, machine: Machine) -> Level:
    """How much it matters that a card is not used: a driver that was installed for nothing is a problem.

    Intel's graphics inside a processor are hardly faster than the processor.
    """
    if any(device.kind == "gpu" and device.total_bytes for device in local_devices(machine)):
        return "note"
    if card.vendor == "Apple":
        return "problem"
    if card.is_integrated or card.vendor == "other":
        return "warning" if card.vendor == "AMD" else "note"
    return "problem" if card.driver and card.driver != "nouveau" else "warning"
