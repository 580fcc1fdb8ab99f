"""Which graphics cards the system knows, and what NVIDIA's library adds."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from trees import put, put_drm, put_pci

from llamabench.hardware import cards as cards_module
from llamabench.hardware.cards import mark_displays, read_cards
from llamabench.hardware.nvidia import NvidiaFacts, is_library_installed, merge_nvidia, read_nvidia
from llamabench.records import Card, Device

GIB = 1 << 30
VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\nGCC version:  12.3\n"
RTX = "0000:01:00.0"


def put_nvidia(root: Path) -> None:
    put_pci(root, RTX, kind="30000", vendor="10DE", product="2504", driver="nvidia")
    put(root, f"proc/driver/nvidia/gpus/{RTX}/information", "Model: \t\t NVIDIA GeForce RTX 3060\nIRQ:   \t\t 83\n")
    put(root, "proc/driver/nvidia/version", VERSION)
    put(root, "dev/nvidiactl", "")


# --- the bus ------------------------------------------------------------------------------------


def test_nvidia_card(tmp_path: Path) -> None:
    put_nvidia(tmp_path)
    assert read_cards(tmp_path) == (
        Card("NVIDIA", "NVIDIA GeForce RTX 3060", RTX, "nvidia", "550.54.15", access="open"),
    )


def test_closed_driver_writes_its_version_differently(tmp_path: Path) -> None:
    put_nvidia(tmp_path)
    line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
    put(tmp_path, "proc/driver/nvidia/version", line)
    assert read_cards(tmp_path)[0].driver_version == "535.183.01"


def test_cards_of_a_laptop(tmp_path: Path) -> None:
    put_nvidia(tmp_path)
    put_pci(tmp_path, "0000:00:02.0", kind="30000", vendor="8086", product="A7A0", driver="i915")
    put_drm(tmp_path, "0000:00:02.0", 1, {"eDP-1": "connected", "DP-1": "disconnected"})
    put_drm(tmp_path, RTX, 0, {"HDMI-A-1": "disconnected"})
    intel, nvidia = read_cards(tmp_path)
    assert (intel.vendor, intel.name, intel.driver) == ("Intel", "Intel graphics 8086:a7a0", "i915")
    assert (intel.is_integrated, intel.has_display, intel.access) == (True, True, "open")
    assert (nvidia.is_integrated, nvidia.has_display) == (False, False)


@pytest.mark.parametrize(
    ("version", "target", "is_integrated"),
    [(110000, "gfx1100", False), (110003, "gfx1103", True), (90010, "gfx90a", False), (110501, "gfx1151", True)],
)
def test_amd_card(tmp_path: Path, version: int, target: str, is_integrated: bool) -> None:
    address = "0000:c4:00.0"
    put_pci(tmp_path, address, kind="38000", vendor="1002", product="15BF", driver="amdgpu")
    put_drm(tmp_path, address, 0, {})
    put(tmp_path, "dev/kfd", "")
    nodes = "sys/class/kfd/kfd/topology/nodes"
    put(tmp_path, f"{nodes}/0/properties", "cpu_cores_count 16\ngfx_target_version 0\n")
    put(tmp_path, f"{nodes}/1/properties", f"domain 0\nlocation_id {0xC4 << 8}\ngfx_target_version {version}\n")
    (card,) = read_cards(tmp_path)
    assert (card.architecture, card.is_integrated, card.has_display) == (target, is_integrated, None)


def test_accelerators_count_and_other_devices_do_not(tmp_path: Path) -> None:
    put_pci(tmp_path, "0000:05:00.0", kind="120000", vendor="1002", product="74A1", driver="amdgpu")
    put_pci(tmp_path, "0000:01:00.1", kind="40300", vendor="10DE", product="228E", driver="snd_hda_intel")
    put_pci(tmp_path, "0000:02:00.0", kind="30000", vendor="1A03", product="2000", driver="ast")
    put(tmp_path, "sys/bus/pci/devices/0000:09:00.0/vendor", "0x10de\n")
    assert [card.pci_id for card in read_cards(tmp_path)] == ["0000:05:00.0"]


def test_a_device_file_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_pci(tmp_path, RTX, kind="30000", vendor="1002", product="744C", driver="amdgpu")
    put_drm(tmp_path, RTX, 0, {})
    assert read_cards(tmp_path)[0].access == "open"
    put(tmp_path, "dev/kfd", "")
    monkeypatch.setattr(cards_module.os, "access", lambda path, _: path.name != "kfd")
    assert read_cards(tmp_path)[0].access == "closed"


def test_a_card_of_the_host_that_is_not_handed_over(tmp_path: Path) -> None:
    put_nvidia(tmp_path)
    os.remove(tmp_path / "dev/nvidiactl")
    assert read_cards(tmp_path)[0].access == "absent"


def test_a_card_without_a_driver(tmp_path: Path) -> None:
    put_pci(tmp_path, RTX, kind="30200", vendor="10DE", product="20B0", driver=None)
    (card,) = read_cards(tmp_path)
    assert (card.driver, card.name) == (None, "NVIDIA graphics 10de:20b0")


# --- traces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trace", "vendor"),
    [
        ("proc/driver/nvidia/version", "NVIDIA"),
        ("usr/lib/wsl/lib/libcuda.so.1", "NVIDIA"),
        ("dev/kfd", "AMD"),
        ("dev/dri/renderD128", "other"),
    ],
)
def test_traces_of_a_driver(tmp_path: Path, trace: str, vendor: str) -> None:
    # the display adapter that Windows shows to its Linux is no card of any of the vendors
    put_pci(tmp_path, "b2c4:00:00.0", kind="30200", vendor="1414", product="008E", driver="dxgkrnl")
    assert read_cards(tmp_path) == ()
    put(tmp_path, trace, "")
    (card,) = read_cards(tmp_path)
    assert (card.vendor, card.pci_id) == (vendor, None)


def test_displays_are_told_to_devices() -> None:
    cards = [Card("NVIDIA", "one", RTX, has_display=True), Card("AMD", "two", "0000:02:00.0"), Card("other", "three")]
    devices = [
        Device("CUDA0", "one", "gpu", "CUDA", 1, 2, RTX),
        Device("Vulkan0", "two", "gpu", "Vulkan", 1, 2, "0000:02:00.0"),
        Device("Vulkan1", "not known", "gpu", "Vulkan", 1, 2, "0000:03:00.0"),
        Device("RPC0", "far away", "gpu", "RPC", 1, 2),
    ]
    assert [device.has_display for device in mark_displays(devices, cards)] == [True, None, None, None]


def test_apple_silicon_has_graphics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_module.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(cards_module.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(cards_module, "ask_sysctl", {"machdep.cpu.brand_string": "Apple M1"}.get)
    (card,) = read_cards(Path("/"))
    assert (card.vendor, card.name, card.is_integrated) == ("Apple", "the graphics of Apple M1", True)
    monkeypatch.setattr(cards_module.platform, "machine", lambda: "x86_64")
    assert read_cards(Path("/")) == ()
    monkeypatch.setattr(cards_module, "ask_sysctl", {"sysctl.proc_translated": "1"}.get)
    assert [card.vendor for card in read_cards(Path("/"))] == ["Apple"]


# --- NVIDIA's library ---------------------------------------------------------------------------


class NVMLError(Exception):
    """Stands for the library's own error."""


