"""What this computer offers: its processor, its memory, and the devices that llama.cpp can use."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import platform
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from llamabench.engine import worker
from llamabench.errors import LlamabenchError
from llamabench.hardware.cores import count_performance_cores
from llamabench.hardware.memory import read_memory
from llamabench.records import Device, Machine

if TYPE_CHECKING:
    from llamabench.engine.llama import BackendFacts

_ROOT = Path("/")
_UNKNOWN = "unknown"

_DRIVERS = (
    ("proc/driver/nvidia/version", "an NVIDIA driver", "GGML_CUDA"),
    ("dev/kfd", "an AMD driver", "GGML_HIP"),
    ("dev/dri/renderD*", "a graphics driver", "GGML_VULKAN"),
)
"""A file that a driver leaves, what to call it, and the build option of llama.cpp that uses it; first match counts."""


def read_machine(root: Path = _ROOT) -> Machine:
    """Reads what a run can use of this computer, at this moment.

    Devices are asked for in a child process, because a broken driver may end the process that asks.

    Args:
        root: Where `/proc`, `/sys` and `/dev` are looked for.

    Returns:
        The machine. Where devices cannot be read there are none, and a note says why.
    """
    facts, failure = ask_in_child(_read_backend)
    devices = facts.devices if facts else ()
    memory = read_memory(root)
    notes = [failure] if failure else [*_device_notes(devices), *_driver_notes(root, devices)]
    return Machine(
        os=f"{platform.system()} {platform.release()}",
        cpu=_cpu_name(root) or (facts.cpu_description if facts else "") or platform.machine(),
        n_performance_cores=_performance_cores(root),
        ram_total_bytes=memory.total_bytes,
        ram_available_bytes=memory.available_bytes,
        devices=devices,
        llama_cpp_python=facts.llama_cpp_python if facts else _binding_version(),
        llama_cpp_commit=facts.llama_cpp_commit if facts else _UNKNOWN,
        notes=tuple(notes),
    )


def ask_in_child(read: Callable[[], BackendFacts]) -> tuple[BackendFacts | None, str | None]:
    """Calls a function in a process of its own.

    Args:
        read: What to call; importable, because the child starts afresh.

    Returns:
        What it returned and None, or None and a sentence on why it returned nothing.
    """
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=worker.start) as executor:
            with worker.spared_ctrl_c():
                future = executor.submit(read)
            return future.result(), None
    except BrokenProcessPool:
        return None, (
            "llama.cpp ended its process when it was asked for devices, most likely in a graphics driver: "
            "models run on the processor alone. Update the driver, or hide the card (CUDA_VISIBLE_DEVICES= )."
        )
    except (ImportError, OSError, RuntimeError, LlamabenchError) as exc:
        return None, (
            f"llama-cpp-python does not load: {exc}. "
            "Install it again: pip install --force-reinstall --no-cache-dir llama-cpp-python"
        )


def _read_backend() -> BackendFacts:
    """Runs in the child; only there llama.cpp is loaded."""
    from llamabench.engine.llama import read_backend

    return read_backend()


def _binding_version() -> str:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return _UNKNOWN


def _device_notes(devices: tuple[Device, ...]) -> list[str]:
    return [
        f"{device.name} ({device.description}) reports no memory, so nothing is put on it. Update its driver."
        for device in devices
        if device.kind in ("gpu", "igpu") and device.total_bytes == 0
    ]


def _driver_notes(root: Path, devices: tuple[Device, ...]) -> list[str]:
    """Says when a card is there that this build of llama.cpp cannot use."""
    if any(device.kind in ("gpu", "igpu") for device in devices):
        return []
    for pattern, driver, option in _DRIVERS:
        if any(root.glob(pattern)):
            return [
                f"No GPU backend in this build of llama-cpp-python although {driver} is present: reinstall with "
                f'CMAKE_ARGS="-D{option}=on" pip install --force-reinstall --no-cache-dir llama-cpp-python'
            ]
    return []


def _cpu_name(root: Path) -> str | None:
    """The processor's name from `/proc/cpuinfo`; on macOS from the system."""
    cpuinfo = root / "proc/cpuinfo"
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return _ask_sysctl("machdep.cpu.brand_string")


def _performance_cores(root: Path) -> int:
    affinity = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    fallback = _ask_sysctl("hw.perflevel0.physicalcpu") or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return count_performance_cores(root, affinity=affinity, fallback=int(fallback))


def _ask_sysctl(name: str) -> str | None:
    """One value of macOS's sysctl, None elsewhere and where it has none."""
    if platform.system() != "Darwin":
        return None
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
