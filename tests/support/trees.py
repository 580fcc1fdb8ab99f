"""Recorded `/proc`, `/sys` and `/dev`: files below a folder that stands for the root."""

from __future__ import annotations

from pathlib import Path


def put(root: Path, name: str, text: str) -> None:
    """Writes a file of a tree."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def put_pci(root: Path, address: str, *, kind: str, vendor: str, product: str, driver: str | None) -> None:
    """Writes a device on the bus; class, vendor and product in hexadecimal digits."""
    lines = [f"DRIVER={driver}"] if driver else []
    lines += [f"PCI_CLASS={kind}", f"PCI_ID={vendor}:{product}", f"PCI_SLOT_NAME={address}"]
    put(root, f"sys/bus/pci/devices/{address}/uevent", "\n".join(lines) + "\n")


def put_drm(root: Path, address: str, number: int, connectors: dict[str, str]) -> None:
    """Writes what the kernel's graphics subsystem shows of a card: connectors, and the file for computing."""
    for name in (f"card{number}", f"renderD{128 + number}"):
        put(root, f"sys/class/drm/{name}/device/uevent", f"PCI_SLOT_NAME={address}\n")
    for name, status in connectors.items():
        put(root, f"sys/class/drm/card{number}-{name}/status", status + "\n")
    put(root, f"dev/dri/renderD{128 + number}", "")
