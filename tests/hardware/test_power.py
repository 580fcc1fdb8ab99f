"""Energy counters: recorded trees, a scripted driver, recorded output; and machines that have none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llamabench.hardware import power
from llamabench.hardware.power import EnergyMeter, PowermetricsCounter, parse_powermetrics

POWERMETRICS = """\
Machine model: Mac14,2
*** Sampled system activity (Wed Mar  4 14:05:09 2026 +0100) (200.50ms elapsed) ***

**** Processor usage ****
CPU Power: 9000 mW
GPU Power: 1000 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 10000 mW
*** Sampled system activity (Wed Mar  4 14:05:09 2026 +0100) (100.00ms elapsed) ***
Combined Power (CPU + GPU + ANE): 5000 mW
"""


class NVMLError(Exception):
    """What the driver's library raises."""


def put_zone(root: Path, zone: str, name: str, energy_uj: int, range_uj: int = 262_143_328_850) -> Path:
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder / "energy_uj"


@pytest.fixture(autouse=True)
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power.platform, "system", lambda: "Linux")


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """An Intel laptop: a package with cores and graphics inside, memory beside it, and a zone over all of it."""
    (tmp_path / "sys/class/powercap/intel-rapl").mkdir(parents=True)
    put_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    put_zone(tmp_path, "intel-rapl:0:0", "core", 500_000)
    put_zone(tmp_path, "intel-rapl:0:1", "uncore", 100_000)
    put_zone(tmp_path, "intel-rapl:0:2", "dram", 200_000)
    put_zone(tmp_path, "intel-rapl:1", "psys", 3_000_000)
    put_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    return tmp_path


def add(root: Path, zone: str, energy_uj: int) -> None:
    (root / "sys/class/powercap" / zone / "energy_uj").write_text(f"{energy_uj}\n")


