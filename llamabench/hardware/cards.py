"""The graphics processors that the system knows, whether llama.cpp uses them or not.

They are looked up on the bus. Where none is to be seen there (in Windows' Linux, in some containers), the traces of a
driver have to do.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from llamabench.hardware.processor import ask_sysctl
from llamabench.hardware.surroundings import read_properties
from llamabench.records import Card, CardAccess, Device, Vendor

_VENDORS: dict[str, Vendor] = {"10DE": "NVIDIA", "1002": "AMD", "8086": "Intel"}
_DISPLAY_CLASS, _ACCELERATOR_CLASS = 0x03, 0x12  # PCI base classes; AMD's Instinct cards are of the second

_INTEGRATED_AMD = re.compile(r"gfx(90[29c]|1013|103[3567]|1103|115[0-3])")
"""Targets of AMD's processors with graphics (LLVM's user guide for the AMDGPU backend, "APU" in its table)."""

_DRIVER_VERSION = re.compile(r"Kernel Module.*?\s(\d+\.[\d.]+)")


class _Trace(NamedTuple):
    """A file that a driver leaves, and what it says of the card."""

    pattern: str
    vendor: Vendor
    name: str
    driver: str


_TRACES = (
    _Trace("proc/driver/nvidia/version", "NVIDIA", "an NVIDIA card", "nvidia"),
    _Trace("usr/lib/wsl/lib/libcuda.so.1", "NVIDIA", "an NVIDIA card", "Windows"),
    _Trace("dev/kfd", "AMD", "an AMD card", "amdgpu"),
    _Trace("dev/dri/renderD*", "other", "a graphics card", "drm"),
)
"""The first that is found counts."""


def read_cards(root: Path) -> tuple[Card, ...]:
    """Reads which graphics processors of NVIDIA, AMD, Intel and Apple there are.

    Args:
        root: Where `/proc`, `/sys` and `/dev` are looked for; on macOS the system is asked instead.

    Returns:
        The cards in the order of the bus.
    """
    if platform.system() == "Darwin":
        return tuple(_apple_graphics())
    return tuple(_cards_on_bus(root)) or tuple(_traces(root))


def mark_displays(devices: Sequence[Device], cards: Sequence[Card]) -> tuple[Device, ...]:
    """The devices, told whether a display is attached to the card that each of them is."""
    attached = {card.pci_id: card.has_display for card in cards if card.pci_id}
    return tuple(
        replace(device, has_display=attached.get(device.pci_id)) if device.pci_id else device for device in devices
    )


def _apple_graphics() -> Iterator[Card]:
    is_silicon = platform.machine() == "arm64" or ask_sysctl("sysctl.proc_translated") == "1"
    if is_silicon:
        name = ask_sysctl("machdep.cpu.brand_string") or "Apple silicon"
        yield Card("Apple", f"the graphics of {name}", driver="Metal", is_integrated=True)


def _cards_on_bus(root: Path) -> Iterator[Card]:
    displays = _read_displays(root)
    render_nodes = _read_render_nodes(root)
    targets = _read_amd_targets(root)
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        properties = read_properties(folder / "uevent")
        kind = int(properties.get("PCI_CLASS", "0"), 16) >> 16
        vendor = _VENDORS.get(properties.get("PCI_ID", "").partition(":")[0].upper())
        if vendor is None or kind not in (_DISPLAY_CLASS, _ACCELERATOR_CLASS):
            continue
        pci_id = properties.get("PCI_SLOT_NAME", folder.name).lower()
        target = targets.get(pci_id)
        driver = properties.get("DRIVER")
        yield Card(
            vendor=vendor,
            name=_read_nvidia_name(root, pci_id) or f"{vendor} graphics {properties['PCI_ID'].lower()}",
            pci_id=pci_id,
            driver=driver,
            driver_version=_read_nvidia_version(root) if driver == "nvidia" else None,
            access=_read_access(root, vendor, render_nodes.get(pci_id)),
            is_integrated=_is_integrated(vendor, pci_id, target),
            has_display=displays.get(pci_id),
            architecture=target,
        )


def _traces(root: Path) -> Iterator[Card]:
    for trace in _TRACES:
        if any(root.glob(trace.pattern)):
            version = _read_nvidia_version(root)
            yield Card(trace.vendor, trace.name, driver=trace.driver, driver_version=version)
            return


def _read_displays(root: Path) -> dict[str, bool]:
    """Whether any connector of a card has a display; cards without connectors are left out."""
    found: dict[str, bool] = {}
    for path in (root / "sys/class/drm").glob("card*-*/status"):
        card = path.parent.name.partition("-")[0]
        slot = read_properties(root / "sys/class/drm" / card / "device/uevent").get("PCI_SLOT_NAME", "").lower()
        is_connected = path.read_text(encoding="ascii", errors="replace").strip() == "connected"
        found[slot] = found.get(slot, False) or is_connected
    return found


def _read_render_nodes(root: Path) -> dict[str, str]:
    """The device file of each card for computing and drawing without a screen."""
    return {
        read_properties(folder / "device/uevent").get("PCI_SLOT_NAME", "").lower(): f"dev/dri/{folder.name}"
        for folder in (root / "sys/class/drm").glob("renderD*")
    }


def _is_integrated(vendor: Vendor, pci_id: str, target: str | None) -> bool:
    """Whether graphics are part of the processor: Intel's are on the first bus, AMD's have targets of their own."""
    if vendor == "Intel":
        return pci_id.startswith("0000:00:")
    return target is not None and _INTEGRATED_AMD.fullmatch(target) is not None


def _read_access(root: Path, vendor: Vendor, render_node: str | None) -> CardAccess:
    """Whether the files through which a card's backends reach it may be opened; one that may not closes the card."""
    names = {"NVIDIA": ("dev/nvidiactl",), "AMD": ("dev/kfd", render_node)}.get(vendor, (render_node,))
    paths = [root / name for name in names if name and (root / name).exists()]
    if not paths:
        return "absent"
    return "open" if all(os.access(path, os.R_OK | os.W_OK) for path in paths) else "closed"


def _read_amd_targets(root: Path) -> dict[str, str]:
    """The target of each AMD card, as compilers name it.

    Source: `gfx_target_version` and `location_id` of the kernel's `drivers/gpu/drm/amd/amdkfd/kfd_topology.c`: the
    version is major x 10000 + minor x 100 + stepping, the location bus x 256 + device x 8 + function.
    """
    found: dict[str, str] = {}
    for path in (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties"):
        words = (line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines())
        figures = {word[0]: int(word[1]) for word in words if len(word) == 2 and word[1].isdecimal()}
        version, location = figures.get("gfx_target_version", 0), figures.get("location_id", 0)
        if version:
            domain, bus = figures.get("domain", 0), location >> 8
            address = f"{domain:04x}:{bus:02x}:{location >> 3 & 31:02x}.{location & 7}"
            found[address] = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
    return found


def _read_nvidia_name(root: Path, pci_id: str) -> str | None:
    path = root / "proc/driver/nvidia/gpus" / pci_id / "information"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names[0] if names else None


def _read_nvidia_version(root: Path) -> str | None:
    path = root / "proc/driver/nvidia/version"
    match = _DRIVER_VERSION.search(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    return match[1] if match else None
