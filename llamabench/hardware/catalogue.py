"""Graphics cards and chips by name: what they hold and how fast they are, for hardware that is not there.

The facts are the makers' own and stand in `catalogue.csv`. Laptop cards have the arithmetic of their base power: how
much power a laptop grants differs. The bandwidth of integrated graphics is that of the usual memory beside them.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from llamabench.errors import UnknownNameError
from llamabench.records import Device

_GIB = 1 << 30
_N_NEAR = 5

_BACKENDS = {"nvidia": ("CUDA", "CUDA"), "apple": ("MTL", "MTL")}
"""ggml's name of a maker's backend, and that of its devices; Vulkan runs on all others."""

_TYPICAL_RAM_BYTES = 16 * _GIB
_METAL_STEP_BYTES = 36 * _GIB

_MEMORY = re.compile(r"\b(\d+(?:\.\d+)?) ?-?(?:gib|gb|g)\b")
_N_CORES = re.compile(r"\b(\d+)[ -]?cores?\b")
_WORDS = re.compile(r"[a-z]+|\d+")
_BESIDE = re.compile(r"\bw/|\bwith\b|/")

_IDLE_WORDS = frozenset(
    {"nvidia", "geforce", "tesla", "quadro", "rtx", "gtx", "amd", "ati", "radeon", "rx", "ai", "intel", "iris", "arc"}
    | {"apple", "graphics", "gpu", "cpu", "card", "series", "generation", "edition", "workstation", "server"}
    | {"r", "tm", "g", "c", "u", "gb"}
)
"""Words that tell no two entries apart: makers, families, and what drivers add."""


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card, or a chip whose graphics share the host's memory.

    Attributes:
        name: What it is sold as, with the size of its memory where there are several.
        aliases: Other names.
        vendor: Its maker.
        family: Its architecture.
        form: `desktop`, `laptop`, `server`, `soc` or `igpu`.
        memory: `dedicated`, or the host's: `unified` where it was built for that, `shared` elsewhere.
        memory_bytes: Its memory; the most that can be had where it is the host's, None where that says nothing.
        bus_bits: Width of the memory bus.
        bandwidth_gb_s: Memory bandwidth in 10^9 bytes per second.
        fp32_tflops: Arithmetic in 10^12 single-precision operations per second.
        tdp_w: Power in watts.
        compute_capability: Of NVIDIA cards, CUDA's version of the architecture.
    """

    name: str
    aliases: tuple[str, ...]
    vendor: str
    family: str
    form: str
    memory: str
    memory_bytes: int | None
    bus_bits: int | None
    bandwidth_gb_s: float
    fp32_tflops: float
    tdp_w: int | None
    compute_capability: str | None

    @property
    def shares_memory(self) -> bool:
        """Whether its memory is the host's."""
        return self.memory != "dedicated"


@dataclass(frozen=True, slots=True)
class _Name:
    """A name taken apart: its telling words, and a size of memory if it gives one."""

    words: tuple[str, ...]
    memory_gib: float | None


@cache
def list_cards() -> tuple[Card, ...]:
    """All entries of the catalogue."""
    text = files("llamabench.hardware").joinpath("catalogue.csv").read_text(encoding="utf-8")
    return tuple(map(_read_card, csv.DictReader(text.splitlines())))


def find_card(text: str) -> Card:
    """The card that a person means.

    >>> find_card("geforce rtx3060 12gb").name
    'RTX 3060 12 GB'
    >>> find_card("7900 xtx").name
    'RX 7900 XTX'

    Args:
        text: A name, with or without maker, family and size of memory.

    Returns:
        The entry. Of a chip that shares the host's memory, a size that the text gives is the host's.

    Raises:
        UnknownNameError: Nothing is called that, or several are; those that are meant or near are offered.
    """
    found = list(_matches(text))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(card.name for card in found)
        raise UnknownNameError(f'"{text}" may be any of these: {names}. Name one of them.')
    near = _near_names(text)
    guess = f" Near it are: {', '.join(near)}." if near else ""
    raise UnknownNameError(
        f'No graphics card called "{text}" is in the catalogue.{guess} Give the memory of one that is not: --vram 8G.'
    )


def card_of_device(device: Device) -> Card | None:
    """The catalogue's entry of a device that ggml describes, None where there is none.

    Of several with one name, the one with the device's size of memory; of those that remain, the slowest.
    """
    found = [card for part in _BESIDE.split(_plain(device.description)) for card in _matches(part)]
    if not found:
        return None
    best = min(_size_difference(card, device) for card in found)
    alike = [card for card in found if _size_difference(card, device) <= best + 0.05]
    return min(alike, key=lambda card: card.bandwidth_gb_s)


