"""What llamabench itself needs: Python, folders, data, extras; and variables that change what llama.cpp does. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from llamabench.hardware.diagnosis.binding import uses_openmp
from llamabench.hardware.diagnosis.findings import Finding, Level, pip_of
from llamabench.hardware.installation import Folder, Installation
from llamabench.records import Machine
from llamabench.units import format_bytes

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 << 30, 200 << 20

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")
_NOTHING = ("", "-1", "none", "NoDevFiles")
_THREADS = ("OMP_", "GOMP_", "KMP_")
_BINDING_VARIABLES = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")


def check_python(_machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Names the Python that runs; one that is too old cannot install llamabench."""
    yield Finding("ok", "Python", f"Python {installation.python}.")


def check_folders(_machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Looks at the folders that are written to, and the room on their disks."""
    data, runs = installation.data, installation.runs
    yield from _check_folder(data, "imported data", "set LLAMABENCH_DATA to a folder that is yours", lacking="problem")
    yield from _check_folder(runs, "runs", "start llamabench elsewhere, or give --out", lacking="warning")


def check_data(_machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Looks at what is imported, and at the optional parts."""
    n_data_sets = installation.n_data_sets
    if installation.data_failure:
        yield Finding("problem", "data sets", installation.data_failure)
    elif n_data_sets:
        yield Finding("ok", "data sets", f"{n_data_sets} {'is' if n_data_sets == 1 else 'are'} imported.")
    else:
        advice = "For published ones: llamabench data list, and llamabench data import."
        yield Finding("note", "data sets", "None is imported: suites use their starter items.", advice)
    missing = {name: packages for name, packages in installation.extras.items() if packages}
    if missing:
        found = f"Optional parts that are not installed: {', '.join(missing)}."
        packages = " ".join(shlex.quote(package) for names in missing.values() for package in names)
        yield Finding("note", "extras", found, "To add them all:", f"{pip_of(installation)} install {packages}")


def check_environment(machine: Machine, _installation: Installation) -> Iterator[Finding]:
    """Looks at variables that change which devices are seen, how llama.cpp computes, or how threads wait."""
    for name, value in machine.environment.items():
        if name.startswith(_THREADS) and not uses_openmp(machine):
            continue
        yield _judge(name, value, machine)


def _judge(name: str, value: str, machine: Machine) -> Finding:
    subject, found = "variables", f"{name} is set to {value or 'nothing'}."
    if name in _VISIBLE and value.strip() in _NOTHING:
        return Finding("warning", subject, found, "It hides every card: unset it to use them.")
    if name == "OMP_WAIT_POLICY":
        is_passive = value.strip().lower() == "passive"
        cost = "single tokens take up to four times as long" if is_passive else "any other busy program slows it down"
        return Finding("warning", subject, found, f"Unset it, or {cost}: llamabench sets how long threads wait.")
    if name == "OMP_THREAD_LIMIT" and value.isdecimal() and int(value) < machine.n_performance_cores:
        return Finding("warning", subject, found, f"Unset it: {machine.n_performance_cores} threads are worth running.")
    if name == "GGML_CUDA_ENABLE_UNIFIED_MEMORY":
        advice = "What does not fit a card then goes to main memory, far slower, without an error."
        return Finding("warning", subject, found, advice)
    if name in _BINDING_VARIABLES:
        return Finding("note", subject, found, "It ties threads to processors: see that these are performance cores.")
    if name == "LLAMA_CPP_LIB_PATH":
        return Finding("note", subject, found, "llama.cpp is loaded from there, not from llama-cpp-python.")
    return Finding("note", subject, found, "It changes what llama.cpp does: compare only runs with the same.")


def _check_folder(folder: Folder, holds: str, way_out: str, *, lacking: Level) -> Iterator[Finding]:
    if not folder.is_writable:
        found = f"The folder of {holds} cannot be written: {folder.path}."
        yield Finding(lacking, "disk", found, f"Make it writable, or {way_out}.")
        return
    if folder.free_bytes is None:
        return
    found = f"{format_bytes(folder.free_bytes)} are free for {holds} in {folder.path}."
    if folder.free_bytes >= _LITTLE_BYTES:
        yield Finding("ok", "disk", found)
        return
    level: Level = "problem" if folder.free_bytes < _TOO_LITTLE_BYTES else "warning"
    yield Finding(level, "disk", found, f"Make room, or {way_out}.")
