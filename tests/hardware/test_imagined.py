"""Machines that are not there, and quantizations that a model could have."""

from __future__ import annotations

import pytest
from recorded import load_machine, make_model

from llamabench.hardware.catalogue import find_card
from llamabench.hardware.imagined import imagine_machine
from llamabench.hardware.quants import BITS_PER_WEIGHT, list_other_quants

GIB = 1 << 30


def test_memory_alone_leaves_the_devices_as_they_are() -> None:
    here = load_machine("nvidia_12gb")
    machine = imagine_machine(here, ram_bytes=8 * GIB)
    assert (machine.ram_total_bytes, machine.ram_available_bytes) == (8 * GIB, 8 * GIB)
    assert machine.devices == here.devices
    assert machine.notes == here.notes


def test_cards_replace_the_devices_and_are_numbered_by_backend() -> None:
    cards = [find_card("RTX 3090"), find_card("RX 7900 XTX"), find_card("RTX 4090")]
    machine = imagine_machine(load_machine("nvidia_12gb"), cards=cards, vram_bytes=[6 * GIB])
    assert [device.name for device in machine.devices] == ["CUDA0", "Vulkan0", "CUDA1", "CUDA2"]
    assert machine.devices[-1].total_bytes == 6 * GIB
    (note,) = machine.notes
    assert "not of this machine" in note


def test_a_chip_shares_the_memory_that_is_named() -> None:
    (small,) = imagine_machine(load_machine("no_gpu"), cards=[find_card("Apple M2")], ram_bytes=16 * GIB).devices
    assert small.total_bytes == 16 * GIB * 2 // 3
    (large,) = imagine_machine(load_machine("no_gpu"), cards=[find_card("Apple M2 Max")], ram_bytes=64 * GIB).devices
    assert large.total_bytes == 48 * GIB


def test_other_quantizations_are_smaller_and_larger() -> None:
    model = make_model()
    others = {other.quant: other for other in list_other_quants(model)}
    assert others.keys() == BITS_PER_WEIGHT.keys() - {"Q4_K_M"}
    sizes = [other.model.size_bytes for other in others.values()]
    assert sizes == sorted(sizes)
    # sizes of Llama 3.1 8B in llama.cpp's tools/quantize/README.md: 2.95 and 7.95 where Q4_K_M has 4.58
    assert others["Q2_K"].model.size_bytes / model.size_bytes == pytest.approx(2.95 / 4.58, rel=0.01)
    assert others["Q8_0"].ratio == pytest.approx(7.95 / 4.58, rel=0.01)
    assert sum(others["F16"].model.layer_bytes) == pytest.approx(sum(model.layer_bytes) * others["F16"].ratio, rel=1e-6)
