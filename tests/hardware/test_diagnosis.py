"""Every finding on recorded machines: where it must be, and where it must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from recorded import INSTALLATION, load_machine

from llamabench.hardware.diagnosis import Finding, diagnose
from llamabench.hardware.installation import Folder, Installation
from llamabench.records import Backend, Device, Machine, Processor

GIB = 1 << 30


def healthy() -> Machine:
    """A card that is used, nothing out of order."""
    machine = load_machine("nvidia_unused")
    device = Device("CUDA0", "NVIDIA GeForce RTX 3060", "gpu", "CUDA", 11 * GIB, 12 * GIB, "0000:01:00.0", True)
    return replace(machine, devices=(device,), backends=(Backend("CUDA", 1, {"ARCHS": "860"}), *machine.backends))


def processor_of(machine: Machine, **changes: Any) -> Machine:
    assert isinstance(machine.processor, Processor)
    return replace(machine, processor=replace(machine.processor, **changes))


def features(machine: Machine, name: str, **changes: str | None) -> Machine:
    def change(backend: Backend) -> Backend:
        if backend.name != name:
            return backend
        changed = {**backend.features, **changes}
        return replace(backend, features={key: value for key, value in changed.items() if value is not None})

    return replace(machine, backends=tuple(map(change, machine.backends)))


def find(machine: Machine, words: str, installation: Installation = INSTALLATION) -> list[Finding]:
    return [finding for finding in diagnose(machine, installation) if words in f"{finding.found} {finding.advice}"]


def test_nothing_is_wrong_with_a_healthy_machine() -> None:
    findings = diagnose(healthy(), INSTALLATION)
    assert {finding.level for finding in findings} == {"ok"}
    assert all(finding.advice is None and finding.command is None for finding in findings)
    assert {"Python", "llama.cpp", "instructions", "graphics", "cores", "memory", "disk", "data sets"} == {
        finding.subject for finding in findings
    }


def test_an_old_record_can_be_diagnosed() -> None:
    findings = diagnose(load_machine("no_gpu"), INSTALLATION)
    assert {finding.level for finding in findings} == {"ok", "note"}


MACHINES: list[tuple[str, str, str, str]] = [
    # machine, level, words, what its advice or command says
    ("nvidia_unused", "problem", "RTX 3060 is not used: this build", "GGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=86"),
    ("broken_driver", "problem", "Driver/library version mismatch", "Restart"),
    ("amd_closed", "problem", "you may not open its device file", "render,video"),
    ("container_without_its_card", "problem", "this container was not given it", "--gpus all"),
    ("container_without_its_card", "note", "limits memory to 6.0 of 16.0 GiB", "docker run --memory"),
    ("container_without_its_card", "warning", "allows 2.5 processors of 12", "--cpus"),
    ("gpu_without_memory", "problem", "reports no memory", "Update its driver"),
    ("apple_without_metal", "problem", "the graphics of Apple M1 is not used", "GGML_METAL=on"),
    ("intel_hybrid", "note", "Intel graphics 8086:a780 is not used", "GGML_VULKAN=on"),
    ("intel_hybrid", "ok", "6 threads, one for each performance core; 8 efficiency cores left out", ""),
    ("no_gpu", "note", "There is no graphics card", ""),
    ("laptop_on_battery", "warning", "runs on battery", "Plug it in"),
    ("laptop_on_battery", "note", "The processor also has AVX_VNNI", "GGML_NATIVE=on"),
    ("laptop_on_battery", "ok", "is used as CUDA0: 7.0 of 8.0 GiB free, driver 550.54.15", ""),
    ("wsl", "warning", "About 1 GiB of it can be pinned", "GGML_CUDA_NO_PINNED=1"),
    ("apple_without_metal", "ok", "runs on mains", ""),
]


@pytest.mark.parametrize(("name", "level", "words", "remedy"), MACHINES)
def test_recorded_machines(name: str, level: str, words: str, remedy: str) -> None:
    (finding,) = find(load_machine(name), words)
    assert finding.level == level
    assert remedy in f"{finding.advice} {finding.command}"
    if level != "ok":
        assert find(healthy(), words) == []


@pytest.mark.parametrize("name", sorted({name for name, *_ in MACHINES} - {"laptop_on_battery", "intel_hybrid"}))
def test_only_what_is_wrong_is_a_problem(name: str) -> None:
    expected = {words for machine, level, words, _ in MACHINES if (machine, level) == (name, "problem")}
    problems = [finding for finding in diagnose(load_machine(name), INSTALLATION) if finding.level == "problem"]
    assert len(problems) == len(expected)


CHANGED: list[tuple[str, Callable[[Machine], Machine], str, str]] = [
    ("AVX2 not built", lambda m: features(m, "CPU", AVX2=None), "warning", "has AVX2, which this build"),
    ("built elsewhere", lambda m: features(m, "CPU", AVX512="1"), "problem", "was built for AVX512"),
    (
        "old processor",
        lambda m: processor_of(features(m, "CPU", AVX2=None, FMA=None, BMI2=None), instruction_sets=("AVX", "F16C")),
        "warning",
        "The processor has no AVX2",
    ),
    ("other cards", lambda m: features(m, "CUDA", ARCHS="890,900"), "problem", "compute capability 8.6; the build"),
    ("confined", lambda m: processor_of(m, is_confined=True), "warning", "efficiency cores only"),
    ("taskset", lambda m: processor_of(m, n_logical_allowed=4), "note", "4 of 12 logical processors"),
    ("little memory", lambda m: replace(m, ram_available_bytes=GIB), "warning", "1.0 of 16.0 GiB of memory"),
    ("no memory", lambda m: replace(m, ram_available_bytes=GIB // 4), "problem", "256.0 MiB of 16.0 GiB of memory"),
    ("swapping", lambda m: replace(m, swap_used_bytes=2 * GIB), "warning", "2.0 GiB are swapped out"),
    ("busy card", lambda m: replace(m, devices=(replace(m.devices[0], free_bytes=5 * GIB),)), "warning", "hold most"),
    ("hidden", lambda m: replace(m, environment={"CUDA_VISIBLE_DEVICES": ""}), "warning", "hides every card"),
    ("one card", lambda m: replace(m, environment={"CUDA_VISIBLE_DEVICES": "0"}), "note", "CUDA_VISIBLE_DEVICES"),
    ("passive", lambda m: replace(m, environment={"OMP_WAIT_POLICY": "PASSIVE"}), "warning", "four times"),
    ("active", lambda m: replace(m, environment={"OMP_WAIT_POLICY": "active"}), "warning", "busy program"),
    ("few threads", lambda m: replace(m, environment={"OMP_THREAD_LIMIT": "2"}), "warning", "6 threads are worth"),
    ("enough", lambda m: replace(m, environment={"OMP_THREAD_LIMIT": "8"}), "note", "OMP_THREAD_LIMIT is set to 8"),
    ("bound", lambda m: replace(m, environment={"OMP_PROC_BIND": "true"}), "note", "ties threads"),
    ("spill", lambda m: replace(m, environment={"GGML_CUDA_ENABLE_UNIFIED_MEMORY": "1"}), "warning", "far slower"),
    ("library", lambda m: replace(m, environment={"LLAMA_CPP_LIB_PATH": "/opt"}), "note", "loaded from there"),
    ("setting", lambda m: replace(m, environment={"GGML_CUDA_FORCE_MMQ": "1"}), "note", "compare only runs"),
    ("silent library", lambda m: replace(m, driver_failure="It broke."), "note", "It broke. llama.cpp uses the card"),
    ("does not load", lambda m: replace(m, failure="It does not load: x."), "problem", "It does not load: x."),
    ("WSL", lambda m: replace(m, devices=(), cards=(), is_wsl=True), "note", "Linux inside Windows"),
]


@pytest.mark.parametrize(("change", "level", "words"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_what_a_change_does(change: Callable[[Machine], Machine], level: str, words: str) -> None:
    assert find(healthy(), words) == []
    (finding,) = find(change(healthy()), words)
    assert finding.level == level


def test_nobody_is_sent_to_build_what_breaks() -> None:
    machine = load_machine("laptop_on_battery")
    assert machine.processor is not None
    uses = dict.fromkeys(machine.processor.instruction_sets, "1")
    processor = replace(machine.processor, instruction_sets=(*machine.processor.instruction_sets, "AMX_INT8"))
    machine = replace(machine, processor=processor, backends=(Backend("CPU", 1, uses),))
    (finding,) = [one for one in diagnose(machine, INSTALLATION) if one.subject == "instructions"]
    assert finding.level == "ok"
    assert "AMX_INT8 is better left out" in finding.found
    assert finding.command is None


def test_swap_of_a_few_pages_is_nothing() -> None:
    assert find(replace(healthy(), swap_used_bytes=GIB // 2), "swapped out") == []


def test_threads_of_another_kind_do_not_heed_openmp() -> None:
    machine = replace(features(healthy(), "CPU", OPENMP=None), environment={"OMP_WAIT_POLICY": "passive"})
    assert find(machine, "OMP_WAIT_POLICY") == []


def test_newer_cards_run_what_was_built_for_older_ones() -> None:
    assert find(features(healthy(), "CUDA", ARCHS="500,750"), "compute capability 8.6; the build") == []
    assert find(features(healthy(), "CUDA", ARCHS="native"), "compute capability 8.6; the build") == []


def test_a_second_card_that_is_not_used_is_no_problem() -> None:
    machine = healthy()
    amd = replace(load_machine("amd_closed").cards[0], access="open")
    (finding,) = find(replace(machine, cards=(*machine.cards, amd)), "AMD graphics 1002:744c is not used")
    assert finding.level == "note"


@pytest.mark.parametrize(("driver", "level"), [("amdgpu", "problem"), (None, "warning")])
def test_a_driver_in_vain_is_a_problem(driver: str | None, level: str) -> None:
    card = replace(load_machine("amd_closed").cards[0], access="open", driver=driver)
    (finding,) = find(replace(load_machine("nvidia_unused"), cards=(card,)), "is not used")
    assert finding.level == level
    integrated = replace(card, is_integrated=True)
    (finding,) = find(replace(load_machine("nvidia_unused"), cards=(integrated,)), "is not used")
    assert finding.level == "warning"


def test_graphics_in_the_processor_do_not_count_beside_a_card() -> None:
    assert find(load_machine("laptop_on_battery"), "Intel graphics") == []


def test_pinned_memory_that_is_switched_off() -> None:
    machine = replace(load_machine("wsl"), environment={"GGML_CUDA_NO_PINNED": "1"})
    assert find(machine, "About 1 GiB of it can be pinned") == []


INSTALLED: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("no binding", {"binding": None}, "problem", "llama-cpp-python is not installed", "Install it:"),
    ("no compiler", {"binding": None, "tools": {}}, "problem", "llama-cpp-python is not installed", "C++ compiler"),
    ("other version", {"binding": "0.4.0", "is_tested": False}, "warning", "was tested with", "<0.3.37"),
    ("closed folder", {"data": Folder("/data", False, None)}, "problem", "cannot be written: /data", "LLAMABENCH_DATA"),
    ("closed here", {"runs": Folder("/runs", False, None)}, "warning", "cannot be written: /runs", "--out"),
    ("little room", {"runs": Folder("/runs", True, GIB)}, "warning", "1.0 GiB are free for runs", "Make room"),
    ("no room", {"data": Folder("/data", True, 1 << 20)}, "problem", "1.0 MiB are free for imported", "Make room"),
    ("no data", {"n_data_sets": 0}, "note", "None is imported", "llamabench data import"),
    ("bad data", {"data_failure": "It cannot be read."}, "problem", "It cannot be read.", ""),
    ("extras", {"extras": {"nvml": ("nvidia-ml-py>=12",)}}, "note", "not installed: nvml", "'nvidia-ml-py>=12'"),
]


@pytest.mark.parametrize(
    ("changes", "level", "words", "remedy"), [row[1:] for row in INSTALLED], ids=[row[0] for row in INSTALLED]
)
def test_what_is_installed(changes: dict[str, Any], level: str, words: str, remedy: str) -> None:
    assert find(healthy(), words) == []
    (finding,) = find(healthy(), words, replace(INSTALLATION, **changes))
    assert finding.level == level
    assert remedy in f"{finding.advice} {finding.command}"


def test_a_disk_that_does_not_say() -> None:
    installation = replace(INSTALLATION, data=Folder("/data", True, None), runs=Folder("/runs", True, None))
    assert [finding for finding in diagnose(healthy(), installation) if finding.subject == "disk"] == []


def test_a_failure_hides_what_is_not_known() -> None:
    machine = replace(load_machine("nvidia_unused"), failure="It ended its process.", backends=())
    findings = diagnose(machine, INSTALLATION)
    assert [finding.subject for finding in findings if finding.level == "problem"] == ["llama.cpp"]
    assert not any(finding.subject == "graphics" for finding in findings)


def test_paths_with_blanks_are_quoted() -> None:
    (finding,) = find(
        load_machine("nvidia_unused"), "has no backend", replace(INSTALLATION, executable="/my env/python")
    )
    assert finding.command is not None
    assert "'/my env/python' -m pip install" in finding.command
