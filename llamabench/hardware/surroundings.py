"""Where the program runs: on battery or mains, in Windows, in a container, and with which variables set."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path

import psutil

_CONTAINER_FILES = (".dockerenv", "run/.containerenv")
_CONTAINER_GROUP = re.compile(r"/(docker[/-]|kubepods|lxc[/.]|libpod[-_]|cri-|containerd/|garden/)")

_VARIABLES = re.compile(
    r"""
    (CUDA|HIP|ROCR|GPU)_VISIBLE_DEVICES | GPU_DEVICE_ORDINAL | ONEAPI_DEVICE_SELECTOR | HSA_OVERRIDE_GFX_VERSION
    | OMP_(WAIT_POLICY|THREAD_LIMIT|PROC_BIND|PLACES|DYNAMIC) | GOMP_(SPINCOUNT|CPU_AFFINITY)
    | KMP_(AFFINITY|BLOCKTIME) | LLAMA_CPP_LIB_PATH | GGML_\w+
    """,
    re.VERBOSE,
)
"""Variables that change which devices llama.cpp sees, how it computes, or how its threads wait."""

_HARMLESS = {"GGML_NO_BACKTRACE"}


def read_battery(root: Path) -> bool | None:
    """Whether the machine runs on battery; None where the system knows of no battery and no mains.

    Args:
        root: Where `/sys` is looked for; on macOS the system is asked instead.
    """
    if platform.system() == "Darwin":
        battery = psutil.sensors_battery()
        return None if battery is None else not battery.power_plugged
    supplies = [_read_supply(folder) for folder in sorted((root / "sys/class/power_supply").glob("*"))]
    # a battery whose scope is a device is that of a mouse or a headset
    own = [supply for supply in supplies if supply.get("SCOPE") != "Device"]
    if any(supply.get("TYPE") in ("Mains", "USB") and supply.get("ONLINE") == "1" for supply in own):
        return False
    states = [supply.get("STATUS") for supply in own if supply.get("TYPE") == "Battery"]
    return "Discharging" in states if states else None


def is_wsl(root: Path) -> bool:
    """Whether this is Linux inside Windows: its kernel is Microsoft's."""
    path = root / "proc/version"
    return path.is_file() and "microsoft" in path.read_text(encoding="utf-8", errors="replace").lower()


def is_container(root: Path) -> bool:
    """Whether this is a container, by the files and control groups that their managers leave."""
    path = root / "proc/self/cgroup"
    groups = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return any((root / name).exists() for name in _CONTAINER_FILES) or _CONTAINER_GROUP.search(groups) is not None


def pick_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Those variables that change what llama.cpp does.

    >>> pick_environment({"CUDA_VISIBLE_DEVICES": "1", "HOME": "/home/ada", "GGML_NO_BACKTRACE": "1"})
    {'CUDA_VISIBLE_DEVICES': '1'}

    Args:
        variables: The environment.
    """
    return {
        name: value for name, value in sorted(variables.items()) if _VARIABLES.fullmatch(name) and name not in _HARMLESS
    }


def read_properties(path: Path) -> dict[str, str]:
    """The lines `NAME=value` of a `uevent` file of `/sys`; none where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _read_supply(folder: Path) -> dict[str, str]:
    """A power supply's facts without the prefix that they carry."""
    found = read_properties(folder / "uevent")
    return {name.removeprefix("POWER_SUPPLY_"): value for name, value in found.items()}