class TestRapl:
    def test_packages_and_their_memory_are_counted_once(self, laptop: Path) -> None:
        meter = EnergyMeter(laptop, has_devices=False)
        assert meter.read() == {"processor 0": 0, "memory of processor 0": 0}
        add(laptop, "intel-rapl:0", 6_000_000)
        add(laptop, "intel-rapl:0:2", 700_000)
        assert meter.read() == {"processor 0": 5.0, "memory of processor 0": 0.5}
        assert meter.notes == []
        meter.close()

    def test_a_counter_that_turns_over_goes_on(self, tmp_path: Path) -> None:
        put_zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
        meter = EnergyMeter(tmp_path, has_devices=False)
        add(tmp_path, "intel-rapl:0", 1_000_000)
        assert meter.read() == {"processor 0": 2.0}
        add(tmp_path, "intel-rapl:0", 4_000_000)
        assert meter.read() == {"processor 0": 5.0}

    def test_a_machine_without_one_says_so_and_has_no_figure(self, tmp_path: Path) -> None:
        meter = EnergyMeter(tmp_path, has_devices=False)
        assert meter.read() == {}
        assert meter.notes == ["No energy counter of the processor: the system shows none below /sys/class/powercap."]

    def test_one_for_root_alone_says_what_to_do(self, laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        deny(monkeypatch)
        meter = EnergyMeter(laptop, has_devices=False)
        assert meter.read() == {}
        assert meter.notes[0] == (
            "The energy counter of processor 0 is for root alone. To read it: "
            "sudo chmod a+r /sys/class/powercap/intel-rapl:0/energy_uj"
        )

    @pytest.mark.parametrize("text", ["", "no number"], ids=repr)
    def test_a_damaged_one_is_left_out(self, laptop: Path, text: str) -> None:
        (laptop / "sys/class/powercap/intel-rapl:0/energy_uj").write_text(text)
        meter = EnergyMeter(laptop, has_devices=False)
        assert meter.read() == {"memory of processor 0": 0}
        assert "processor 0 cannot be read" in meter.notes[0]

    def test_one_that_vanishes_is_given_up(self, laptop: Path) -> None:
        meter = EnergyMeter(laptop, has_devices=False)
        (laptop / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
        assert meter.read() == {"memory of processor 0": 0}
        assert "of processor 0 stopped" in meter.notes[0]
        assert meter.read() == {"memory of processor 0": 0}
        assert len(meter.notes) == 1


def deny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nobody read a counter; the superuser, who runs some tests, could read any."""

    def read_text(path: Path, **_: Any) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return path.read_bytes().decode("ascii")

    monkeypatch.setattr(Path, "read_text", read_text)


def make_nvml(readings: list[int], **faults: Exception) -> Any:
    """A driver with a card for each reading, in mJ; a fault is raised by the function of its name."""

    def function(name: str, result: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if name in faults:
                raise faults[name]
            return result(*arguments)

        return call

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=function("nvmlInit", lambda: None),
        nvmlShutdown=function("nvmlShutdown", lambda: None),
        nvmlDeviceGetCount=function("nvmlDeviceGetCount", lambda: len(readings)),
        nvmlDeviceGetHandleByIndex=function("nvmlDeviceGetHandleByIndex", lambda index: index),
        nvmlDeviceGetTotalEnergyConsumption=function("energy", lambda handle: readings[handle]),
    )


class TestNvml:
    def open(self, root: Path, nvml: Any, monkeypatch: pytest.MonkeyPatch) -> EnergyMeter:
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        put_zone(root, "intel-rapl:0", "package-0", 0)
        return EnergyMeter(root, has_devices=True)

    def test_cards_are_added_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        readings = [5000, 7000]
        meter = self.open(tmp_path, make_nvml(readings), monkeypatch)
        readings[:] = [6000, 7500]
        assert meter.read() == {"processor 0": 0, "NVIDIA cards": 1.5}
        meter.close()

    def test_cards_that_are_not_used_are_not_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", make_nvml([5]))
        put_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        assert EnergyMeter(tmp_path, has_devices=False).read() == {"processor 0": 0}

    @pytest.mark.parametrize(
        ("nvml", "note"),
        [
            (make_nvml([5], nvmlInit=NVMLError("Driver Not Loaded")), "NVIDIA cards: Driver Not Loaded."),
            (make_nvml([5], energy=NVMLError("Not Supported")), "(NVIDIA cards): Not Supported."),
            (make_nvml([]), "(NVIDIA cards): there is no card."),
        ],
        ids=["no driver", "old card", "no card"],
    )
    def test_what_fails_is_told(self, nvml: Any, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        meter = self.open(tmp_path, nvml, monkeypatch)
        assert meter.read() == {"processor 0": 0}
        assert note in meter.notes[0]

    def test_a_card_that_falls_off_the_bus_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        faults: dict[str, Exception] = {}
        nvml = make_nvml([5])
        good = nvml.nvmlDeviceGetTotalEnergyConsumption

        def read(handle: int) -> int:
            if faults:
                raise faults["energy"]
            return int(good(handle))

        nvml.nvmlDeviceGetTotalEnergyConsumption = read
        meter = self.open(tmp_path, nvml, monkeypatch)
        faults["energy"] = NVMLError("GPU is lost")
        assert meter.read() == {"processor 0": 0}
        assert "GPU is lost" in meter.notes[0]

    @pytest.mark.parametrize("has_driver", [True, False])
    def test_a_missing_package_is_named_where_it_would_help(
        self, has_driver: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if has_driver:
            (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
            (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version")
        meter = self.open(tmp_path, None, monkeypatch)
        assert ("-m pip install 'nvidia-ml-py>=12'" in meter.notes[0]) == has_driver


class TestPowermetrics:
    def test_its_samples_are_power_times_length(self) -> None:
        assert list(parse_powermetrics(POWERMETRICS.splitlines())) == pytest.approx([2.005, 0.5])

    def test_what_it_prints_is_added_up(self, tmp_path: Path) -> None:
        recorded = tmp_path / "recorded.txt"
        recorded.write_text(POWERMETRICS)
        counter = PowermetricsCounter(("cat", str(recorded)))
        counter._process.wait()  # else it may be ended before it has printed anything
        counter.close()
        assert counter.read_joules() == pytest.approx(2.505)

    def test_without_root_it_is_not_started(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(power.platform, "system", lambda: "Darwin")
        monkeypatch.setattr(os, "geteuid", lambda: 501)
        meter = EnergyMeter(tmp_path, has_devices=True)
        assert meter.read() == {}
        assert meter.notes == [
            "No energy counter (powermetrics): powermetrics needs root. Run llamabench with sudo to have the energy."
        ]

    def test_one_that_fails_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(power.platform, "system", lambda: "Darwin")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(power, "_open_powermetrics", lambda: PowermetricsCounter(("false",)))
        meter = EnergyMeter(tmp_path, has_devices=True)
        meter._counters[0]._process.wait()  # type: ignore[attr-defined]
        assert meter.read() == {}
        assert "Apple chip stopped: powermetrics ended." in meter.notes[0]