def virtual_device(card: Card, *, ram_bytes: int | None = None, index: int = 0) -> Device:
    """The device that ggml would show for a card, with nothing else on it.

    Metal lets models have two thirds of the memory of a machine with up to 36 GiB, and three quarters of larger ones
    (`recommendedMaxWorkingSetSize`); other integrated graphics have half of it, as drivers set it on Linux.

    Args:
        card: The card.
        ram_bytes: The host's memory, where the card shares it; None for the most there is of it, or 16 GiB.
        index: Its number among those of its backend.
    """
    backend, stem = _BACKENDS.get(card.vendor, ("Vulkan", "Vulkan"))
    total = card.memory_bytes or _TYPICAL_RAM_BYTES
    if card.shares_memory:
        total = _shared_bytes(card, ram_bytes or total)
    is_integrated = card.shares_memory and card.vendor != "apple"
    return Device(f"{stem}{index}", card.name, "igpu" if is_integrated else "gpu", backend, total, total)


def _shared_bytes(card: Card, ram_bytes: int) -> int:
    if card.vendor == "nvidia":
        return ram_bytes  # CUDA counts all that is free
    if card.vendor == "apple":
        return ram_bytes * 2 // 3 if ram_bytes <= _METAL_STEP_BYTES else ram_bytes * 3 // 4
    return ram_bytes // 2


def _read_card(row: dict[str, str]) -> Card:
    return Card(
        name=row["name"],
        aliases=tuple(filter(None, row["aliases"].split("|"))),
        vendor=row["vendor"],
        family=row["family"],
        form=row["form"],
        memory=row["memory"],
        memory_bytes=int(float(row["memory_gib"]) * _GIB) if row["memory_gib"] else None,
        bus_bits=int(row["bus_bits"]) if row["bus_bits"] else None,
        bandwidth_gb_s=float(row["bandwidth_gb_s"]),
        fp32_tflops=float(row["fp32_tflops"]),
        tdp_w=int(row["tdp_w"]) if row["tdp_w"] else None,
        compute_capability=row["compute_capability"] or None,
    )


# --- names --------------------------------------------------------------------------------------


def _matches(text: str) -> Iterator[Card]:
    """Entries with a name of the same telling words, whose memory is what the text says, if it does."""
    asked = _take_apart(text)
    if not asked.words:
        return
    for card in list_cards():
        if not any(_take_apart(name).words == asked.words for name in (card.name, *card.aliases)):
            continue
        if asked.memory_gib is None:
            yield card
        elif card.shares_memory and (card.memory_bytes is None or asked.memory_gib * _GIB <= card.memory_bytes):
            yield replace(card, memory_bytes=int(asked.memory_gib * _GIB))
        elif not card.shares_memory and card.memory_bytes == asked.memory_gib * _GIB:
            yield card


@cache
def _take_apart(text: str) -> _Name:
    plain = _plain(text)
    memory = _MEMORY.search(plain)
    plain = _N_CORES.sub(r"\1c", _MEMORY.sub(" ", plain))
    plain = re.sub(r"\b(?:mobile|notebook|max-q)\b", "laptop", plain)
    words = [word for word in _WORDS.findall(plain) if word not in _IDLE_WORDS]
    return _Name(tuple(words), float(memory[1]) if memory else None)


def _plain(text: str) -> str:
    """In small letters, without what drivers add in brackets (`(R)`, `(RADV NAVI31)`)."""
    return re.sub(r"\([^)]*\)", " ", text.lower())


def _near_names(text: str) -> list[str]:
    """Names of entries that hold all words that were given, or are spelt alike where none does."""
    words = set(_take_apart(text).words)
    holding = [card.name for card in list_cards() if words and words <= set(_take_apart(card.name).words)]
    if holding:
        return holding[:_N_NEAR]
    by_words = {" ".join(_take_apart(card.name).words): card.name for card in list_cards()}
    alike = difflib.get_close_matches(" ".join(_take_apart(text).words), by_words, n=_N_NEAR)
    return [by_words[name] for name in alike]


def _size_difference(card: Card, device: Device) -> float:
    """How far the device's memory is from the card's, as a share; 0 where that says nothing."""
    if card.shares_memory or card.memory_bytes is None or device.total_bytes == 0:
        return 0.0
    return abs(device.total_bytes / card.memory_bytes - 1)
