"""Cards by name: what people write, what drivers say, and whether each entry can be."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from llamabench.errors import UnknownNameError
from llamabench.hardware.catalogue import Card, card_of_device, find_card, list_cards, virtual_device
from llamabench.records import Device

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtx 3060 12gb", "RTX 3060 12 GB"),
        ("RTX3060 8G", "RTX 3060 8 GB"),
        ("GeForce RTX 3060 12 GiB", "RTX 3060 12 GB"),
        ("3060ti", "RTX 3060 Ti"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("nvidia geforce rtx 4090 24gb", "RTX 4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop"),
        ("rtx 4090 mobile", "RTX 4090 Laptop"),
        ("RTX 2070 Max-Q Laptop", None),
        ("4070 ti super", "RTX 4070 Ti SUPER"),
        ("RTX 4070 TI", "RTX 4070 Ti"),
        ("geforce gtx 1060", "GTX 1060 6 GB"),
        ("RTX PRO 6000", "RTX PRO 6000 Blackwell"),
        ("RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("A100-SXM4-80GB", "A100 80 GB"),
        ("H100 80GB HBM3", "H100 SXM"),
        ("DGX Spark", "GB10"),
        ("7900 xtx", "RX 7900 XTX"),
        ("AMD Radeon RX 7900XT", "RX 7900 XT"),
        ("780m", "Radeon 780M"),
        ("ryzen ai max+ 395", "Radeon 8060S"),
        ("a770", "Arc A770"),
        ("Intel Iris Xe Graphics", "Iris Xe"),
        ("Apple M2 Pro", "Apple M2 Pro"),
        ("m1", "Apple M1"),
        ("m4 max 40-core", "Apple M4 Max 40c"),
        ("M4 Max 128GB", "Apple M4 Max 40c"),
    ],
)
def test_names_as_people_write_them(text: str, name: str | None) -> None:
    if name is None:
        with pytest.raises(UnknownNameError):
            find_card(text)
    else:
        assert find_card(text).name == name


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("RTX 3060", ["RTX 3060 12 GB", "RTX 3060 8 GB"]),
        ("4060 ti", ["RTX 4060 Ti 8 GB", "RTX 4060 Ti 16 GB"]),
        ("Apple M4 Max", ["Apple M4 Max 32c", "Apple M4 Max 40c"]),
        ("A100", ["A100 40 GB", "A100 80 GB"]),
    ],
)
def test_names_of_several_are_asked_back(text: str, named: list[str]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_card(text)
    assert str(caught.value) == f'"{text}" may be any of these: {", ".join(named)}. Name one of them.'


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("RTX 4050", ["RTX 4050 Laptop"]),
        ("rx 7900", ["RX 7900 GRE", "RX 7900 XT", "RX 7900 XTX"]),
        ("RTX 3090 12 GB", ["RTX 3090", "RTX 3090 Ti"]),
        ("rtx 4080 supper", ["RTX 4080 SUPER"]),
        ("RTX 3060 Ti 24 GB", ["RTX 3060 Ti"]),
        ("RTX 6000", ["RTX PRO 6000 Blackwell", "RTX 6000 Ada"]),
        ("quantum 9", []),
        ("rtx", []),
        ("", []),
        ("()", []),
        ("99999999999999999999999999 gb", []),
    ],
)
def test_unknown_names_say_what_is_near(text: str, near: list[str]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        find_card(text)
    message = str(caught.value)
    assert message.startswith(f'No graphics card called "{text}" is in the catalogue.')
    assert all(name in message for name in near)
    assert ("Near it are" in message) == bool(near)
    assert message.endswith("--vram 8G.")


def test_memory_of_a_chip_that_shares_it_is_the_hosts() -> None:
    assert find_card("Apple M2 Pro").memory_bytes == 32 * GIB
    assert find_card("Apple M2 Pro 16GB").memory_bytes == 16 * GIB
    assert find_card("Radeon 780M").memory_bytes is None
    assert find_card("Radeon 780M 64 GB").memory_bytes == 64 * GIB
    with pytest.raises(UnknownNameError):
        find_card("Apple M1 64GB")


# --- what drivers say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "gib", "name"),
    [
        ("NVIDIA GeForce RTX 3060", 11.8, "RTX 3060 12 GB"),
        ("NVIDIA GeForce RTX 3060", 7.8, "RTX 3060 8 GB"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 5.8, "RTX 3060 Laptop"),
        ("NVIDIA GeForce RTX 4060 Ti", 15.6, "RTX 4060 Ti 16 GB"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 95, "RTX PRO 6000 Blackwell"),
        ("NVIDIA A100-PCIE-40GB", 39.4, "A100 40 GB"),
        ("NVIDIA H100 80GB HBM3", 79.2, "H100 SXM"),
        ("Tesla T4", 14.7, "Tesla T4"),
        ("NVIDIA GB10", 119, "GB10"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", 24, "RX 7900 XTX"),
        ("AMD Radeon 780M (RADV PHOENIX)", 15.6, "Radeon 780M"),
        ("AMD Ryzen 7 7840U w/ Radeon 780M Graphics", 12, "Radeon 780M"),
        ("Radeon 8060S Graphics (RADV GFX1151)", 96, "Radeon 8060S"),
        ("Intel(R) Arc(tm) A770 Graphics (DG2)", 15.9, "Arc A770"),
        ("Intel(R) Iris(R) Xe Graphics (TGL GT2)", 7.6, "Iris Xe"),
        ("Apple M2", 10.7, "Apple M2"),
        ("Apple M3 Max", 27, "Apple M3 Max 30c"),
        ("llvmpipe (LLVM 17.0.6, 256 bits)", 0, None),
        ("AMD Radeon Graphics", 16, None),
        ("NVIDIA GeForce RTX 4090 D", 24, None),
        ("NVIDIA GeForce RTX 9090", 64, None),
        ("127.0.0.1:50052", 8, None),
        ("", 8, None),
    ],
)
def test_devices_as_ggml_describes_them(description: str, gib: float, name: str | None) -> None:
    card = card_of_device(Device("X0", description, "gpu", "X", 0, int(gib * GIB)))
    assert (card and card.name) == name


@pytest.mark.parametrize("card", list_cards(), ids=lambda card: card.name)
def test_each_card_is_found_by_its_name_and_as_a_device(card: Card) -> None:
    assert find_card(card.name) == card
    assert card_of_device(virtual_device(card)) == card


@pytest.mark.parametrize(
    ("name", "ram_gib", "device"),
    [
        ("RTX 3060 12GB", 64, Device("CUDA0", "RTX 3060 12 GB", "gpu", "CUDA", 12 * GIB, 12 * GIB)),
        ("RX 7900 XTX", 64, Device("Vulkan0", "RX 7900 XTX", "gpu", "Vulkan", 24 * GIB, 24 * GIB)),
        ("Arc B580", None, Device("Vulkan0", "Arc B580", "gpu", "Vulkan", 12 * GIB, 12 * GIB)),
        ("M2 Pro", 18, Device("MTL0", "Apple M2 Pro", "gpu", "MTL", 12 * GIB, 12 * GIB)),
        ("M2 Max", 64, Device("MTL0", "Apple M2 Max", "gpu", "MTL", 48 * GIB, 48 * GIB)),
        ("M3 Pro", None, Device("MTL0", "Apple M3 Pro", "gpu", "MTL", 24 * GIB, 24 * GIB)),
        ("M4 Pro 48GB", None, Device("MTL0", "Apple M4 Pro", "gpu", "MTL", 36 * GIB, 36 * GIB)),
        ("780M", 32, Device("Vulkan0", "Radeon 780M", "igpu", "Vulkan", 16 * GIB, 16 * GIB)),
        ("780M", None, Device("Vulkan0", "Radeon 780M", "igpu", "Vulkan", 8 * GIB, 8 * GIB)),
        ("GB10", 128, Device("CUDA0", "GB10", "igpu", "CUDA", 128 * GIB, 128 * GIB)),
    ],
)
def test_devices_that_are_not_there(name: str, ram_gib: int | None, device: Device) -> None:
    ram_bytes = None if ram_gib is None else ram_gib * GIB
    assert virtual_device(find_card(name), ram_bytes=ram_bytes) == device


def test_devices_are_numbered() -> None:
    assert virtual_device(find_card("RTX 4090"), index=1).name == "CUDA1"


# --- the catalogue itself -----------------------------------------------------------------------


def test_names_are_given_once() -> None:
    names = Counter(card.name.lower() for card in list_cards())
    assert [name for name, n in names.items() if n > 1] == []


@pytest.mark.parametrize("card", list_cards(), ids=lambda card: card.name)
def test_entries_can_be(card: Card) -> None:
    assert card.vendor in {"nvidia", "amd", "intel", "apple"}
    assert card.form in {"desktop", "laptop", "server", "soc", "igpu"}
    assert card.memory in {"dedicated", "unified", "shared"}
    assert (card.memory_bytes is None) == (card.form == "igpu")
    assert card.memory_bytes is None or 4 * GIB <= card.memory_bytes <= 512 * GIB
    assert ("Laptop" in card.name) == (card.form == "laptop")
    assert 50 <= card.bandwidth_gb_s <= 5000
    assert 1.5 <= card.fp32_tflops <= 130
    assert card.tdp_w is None or 15 <= card.tdp_w <= 700
    assert (card.compute_capability is None) == (card.vendor != "nvidia")
    assert card.compute_capability is None or re.fullmatch(r"\d+\.\d", card.compute_capability)


@pytest.mark.parametrize("card", [card for card in list_cards() if card.bus_bits], ids=lambda card: card.name)
def test_bandwidth_is_bus_times_rate(card: Card) -> None:
    """Gigabits per second and pin: GDDR5 to GDDR7 on narrow buses, HBM on wide ones, DDR and LPDDR beside a chip."""
    assert card.bus_bits is not None
    rate = card.bandwidth_gb_s * 8 / card.bus_bits
    if card.shares_memory:
        low, high = 3.0, 9.0
    elif card.bus_bits > 1024:
        low, high = 2.0, 7.0
    else:
        low, high = 6.9, 30.1
    assert low <= rate <= high


def test_bandwidth_of_memory_shared_with_an_apple_chip_grows_with_the_chip() -> None:
    for generation in ("M1", "M2", "M3", "M4", "M5"):
        chips = [card for card in list_cards() if card.name.startswith(f"Apple {generation}")]
        assert [card.bandwidth_gb_s for card in chips] == sorted(card.bandwidth_gb_s for card in chips)
        assert [card.fp32_tflops for card in chips] == sorted(card.fp32_tflops for card in chips)
