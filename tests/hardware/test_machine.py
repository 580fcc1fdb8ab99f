"""Reading the machine: control groups, cores, notes, and devices asked for in a child process."""

import dataclasses
import functools
import os
from pathlib import Path

import pytest
from trees import put, put_drm, put_pci

from llamabench.errors import EngineError, ServerError
from llamabench.hardware import machine
from llamabench.hardware.cores import count_performance_cores, parse_cpu_list
from llamabench.hardware.memory import parse_meminfo, read_memory
from llamabench.records import Backend, Device

GIB = 1 << 30
MEMINFO = "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:   12582912 kB\nHugePages_Total:       0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "proc/meminfo", MEMINFO)
    return tmp_path


# --- memory -------------------------------------------------------------------------------------


def memory(root: Path) -> tuple[int, int]:
    found = read_memory(root)
    assert found.installed_bytes == 16 * GIB
    return found.total_bytes, found.available_bytes


def test_meminfo_alone(root: Path) -> None:
    assert memory(root) == (16 * GIB, 12 * GIB)


def test_meminfo_of_an_old_kernel() -> None:
    assert parse_meminfo("MemTotal: 1 kB\nMemFree: 1 kB\n") is None


def test_swap_in_use(root: Path) -> None:
    assert read_memory(root).swap_used_bytes == 0
    put(root, "proc/meminfo", MEMINFO + "SwapTotal: 4096 kB\nSwapFree: 1024 kB\n")
    assert read_memory(root).swap_used_bytes == 3 << 20


def test_without_proc_psutil_is_asked(tmp_path: Path) -> None:
    memory = read_memory(tmp_path)
    assert 0 < memory.available_bytes <= memory.total_bytes


def put_v2(root: Path, group: str, most: str, current: int, inactive: int) -> None:
    put(root, f"sys/fs/cgroup{group}/memory.max", most + "\n")
    put(root, f"sys/fs/cgroup{group}/memory.current", f"{current}\n")
    put(root, f"sys/fs/cgroup{group}/memory.stat", f"anon 5\ninactive_file {inactive}\nactive_file 7\n")


