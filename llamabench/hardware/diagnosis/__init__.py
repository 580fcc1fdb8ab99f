"""What is right and wrong with a machine and what is installed on it. Pure."""

from __future__ import annotations

from llamabench.hardware.diagnosis.binding import (
    check_binding,
    check_cuda_targets,
    check_instruction_sets,
    check_trial,
)
from llamabench.hardware.diagnosis.findings import Finding, Level
from llamabench.hardware.diagnosis.graphics import check_graphics
from llamabench.hardware.diagnosis.host import check_cores, check_memory, check_system
from llamabench.hardware.diagnosis.setting import check_data, check_environment, check_folders, check_python
from llamabench.hardware.installation import Installation
from llamabench.records import Machine

__all__ = ["Finding", "Level", "diagnose"]

_CHECKS = (
    check_python,
    check_binding,
    check_trial,
    check_instruction_sets,
    check_graphics,
    check_cuda_targets,
    check_cores,
    check_memory,
    check_system,
    check_environment,
    check_folders,
    check_data,
)


def diagnose(machine: Machine, installation: Installation) -> tuple[Finding, ...]:
    """Looks at a machine and what is installed on it.

    Args:
        machine: The machine.
        installation: What is installed.

    Returns:
        What was found, subject by subject.
    """
    return tuple(finding for check in _CHECKS for finding in check(machine, installation))
