"""What this computer offers: its processor, its memory, and the devices that llama.cpp can use."""

from __future__ import annotations

import functools
import importlib.metadata
import multiprocessing
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from llamabench.engine import worker
from llamabench.errors import EngineError, LlamabenchError, ServerError, name_cause
from llamabench.hardware.cards import mark_displays, read_cards
from llamabench.hardware.memory import read_memory
from llamabench.hardware.nvidia import NvidiaFacts, is_library_installed, merge_nvidia, read_nvidia
from llamabench.hardware.processor import read_cpu_name, read_performance_cores, read_processor
from llamabench.hardware.rebuilding import machine_notes, server_notes
from llamabench.hardware.surroundings import is_container, is_wsl, pick_environment, read_battery
from llamabench.records import Card, Machine

if TYPE_CHECKING:
    from llamabench.engine.llama import BackendFacts

_T = TypeVar("_T")
_ROOT = Path("/")
_UNKNOWN = "unknown"


def read_machine(root: Path = _ROOT, *, rpc_servers: Sequence[str] = ()) -> Machine:
    """Reads what a run can use of this computer, and of servers on others, at this moment.

    Devices are asked for in a child process, because a broken driver may end the process that asks.

    Args:
        root: Where `/proc`, `/sys` and `/dev` are looked for.
        rpc_servers: Addresses of servers whose devices are to be used too.

    Returns:
        The machine. Where devices cannot be read there are none, and a note says why.

    Raises:
        ServerError: A server does not answer, or not as it should.
        EngineError: Servers cannot be used at all.
    """
    read = functools.partial(_read_backend, tuple(rpc_servers)) if rpc_servers else _read_backend
    facts, failure = ask_in_child(read)
    if failure and rpc_servers:
        raise EngineError(f"The devices of {', '.join(rpc_servers)} cannot be used. {failure}")
    devices = facts.devices if facts else ()
    memory = read_memory(root)
    nvidia = _read_nvidia(read_cards(root))
    machine = Machine(
        os=f"{platform.system()} {platform.release()}",
        cpu=read_cpu_name(root) or (facts.cpu_description if facts else "") or platform.machine(),
        n_performance_cores=read_performance_cores(root),
        ram_total_bytes=memory.total_bytes,
        ram_available_bytes=memory.available_bytes,
        devices=mark_displays(devices, nvidia.cards),
        llama_cpp_python=facts.llama_cpp_python if facts else _binding_version(),
        llama_cpp_commit=facts.llama_cpp_commit if facts else _UNKNOWN,
        backends=facts.backends if facts else (),
        failure=failure,
        cards=nvidia.cards,
        driver_failure=nvidia.failure,
        processor=read_processor(root),
        ram_installed_bytes=memory.installed_bytes,
        swap_used_bytes=memory.swap_used_bytes,
        is_on_battery=read_battery(root),
        is_wsl=is_wsl(root),
        is_container=is_container(root),
        environment=pick_environment(os.environ),
    )
    return replace(machine, notes=(*server_notes(machine.devices), *machine_notes(machine)))


def ask_in_child(read: Callable[[], BackendFacts]) -> tuple[BackendFacts | None, str | None]:
    """Asks llama.cpp for devices in a process of its own.

    Args:
        read: What to call; importable, because the child starts afresh.

    Returns:
        What it returned and None, or None and a sentence on why it returned nothing.

    Raises:
        ServerError: From the function.
    """
    try:
        return _call_in_child(read), None
    except ServerError:
        raise
    except BrokenProcessPool:
        return None, (
            "llama.cpp ended its process when it was asked for devices, most likely in a graphics driver: "
            "models run on the processor alone. Update the driver, or hide the card (CUDA_VISIBLE_DEVICES= )."
        )
    except (ImportError, OSError, RuntimeError, LlamabenchError) as exc:
        return None, f"llama-cpp-python does not load: {name_cause(exc)}."


def _call_in_child(read: Callable[[], _T]) -> _T:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=worker.start) as executor:
        with worker.spared_ctrl_c():
            future = executor.submit(read)
        return future.result()


def _read_nvidia(cards: tuple[Card, ...]) -> NvidiaFacts:
    """The cards, with what NVIDIA's own library knows of them where it is installed."""
    if not is_library_installed() or not any(card.vendor == "NVIDIA" for card in cards):
        return NvidiaFacts(cards)
    try:
        facts = _call_in_child(read_nvidia)
    except (BrokenProcessPool, OSError, ImportError):
        return NvidiaFacts(cards, "NVIDIA's management library ended the process that asked it.")
    return NvidiaFacts(merge_nvidia(cards, facts.cards), facts.failure)


def _read_backend(rpc_servers: Sequence[str] = ()) -> BackendFacts:
    """Runs in the child; only there llama.cpp is loaded."""
    from llamabench.engine.llama import read_backend, server_devices

    return read_backend(server_devices(rpc_servers))


def _binding_version() -> str:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return _UNKNOWN