class NVMLLibraryMismatchError(Exception):
    """Likewise."""


def library(**changes: Any) -> types.ModuleType:
    """nvidia-ml-py with two cards: one of a desktop, one that tells little."""
    module = types.ModuleType("pynvml")

    def unsupported(_: int) -> None:
        raise NVMLError("Not Supported")

    def second_does_not(answer: object) -> Any:
        return lambda handle: answer if handle == 0 else unsupported(handle)

    answers = {
        "NVMLError": NVMLError,
        "NVMLLibraryMismatchError": NVMLLibraryMismatchError,
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "550.54.15",
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: ("NVIDIA GeForce RTX 3060", "NVIDIA GB10")[handle],
        "nvmlDeviceGetPciInfo": lambda handle: types.SimpleNamespace(busId=f"00000000:0{handle + 1}:00.0"),
        "nvmlDeviceGetCudaComputeCapability": lambda handle: ((8, 6), (12, 1))[handle],
        "nvmlDeviceGetDisplayActive": second_does_not(1),
        "nvmlDeviceGetMemoryInfo": second_does_not(types.SimpleNamespace(free=11 * GIB, total=12 * GIB)),
        "nvmlDeviceGetEnforcedPowerLimit": second_does_not(170_000),
    }
    for name, answer in {**answers, **changes}.items():
        setattr(module, name, answer)
    return module


def test_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library())
    one, two = read_nvidia().cards
    assert one == Card(
        "NVIDIA",
        "NVIDIA GeForce RTX 3060",
        RTX,
        "nvidia",
        "550.54.15",
        has_display=True,
        architecture="8.6",
        free_bytes=11 * GIB,
        total_bytes=12 * GIB,
        power_limit_w=170.0,
    )
    assert (two.pci_id, two.architecture) == ("0000:02:00.0", "12.1")
    assert (two.has_display, two.free_bytes, two.power_limit_w) == (None, None, None)


def test_a_library_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise NVMLError("Driver/library version mismatch")

    monkeypatch.setitem(sys.modules, "pynvml", library(nvmlInit=fail))
    words = "NVIDIA's management library does not start: Driver/library version mismatch."
    assert read_nvidia() == NvidiaFacts((), words)


def test_the_real_library_finds_no_driver_here() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    facts = read_nvidia()
    assert bool(facts.cards) != bool(facts.failure)


def test_library_installed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not is_library_installed()


def test_what_the_library_knows_is_added() -> None:
    seen = Card("NVIDIA", "NVIDIA graphics 10de:2504", RTX, "nvidia", access="closed", has_display=True)
    intel = Card("Intel", "Intel graphics", "0000:00:02.0", "i915")
    known = Card("NVIDIA", "NVIDIA GeForce RTX 3060", RTX, "nvidia", "550.54.15", architecture="8.6", has_display=False)
    first, second = merge_nvidia([intel, seen], [known])
    assert first == intel
    assert (second.name, second.architecture) == ("NVIDIA GeForce RTX 3060", "8.6")
    assert (second.access, second.has_display) == ("closed", True)


def test_cards_of_the_library_replace_a_trace() -> None:
    known = [Card("NVIDIA", "one", RTX), Card("NVIDIA", "two", "0000:02:00.0")]
    merged = merge_nvidia([Card("NVIDIA", "an NVIDIA card", driver="Windows")], known)
    assert [(card.name, card.driver) for card in merged] == [("one", "Windows"), ("two", "Windows")]
    assert merge_nvidia([Card("NVIDIA", "an NVIDIA card")], []) == (Card("NVIDIA", "an NVIDIA card"),)
