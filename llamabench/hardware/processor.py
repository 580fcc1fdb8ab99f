"""The processor: its name, its instruction sets, and how many of its cores this process may use."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psutil

from llamabench.hardware.cores import count_by_kind, count_performance_cores, read_quota
from llamabench.records import Processor

_X86_FLAGS = {
    "SSE3": ("pni",),
    "SSSE3": ("ssse3",),
    "AVX": ("avx",),
    "AVX2": ("avx2",),
    "F16C": ("f16c",),
    "FMA": ("fma",),
    "BMI2": ("bmi2",),
    "AVX_VNNI": ("avx_vnni",),
    "AVX512": ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    "AVX512_VBMI": ("avx512vbmi",),
    "AVX512_VNNI": ("avx512_vnni",),
    "AVX512_BF16": ("avx512_bf16",),
    "AMX_INT8": ("amx_int8",),
}
_ARM_FLAGS = {
    "NEON": ("asimd",),
    "FP16_VA": ("asimdhp",),
    "DOTPROD": ("asimddp",),
    "MATMUL_INT8": ("i8mm",),
    "SVE": ("sve",),
}
"""ggml's names (`ggml_backend_cpu_get_features` in `ggml-cpu.cpp`) and the flags of Linux that each of them needs."""

INSTRUCTION_SETS = frozenset((*_X86_FLAGS, *_ARM_FLAGS))
"""All that are looked for."""

_APPLE_FLAGS = {
    "hw.optional.arm.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
}
_INTEL_MAC_FLAGS = {"sse3": "pni", "avx1.0": "avx"}


def read_processor(root: Path) -> Processor:
    """Reads what decides how fast llama.cpp is on the processor.

    Args:
        root: Where `/proc` and `/sys` are looked for; on macOS the system is asked instead.
    """
    affinity = _affinity()
    cores = count_by_kind(root, affinity)
    n_logical = os.cpu_count() or 1
    return Processor(
        architecture=platform.machine(),
        instruction_sets=name_instruction_sets(_read_flags(root)),
        n_logical=n_logical,
        n_logical_allowed=len(affinity) if affinity else n_logical,
        n_efficiency_cores=cores.n_efficiency if cores else int(ask_sysctl("hw.perflevel1.physicalcpu") or 0),
        is_confined=cores is not None and cores.is_confined,
        quota=read_quota(root),
        is_translated=ask_sysctl("sysctl.proc_translated") == "1",
    )


def read_performance_cores(root: Path) -> int:
    """Counts the physical performance cores that this process may run on, within its quota."""
    fallback = ask_sysctl("hw.perflevel0.physicalcpu") or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return count_performance_cores(root, affinity=_affinity(), fallback=int(fallback))


def read_cpu_name(root: Path) -> str | None:
    """The processor's name from `/proc/cpuinfo`; on macOS from the system."""
    return _read_cpuinfo(root, "model name") or ask_sysctl("machdep.cpu.brand_string")


def name_instruction_sets(flags: frozenset[str]) -> tuple[str, ...]:
    """Translates a processor's flags into ggml's names for instruction sets.

    >>> name_instruction_sets(frozenset({"avx", "avx2", "avx512f"}))
    ('AVX', 'AVX2')

    Args:
        flags: Names as in `/proc/cpuinfo`.

    Returns:
        Those instruction sets that matter to llama.cpp and have all flags that they need.
    """
    known = _ARM_FLAGS if "asimd" in flags else _X86_FLAGS
    return tuple(name for name, needed in known.items() if flags.issuperset(needed))


def ask_sysctl(name: str) -> str | None:
    """One value of macOS's sysctl, None elsewhere and where it has none."""
    if platform.system() != "Darwin":
        return None
    answer = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _affinity() -> frozenset[int] | None:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _read_flags(root: Path) -> frozenset[str]:
    listed = _read_cpuinfo(root, "flags") or _read_cpuinfo(root, "Features")
    if listed:
        return frozenset(listed.split())
    intel = f"{ask_sysctl('machdep.cpu.features') or ''} {ask_sysctl('machdep.cpu.leaf7_features') or ''}".lower()
    apple = {flag for name, flag in _APPLE_FLAGS.items() if ask_sysctl(name) == "1"}
    return frozenset(apple | {_INTEL_MAC_FLAGS.get(flag, flag) for flag in intel.split()})


def _read_cpuinfo(root: Path, key: str) -> str | None:
    """The first value of a line of `/proc/cpuinfo`."""
    path = root / "proc/cpuinfo"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key and value.strip():
            return value.strip()
    return None
