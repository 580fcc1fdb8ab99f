"""Energy counters: NVML of NVIDIA cards, RAPL of processors, powermetrics of Apple's.

A machine without one has no energy figure, never 0. What a counter counts is whole: a processor package with all that
runs on it, a card with all that uses it, idle power included. Tested on recorded counters; none was at hand.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from llamabench.errors import name_cause
from llamabench.extras import pip_command
from llamabench.hardware.cgroup import read_number

_ROOT = Path("/")
_POWERCAP = "sys/class/powercap"
_NVIDIA_DRIVER = "proc/driver/nvidia/version"

_POWERMETRICS = ("/usr/bin/powermetrics", "--samplers", "cpu_power,gpu_power", "-i", "200")
_ELAPSED = re.compile(r"\((\d+(?:\.\d+)?)ms elapsed\)")
_COMBINED = re.compile(r"^Combined Power .*: (\d+(?:\.\d+)?) mW")


class EnergyCounter(Protocol):
    """Counts energy from when it was made."""

    @property
    def name(self) -> str:
        """What it counts the energy of."""

    def read_joules(self) -> float:
        """Energy since it was made; `OSError` where the counter fails."""

    def close(self) -> None:
        """Ends the counting."""


class RaplCounter:
    """A processor's own counter, as Linux shows it.

    Args:
        name: What it counts.
        folder: Its folder below `/sys/class/powercap`.

    Raises:
        OSError: It cannot be read.

    Source: the kernel's Documentation/power/powercap/powercap.rst.
    """

    def __init__(self, name: str, folder: Path):
        self.name = name
        self._path = folder / "energy_uj"
        self._range_uj = read_number(folder / "max_energy_range_uj") or 0
        self._last_uj = self._read()
        self._total_uj = 0

    def _read(self) -> int:
        return int(self._path.read_text(encoding="ascii"))

    def read_joules(self) -> float:
        """Energy since it was made; one turn of the counter, some minutes to an hour, is seen, two are not."""
        now_uj = self._read()
        self._total_uj += now_uj - self._last_uj + (self._range_uj if now_uj < self._last_uj else 0)
        self._last_uj = now_uj
        return self._total_uj / 1e6

    def close(self) -> None:
        """Nothing is held open."""


class NvmlCounter:
    """The counters of all NVIDIA cards together.

    Args:
        nvml: The module `pynvml`, initialised.

    Raises:
        OSError: There is no card, or one has no counter: cards before Volta have none.
    """

    name = "NVIDIA cards"

    def __init__(self, nvml: Any):
        self._nvml = nvml
        self._start_mj = self._read()

    def _read(self) -> int:
        nvml = self._nvml
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            readings = [nvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]
        except nvml.NVMLError as exc:
            raise OSError(str(exc)) from exc
        if not readings:
            raise OSError("there is no card")
        return int(sum(readings))

    def read_joules(self) -> float:
        """Energy since it was made."""
        return (self._read() - self._start_mj) / 1e3

    def close(self) -> None:
        """Lets go of the driver."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()


class PowermetricsCounter:
    """Processor, GPU and neural engine of an Apple chip: power that `powermetrics` samples, summed up.

    Args:
        command: The program and its arguments; it prints a sample every 200 ms until it is ended.

    Raises:
        OSError: It cannot be started.
    """

    name = "Apple chip"

    def __init__(self, command: Sequence[str] = _POWERMETRICS):
        self._joules = 0.0
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._add_up, daemon=True)
        self._reader.start()

    def _add_up(self) -> None:
        assert self._process.stdout is not None
        for joules in parse_powermetrics(self._process.stdout):
            self._joules += joules

    def read_joules(self) -> float:
        """Energy up to the last sample."""
        if self._process.poll() not in (None, 0):
            raise OSError("powermetrics ended")
        return self._joules

    def close(self) -> None:
        """Ends the program."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


def parse_powermetrics(lines: Iterator[str] | Sequence[str]) -> Iterator[float]:
    """Reads the output of `powermetrics`.

    Args:
        lines: The output.

    Yields:
        Joules of each sample: its length times the power in it.
    """
    elapsed_ms = 0.0
    for line in lines:
        if match := _ELAPSED.search(line):
            elapsed_ms = float(match[1])
        elif match := _COMBINED.match(line):
            yield float(match[1]) * elapsed_ms / 1e6


class EnergyMeter:
    """All counters of a machine; `close` when done.

    Args:
        root: Where `/sys` and `/proc` are looked for.
        has_devices: Whether anything is computed on graphics cards.

    Attributes:
        notes: Why there is no counter, or not that of all; a sentence each.
    """

    def __init__(self, root: Path = _ROOT, *, has_devices: bool):
        self.notes: list[str] = []
        self._counters: list[EnergyCounter] = []
        if platform.system() == "Darwin":
            self._add("powermetrics", _open_powermetrics)
        else:
            self._add_rapl(root)
            if has_devices:
                self._add_nvml(root)

    def read(self) -> dict[str, float]:
        """Joules since the meter was made, by counter; one that fails is given up, with a note."""
        readings: dict[str, float] = {}
        for counter in list(self._counters):
            try:
                readings[counter.name] = counter.read_joules()
            except (OSError, ValueError) as exc:
                self._counters.remove(counter)
                counter.close()
                self.notes.append(f"The energy counter of {counter.name} stopped: {name_cause(exc)}.")
        return readings

    def close(self) -> None:
        """Ends all counters."""
        for counter in self._counters:
            counter.close()

    def _add(self, name: str, make: Callable[[], EnergyCounter]) -> None:
        try:
            self._counters.append(make())
        except (OSError, ValueError) as exc:
            self.notes.append(f"No energy counter ({name}): {name_cause(exc)}.")

    def _add_rapl(self, root: Path) -> None:
        folders = list(_find_rapl(root))
        if not folders:
            self.notes.append("No energy counter of the processor: the system shows none below /sys/class/powercap.")
        for name, folder in folders:
            try:
                self._counters.append(RaplCounter(name, folder))
            except PermissionError:
                self.notes.append(
                    f"The energy counter of {name} is for root alone. To read it: sudo chmod a+r "
                    f"/{(folder / 'energy_uj').relative_to(root)}"
                )
            except (OSError, ValueError) as exc:
                self.notes.append(f"The energy counter of {name} cannot be read: {name_cause(exc)}.")

    def _add_nvml(self, root: Path) -> None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            if (root / _NVIDIA_DRIVER).is_file():
                self.notes.append(f"No energy counter of NVIDIA cards without a package: {pip_command('nvml')}")
            else:
                self.notes.append("No energy counter of the devices: only NVIDIA's are known.")
            return
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as exc:
            self.notes.append(f"No energy counter of NVIDIA cards: {exc}.")
            return
        self._add("NVIDIA cards", lambda: NvmlCounter(nvml))


def _find_rapl(root: Path) -> Iterator[tuple[str, Path]]:
    """Packages, and the memory of each, which a package does not count in; what lies inside a package is in it."""
    for folder in sorted((root / _POWERCAP).glob("intel-rapl:*")):
        zone = _read_name(folder)
        if zone.startswith("package-"):
            yield f"processor {zone.removeprefix('package-')}", folder
        elif zone == "dram":
            package = folder.name.split(":")[1]
            yield f"memory of processor {package}", folder


def _read_name(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _open_powermetrics() -> EnergyCounter:
    if os.geteuid() != 0:
        raise PermissionError("powermetrics needs root. Run llamabench with sudo to have the energy")
    return PowermetricsCounter()
