"""What is installed beside llama.cpp: Python, packages, compilers, and room on the disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llamabench.data.cache import data_folder, list_installed
from llamabench.errors import DataError
from llamabench.extras import read_extras, read_requirements

_BINDING = "llama-cpp-python"
_TOOLS = {
    "nvcc": ("usr/local/cuda/bin/nvcc",),
    "hipcc": ("opt/rocm/bin/hipcc",),
    "glslc": (),
    "icpx": ("opt/intel/oneapi/compiler/latest/bin/icpx",),
    "c++": (),
}
"""Compilers by name, and where they also stand when the search path does not have them."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is written to.

    Attributes:
        path: Where it is, or will be made.
        is_writable: Whether it can be written, or made.
        free_bytes: Room on its disk, None where the system does not say.
    """

    path: str
    is_writable: bool
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class Installation:
    """What is installed on a machine.

    Attributes:
        python: Version of Python.
        executable: Path of Python.
        binding: Version of llama-cpp-python, None without it.
        requirement: Which versions of it this llamabench was tested with, as pip writes it.
        is_tested: Whether that version is one of them.
        tools: Paths of compilers by name; those on the search path by their bare name.
        extras: Optional parts of llamabench, and the packages that each of them lacks, as pip writes them.
        data: The folder of imported data.
        runs: The folder of runs.
        n_data_sets: Data sets that are imported.
        data_failure: Why they cannot be read.
        fault: Why llama.cpp cannot compute with a tiny quantized model; None when it can, or nobody tried.
    """

    python: str
    executable: str
    binding: str | None
    requirement: str
    is_tested: bool
    data: Folder
    runs: Folder
    tools: Mapping[str, str] = field(default_factory=dict)
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    n_data_sets: int = 0
    data_failure: str | None = None
    fault: str | None = None


def read_installation(runs: Path, root: Path = Path("/")) -> Installation:
    """Reads what is installed.

    Args:
        runs: The folder of runs.
        root: Where compilers are looked for that are not on the search path.
    """
    binding = _version(_BINDING)
    tested = next((entry for entry in read_requirements() if entry.name == _BINDING), None)
    try:
        n_data_sets, data_failure = len(list_installed()), None
    except DataError as exc:
        n_data_sets, data_failure = 0, str(exc)
    return Installation(
        python=platform.python_version(),
        executable=sys.executable,
        binding=binding,
        requirement=f"{_BINDING}{tested.specifier}" if tested else _BINDING,
        is_tested=binding is not None and (tested is None or tested.specifier.contains(binding, prereleases=True)),
        data=read_folder(data_folder()),
        runs=read_folder(runs),
        tools=dict(_find_tools(root)),
        extras=_find_lacking(),
        n_data_sets=n_data_sets,
        data_failure=data_failure,
    )


def read_folder(path: Path) -> Folder:
    """Reads whether a folder can be written, or made where it is not there yet, and the room on its disk."""
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        free_bytes = shutil.disk_usage(existing).free
    except OSError:
        free_bytes = None
    is_writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Folder(str(path.absolute()), is_writable, free_bytes)


def _find_lacking() -> dict[str, tuple[str, ...]]:
    """Each extra, and those of its packages that are not installed."""
    return {
        name: tuple(f"{entry.name}{entry.specifier}" for entry in asked if _version(entry.name) is None)
        for name, asked in read_extras().items()
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _find_tools(root: Path) -> Iterator[tuple[str, str]]:
    for name, places in _TOOLS.items():
        if shutil.which(name):
            yield name, name
            continue
        elsewhere = [str(root / place) for place in places if (root / place).is_file()]
        if elsewhere:
            yield name, elsewhere[0]
