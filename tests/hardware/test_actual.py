"""What llama.cpp took against what was planned."""

from __future__ import annotations

from dataclasses import replace

from llamabench.engine.process import PLAIN_PLAN
from llamabench.hardware.actual import find_excess
from llamabench.records import BufferBytes, DeviceBytes

MIB = 1 << 20
PLAN = replace(
    PLAIN_PLAN,
    is_mapped=False,
    layout=(DeviceBytes("CUDA0", 900 * MIB, 80 * MIB, 20 * MIB), DeviceBytes("CPU", 90 * MIB, 0, 10 * MIB, 300 * MIB)),
)


def buffers(on_card: int, on_host: int) -> list[BufferBytes]:
    return [
        BufferBytes("CUDA0", "CUDA0", False, on_card * MIB, 0, 0),
        BufferBytes("CUDA_Host", "CUDA0", True, on_host * MIB // 2, 0, 0),
        BufferBytes("CPU", "CPU", True, 0, 0, on_host * MIB // 2),
    ]


def test_what_was_planned_is_nothing_to_speak_of() -> None:
    assert find_excess(PLAN, buffers(1000, 100)) is None
    assert find_excess(PLAN, buffers(1020, 102)) is None
    assert find_excess(PLAN, []) is None
    assert find_excess(replace(PLAN, layout=()), buffers(5000, 5000)) is None


def test_more_than_planned_is_said_by_device() -> None:
    assert find_excess(PLAN, buffers(1022, 100)) == (
        "llama.cpp took more than planned: 1022.0 MiB on CUDA0 where 1000.0 MiB were planned."
    )
    both = find_excess(PLAN, buffers(2048, 200))
    assert both is not None
    assert "2.0 GiB on CUDA0 where 1000.0 MiB were planned, 200.0 MiB on CPU where 100.0 MiB" in both


def test_a_mapped_file_shows_whole_and_counts_as_it_is_used() -> None:
    assert find_excess(replace(PLAN, is_mapped=True), buffers(1000, 5000)) is None