def test_v2_limit_of_the_group(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/a/b\n")
    put_v2(root, "/a/b", str(4 * GIB), 3 * GIB, GIB)
    assert memory(root) == (4 * GIB, 2 * GIB)


def test_v2_limit_of_a_parent(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/a/b\n")
    put_v2(root, "/a/b", "max", 2 * GIB, 0)
    put_v2(root, "/a", str(6 * GIB), 5 * GIB, 0)
    assert memory(root) == (6 * GIB, GIB)


def test_v2_the_tightest_counts(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/a/b\n")
    put_v2(root, "/a/b", str(5 * GIB), GIB, 0)
    put_v2(root, "/a", str(8 * GIB), 7 * GIB, 0)
    assert memory(root) == (5 * GIB, GIB)


@pytest.mark.parametrize("line", ["0::/", "0::/docker/0123abc", "0::/../../other"])
def test_v2_inside_a_container(root: Path, line: str) -> None:
    put(root, "proc/self/cgroup", line + "\n")
    put_v2(root, "", str(2 * GIB), GIB, 0)
    assert memory(root) == (2 * GIB, GIB)


def test_used_up_limit_leaves_nothing(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/\n")
    put_v2(root, "", str(GIB), 2 * GIB, 0)
    assert read_memory(root).available_bytes == 0


def test_limit_above_the_machine_changes_nothing(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/\n")
    put_v2(root, "", str(64 * GIB), GIB, 0)
    assert memory(root) == (16 * GIB, 12 * GIB)


def put_v1(root: Path, group: str, most: int, usage: int, inactive: int) -> None:
    folder = f"sys/fs/cgroup/memory{group}"
    put(root, f"{folder}/memory.limit_in_bytes", f"{most}\n")
    put(root, f"{folder}/memory.usage_in_bytes", f"{usage}\n")
    put(root, f"{folder}/memory.stat", f"cache 1\ntotal_inactive_file {inactive}\n")


def test_v1_limit_and_unlimited_parent(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n")
    put_v1(root, "/a", 3 * GIB, 2 * GIB, GIB // 2)
    put_v1(root, "", 9223372036854771712, 5 * GIB, 0)
    assert memory(root) == (3 * GIB, GIB + GIB // 2)


def test_v1_inside_a_container(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/docker/0123abc\n")
    put_v1(root, "", 3 * GIB, GIB, 0)
    assert memory(root) == (3 * GIB, 2 * GIB)


# --- cores --------------------------------------------------------------------------------------


def put_cpus(root: Path, siblings: list[str]) -> None:
    for cpu, mask in enumerate(siblings):
        put(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings", mask + "\n")
    put(root, "sys/devices/system/cpu/cpufreq/boost", "1\n")


def cores(root: Path, *cpus: int) -> int:
    return count_performance_cores(root, affinity=frozenset(cpus) if cpus else None, fallback=99)


SMT = ["11", "22", "44", "88"] * 2


def test_siblings_are_one_core(root: Path) -> None:
    put_cpus(root, SMT)
    assert cores(root) == 4


def test_affinity_narrows_cores(root: Path) -> None:
    put_cpus(root, SMT)
    assert cores(root, 0, 4) == 1
    assert cores(root, 0, 1, 2) == 3


def test_intel_hybrid_counts_performance_cores(root: Path) -> None:
    put_cpus(root, ["03", "03", "0c", "0c", "10", "20", "40", "80"])
    put(root, "sys/devices/cpu_core/cpus", "0-3\n")
    assert cores(root) == 2
    assert cores(root, 4, 5, 6) == 3  # only efficiency cores are left, so they have to do
    assert cores(root, 2, 3, 4) == 1


def test_arm_counts_large_cores(root: Path) -> None:
    put_cpus(root, [f"{1 << cpu:02x}" for cpu in range(8)])
    for cpu, capacity in enumerate([250, 250, 250, 250, 870, 870, 870, 1024]):
        put(root, f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity", f"{capacity}\n")
    assert cores(root) == 4


def test_unlike_cores_of_one_size_all_count(root: Path) -> None:
    put_cpus(root, ["1", "2"])
    for cpu in range(2):
        put(root, f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity", "1024\n")
    assert cores(root) == 2


def test_without_sysfs_the_fallback_counts(root: Path) -> None:
    assert count_performance_cores(root, affinity=None, fallback=6) == 6
    assert count_performance_cores(root, affinity=frozenset({0, 1}), fallback=6) == 2


@pytest.mark.parametrize(
    ("quota", "n"), [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("", 4)]
)
def test_v2_quota(root: Path, quota: str, n: int) -> None:
    put_cpus(root, SMT)
    put(root, "proc/self/cgroup", "0::/a\n")
    put(root, "sys/fs/cgroup/a/cpu.max", "max 100000\n")
    put(root, "sys/fs/cgroup/cpu.max", quota + "\n")
    assert cores(root) == n


@pytest.mark.parametrize(("quota", "n"), [("-1", 4), ("200000", 2), ("1000", 1)])
@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_v1_quota(root: Path, quota: str, n: int, mount: str) -> None:
    put_cpus(root, SMT)
    put(root, "proc/self/cgroup", "2:cpu,cpuacct:/a\n4:memory:/\n")
    put(root, f"sys/fs/cgroup/{mount}/a/cpu.cfs_quota_us", quota + "\n")
    put(root, f"sys/fs/cgroup/{mount}/a/cpu.cfs_period_us", "100000\n")
    assert cores(root) == n


@pytest.mark.parametrize(
    ("text", "cpus"), [("0-3", {0, 1, 2, 3}), ("0,2-3\n", {0, 2, 3}), ("7", {7}), ("", set()), ("x,1-", {1})]
)
def test_parse_cpu_list(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


# --- the whole machine --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class FakeFacts:
    devices: tuple[Device, ...] = ()
    cpu_description: str = "Fake CPU"
    llama_cpp_python: str = "0.3.36"
    llama_cpp_commit: str = "0c1e570"
    backends: tuple[Backend, ...] = ()


def answer(monkeypatch: pytest.MonkeyPatch, facts: FakeFacts | None, failure: str | None = None) -> None:
    monkeypatch.setattr(machine, "ask_in_child", lambda _: (facts, failure))


def test_machine_is_put_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Device("CUDA0", "RTX 3060", "gpu", "CUDA", 11 * GIB, 12 * GIB)
    answer(monkeypatch, FakeFacts((card,)))
    put(root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD Ryzen 5 5600X 6-Core Processor\n")
    put(root, "proc/driver/nvidia/version", "NVRM\n")
    found = machine.read_machine(root)
    assert found.cpu == "AMD Ryzen 5 5600X 6-Core Processor"
    assert (found.ram_total_bytes, found.ram_available_bytes) == (16 * GIB, 12 * GIB)
    assert found.devices == (card,)
    assert found.llama_cpp_commit == "0c1e570"
    assert found.n_performance_cores >= 1
    assert found.notes == ()


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (
            "proc/driver/nvidia/version",
            "an NVIDIA card is not used: this build of llama-cpp-python has no backend for it."
            ' Install it again: CMAKE_ARGS="-DGGML_CUDA=on" pip install',
        ),
        ("dev/kfd", "GGML_HIP"),
        ("dev/dri/renderD128", "GGML_VULKAN"),
    ],
)
def test_note_when_the_build_cannot_use_the_card(
    root: Path, monkeypatch: pytest.MonkeyPatch, trace: str, words: str
) -> None:
    answer(monkeypatch, FakeFacts((Device("BLAS", "OpenBLAS", "accel", "BLAS", 0, 0),)))
    put(root, trace, "")
    found = machine.read_machine(root)
    assert found.cpu == "Fake CPU"
    assert len(found.notes) == 1
    assert words in found.notes[0]


def test_no_note_about_a_card_where_another_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, FakeFacts((Device("Vulkan0", "RX 7600", "gpu", "Vulkan", 7 * GIB, 8 * GIB),)))
    put(root, "proc/driver/nvidia/version", "")
    assert machine.read_machine(root).notes == ()


def test_surroundings_are_recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device("CUDA0", "RTX 3060", "gpu", "CUDA", 11 * GIB, 12 * GIB, "0000:01:00.0")
    answer(monkeypatch, FakeFacts((device,), backends=(Backend("CUDA", 1), Backend("CPU", 1))))
    monkeypatch.setenv("GGML_CUDA_FORCE_MMQ", "1")
    monkeypatch.setattr(machine, "is_library_installed", lambda: False)
    put_pci(root, "0000:01:00.0", kind="30000", vendor="10DE", product="2504", driver="nvidia")
    put_drm(root, "0000:01:00.0", 0, {"DP-1": "connected"})
    put(root, "proc/version", "Linux version 5.15-microsoft-standard-WSL2\n")
    put(root, ".dockerenv", "")
    found = machine.read_machine(root)
    assert found.devices[0].has_display
    assert (found.is_wsl, found.is_container, found.is_on_battery) == (True, True, None)
    assert found.environment["GGML_CUDA_FORCE_MMQ"] == "1"
    assert [backend.name for backend in found.backends] == ["CUDA", "CPU"]
    assert (found.ram_installed_bytes, found.swap_used_bytes, found.failure) == (16 * GIB, 0, None)


def test_nvidias_library_is_asked_in_a_child_that_may_die(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, FakeFacts())
    put(root, "proc/driver/nvidia/version", "")
    monkeypatch.setattr(machine, "is_library_installed", lambda: True)
    monkeypatch.setattr(machine, "read_nvidia", functools.partial(os._exit, 139))
    found = machine.read_machine(root)
    assert found.driver_failure == "NVIDIA's management library ended the process that asked it."
    assert [card.name for card in found.cards] == ["an NVIDIA card"]


def test_devices_of_this_build_are_read() -> None:
    """Asks llama.cpp itself."""
    facts, failure = machine.ask_in_child(machine._read_backend)
    assert failure is None
    assert facts is not None
    built = {backend.name: backend for backend in facts.backends}
    assert built["CPU"].n_devices == 1
    assert "OPENMP" in built["CPU"].features or "ACCELERATE" in built["CPU"].features
    assert set(machine.read_processor(Path("/")).instruction_sets) & built["CPU"].features.keys()


def test_note_when_a_device_reports_no_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, FakeFacts((Device("Vulkan0", "llvmpipe", "gpu", "Vulkan", 0, 0),)))
    assert machine.read_machine(root).notes == (
        "Vulkan0 (llvmpipe) reports no memory, so nothing is put on it. Update its driver.",
    )


def test_notes_on_servers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Device("RPC0", "workshop:50052", "gpu", "RPC", 3 * GIB, 4 * GIB)
    vague = Device("RPC1", "attic:50052", "gpu", "RPC", 4 * GIB, 4 * GIB)
    answer(monkeypatch, FakeFacts((honest, vague)))
    put(root, "proc/driver/nvidia/version", "NVRM\n")
    first, second, third = machine.read_machine(root, rpc_servers=("workshop:50052", "attic:50052")).notes
    assert first == "RPC0 is on the server workshop:50052: 3.0 GiB of 4.0 GiB are free there."
    assert (
        second == "RPC1 is on the server attic:50052: all of its 4.0 GiB are free, it says. If not, use --vram-limit."
    )
    assert "GGML_CUDA" in third, "a server's device does not hide that this machine's own card is not used"


def test_servers_that_cannot_be_asked_are_no_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, None, "The driver broke.")
    with pytest.raises(EngineError, match=r"The devices of attic:50052 cannot be used\. The driver broke\."):
        machine.read_machine(root, rpc_servers=("attic:50052",))


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ServerError("No server.", "attic:50052")

    monkeypatch.setattr(machine, "ProcessPoolExecutor", DirectExecutor)
    with pytest.raises(ServerError, match="No server"):
        machine.ask_in_child(fail)  # type: ignore[arg-type]


def test_failure_to_ask_becomes_a_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, None, "The driver broke.")
    found = machine.read_machine(root)
    assert found.devices == ()
    assert found.failure == "The driver broke."
    (note,) = found.notes
    assert note.startswith("The driver broke. To install it again: pip install --force-reinstall")
    assert found.llama_cpp_commit == "unknown"


def test_a_child_that_dies_is_a_sentence_not_a_traceback() -> None:
    facts, failure = machine.ask_in_child(functools.partial(os._exit, 134))  # type: ignore[arg-type]
    assert facts is None
    assert failure is not None
    assert "llama.cpp ended its process when it was asked for devices" in failure


class DirectExecutor:
    """Stands for the process pool: calls at once, in this process."""

    def __init__(self, **_: object): ...

    def __enter__(self) -> "DirectExecutor":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: object) -> "DirectExecutor":
        self.function = function
        return self

    def result(self) -> object:
        return self.function()  # type: ignore[operator]


@pytest.mark.parametrize("error", [ImportError("libcuda.so.1 is missing"), EngineError("no backend"), OSError("x")])
def test_a_binding_that_does_not_load_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(machine, "ProcessPoolExecutor", DirectExecutor)
    facts, failure = machine.ask_in_child(fail)  # type: ignore[arg-type]
    assert facts is None
    assert failure is not None
    assert failure.startswith(f"llama-cpp-python does not load: {error}.")
