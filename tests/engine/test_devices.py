"""Which devices count, and which of them llama.cpp spreads layers over; on machines that are made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from llamabench.engine.llama import library
from llamabench.records import Device, DeviceKind

KINDS: dict[DeviceKind, int] = {"cpu": 0, "gpu": 1, "igpu": 2, "accel": 3}


class Card(NamedTuple):
    """A device as ggml tells of it."""

    name: str
    kind: DeviceKind
    backend: str
    identity: bytes | None = None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts devices into the machine; their handles count from 1."""

    def build(*cards: Card) -> None:
        def properties(handle: int, target: Any) -> None:
            card, told = cards[handle - 1], target._obj
            if card.identity:
                kept.append(library.ctypes.create_string_buffer(card.identity))
                told.device_id = library.ctypes.addressof(kept[-1])

        kept: list[Any] = []
        functions: dict[str, Any] = {
            "ggml_backend_dev_count": lambda: len(cards),
            "ggml_backend_dev_get": lambda index: index + 1,
            "ggml_backend_dev_type": lambda handle: KINDS[cards[handle - 1].kind],
            "ggml_backend_dev_get_props": properties,
        }

        def read(handle: int) -> Device:
            card = cards[handle - 1]
            return Device(card.name, card.name, card.kind, card.backend, 1, 1)

        monkeypatch.setattr(library, "ggml", lambda name, *_: functions[name])
        monkeypatch.setattr(library, "_read_device", read)

    return build


CPU = Card("CPU", "cpu", "CPU")
CUDA = Card("CUDA0", "gpu", "CUDA", b"0000:01:00.0")
SAME_CARD = Card("Vulkan0", "gpu", "Vulkan", b"0000:01:00.0")
OTHER_CARD = Card("Vulkan1", "gpu", "Vulkan", b"0000:02:00.0")
NAMELESS = Card("Metal", "gpu", "MTL")
INTEGRATED = Card("Vulkan2", "igpu", "Vulkan", b"0000:00:02.0")
SEEN_TWICE = Card("SYCL0", "igpu", "SYCL", b"0000:00:02.0")


@pytest.mark.parametrize(
    ("cards", "listed", "used"),
    [
        ((CPU,), [1], []),
        ((CPU, CUDA), [1, 2], [2]),
        ((CUDA, SAME_CARD, OTHER_CARD, CPU), [1, 3, 4], [1, 3]),
        ((NAMELESS, NAMELESS, CPU), [1, 2, 3], [1, 2]),
        ((INTEGRATED, CUDA, CPU), [1, 2, 3], [2]),
        ((INTEGRATED, SEEN_TWICE, INTEGRATED, CPU), [1, 2, 3, 4], [1, 3]),
    ],
)
def test_devices_are_those_that_llama_cpp_would_take(
    machine: Callable[..., None], cards: tuple[Card, ...], listed: list[int], used: list[int]
) -> None:
    machine(*cards)
    assert library.list_devices() == listed
    assert library.offload_handles() == used
