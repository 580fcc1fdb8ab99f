"""Battery, Windows, containers, variables, and the processor's instruction sets."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from trees import put

from llamabench.hardware import processor, surroundings
from llamabench.hardware.processor import name_instruction_sets, read_cpu_name, read_processor
from llamabench.hardware.surroundings import is_container, is_wsl, pick_environment, read_battery


def put_supply(root: Path, name: str, **properties: str) -> None:
    lines = [f"POWER_SUPPLY_{key}={value}\n" for key, value in properties.items()]
    put(root, f"sys/class/power_supply/{name}/uevent", "".join(lines))


def test_no_power_supply_is_known(tmp_path: Path) -> None:
    assert read_battery(tmp_path) is None


@pytest.mark.parametrize(
    ("online", "status", "is_on_battery"),
    [("0", "Discharging", True), ("1", "Charging", False), ("1", "Discharging", False), ("0", "Full", False)],
)
def test_battery(tmp_path: Path, online: str, status: str, is_on_battery: bool) -> None:
    put_supply(tmp_path, "AC", TYPE="Mains", ONLINE=online)
    put_supply(tmp_path, "BAT0", TYPE="Battery", STATUS=status)
    assert read_battery(tmp_path) is is_on_battery


def test_the_battery_of_a_mouse_is_not_the_machines(tmp_path: Path) -> None:
    put_supply(tmp_path, "hidpp_battery_0", TYPE="Battery", STATUS="Discharging", SCOPE="Device")
    assert read_battery(tmp_path) is None


@pytest.mark.parametrize(
    ("battery", "expected"), [(None, None), (types.SimpleNamespace(power_plugged=False), True)], ids=["none", "battery"]
)
def test_battery_of_a_mac(monkeypatch: pytest.MonkeyPatch, battery: object, expected: bool | None) -> None:
    monkeypatch.setattr(surroundings.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(surroundings.psutil, "sensors_battery", lambda: battery, raising=False)
    assert read_battery(Path("/")) is expected


def test_wsl(tmp_path: Path) -> None:
    assert not is_wsl(tmp_path)
    put(tmp_path, "proc/version", "Linux version 6.8.0-45-generic (buildd@lcy02)\n")
    assert not is_wsl(tmp_path)
    put(tmp_path, "proc/version", "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1)\n")
    assert is_wsl(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (".dockerenv", "", True),
        ("run/.containerenv", "", True),
        ("proc/self/cgroup", "4:memory:/docker/0123abc\n", True),
        ("proc/self/cgroup", "0::/kubepods/burstable/pod1/2\n", True),
        ("proc/self/cgroup", "0::/user.slice/user-1000.slice/session-2.scope\n", False),
        ("proc/self/cgroup", "0::/system.slice/docker.service\n", False),
    ],
)
def test_container(tmp_path: Path, name: str, text: str, expected: bool) -> None:
    assert not is_container(tmp_path)
    put(tmp_path, name, text)
    assert is_container(tmp_path) is expected


def test_only_variables_that_matter_are_kept() -> None:
    matter = {"CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "active", "GGML_CUDA_FORCE_MMQ": "1", "KMP_BLOCKTIME": "0"}
    others = {"PATH": "/bin", "OMP_NUM_THREADS": "4", "GGML_NO_BACKTRACE": "1", "HF_TOKEN": "secret", "MY_GGML_X": "1"}
    assert pick_environment({**matter, **others}) == matter


# --- the processor ------------------------------------------------------------------------------

X86 = "fpu sse pni ssse3 sse4_2 avx f16c fma bmi2 avx2"


def test_instruction_sets_from_cpuinfo(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", f"processor\t: 0\nmodel name\t: AMD Ryzen\nflags\t\t: {X86}\n")
    found = read_processor(tmp_path)
    assert found.instruction_sets == ("SSE3", "SSSE3", "AVX", "AVX2", "F16C", "FMA", "BMI2")
    assert 1 <= found.n_logical_allowed <= found.n_logical
    assert (found.quota, found.is_translated) == (None, False)
    assert read_cpu_name(tmp_path) == "AMD Ryzen"


def test_instruction_sets_of_arm(tmp_path: Path) -> None:
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd aes asimdhp asimddp i8mm\n")
    assert read_processor(tmp_path).instruction_sets == ("NEON", "FP16_VA", "DOTPROD", "MATMUL_INT8")


def test_avx512_needs_all_its_parts() -> None:
    parts = frozenset({"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
    assert name_instruction_sets(parts) == ("AVX512",)
    assert name_instruction_sets(parts - {"avx512dq"}) == ()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"hw.optional.arm.AdvSIMD": "1", "hw.optional.arm.FEAT_DotProd": "1"}, ("NEON", "DOTPROD")),
        (
            {"machdep.cpu.features": "FPU SSE3 AVX1.0 FMA F16C", "machdep.cpu.leaf7_features": "BMI2 AVX2"},
            ("SSE3", "AVX", "AVX2", "F16C", "FMA", "BMI2"),
        ),
        ({}, ()),
    ],
    ids=["Apple silicon", "Intel", "silent"],
)
def test_instruction_sets_of_macs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(processor, "ask_sysctl", answers.get)
    assert read_processor(tmp_path).instruction_sets == expected


def test_efficiency_cores_and_confinement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, mask in enumerate(["03", "03", "0c", "0c", "10", "20", "40", "80"]):
        put(tmp_path, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings", mask + "\n")
    put(tmp_path, "sys/devices/cpu_core/cpus", "0-3\n")
    for allowed, n_efficiency, is_confined in (({0, 1, 2, 3, 4, 5}, 2, False), ({6, 7}, 2, True), ({0}, 0, False)):
        monkeypatch.setattr(processor.os, "sched_getaffinity", lambda _, allowed=allowed: allowed, raising=False)
        found = read_processor(tmp_path)
        assert (found.n_efficiency_cores, found.is_confined) == (n_efficiency, is_confined)
        assert found.n_logical_allowed == len(allowed)


def test_quota_is_recorded(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/\n")
    put(tmp_path, "sys/fs/cgroup/cpu.max", "250000 100000\n")
    assert read_processor(tmp_path).quota == 2.5
