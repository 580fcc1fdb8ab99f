"""Where layers go: the most of them on devices, within what each device has free. Pure.

Weights and cache of any placement follow from those of one by arithmetic, so llama.cpp is asked for a few layouts
only: what it says of one, beyond the formulas, is expected of its neighbours, until the placement it is asked for is
the one that was expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llamabench.hardware.contexts import Contexts
from llamabench.hardware.layout import (
    MIB,
    FormulaLayouts,
    Layout,
    Layouts,
    Placement,
    cache_by_place,
    sizes_on_devices,
    weights_by_place,
)
from llamabench.records import ContextPlan, Device, Machine, ModelFacts, Overrides

_RESERVE_BYTES, _RESERVE_SHARE = 512 * MIB, 0.04
_DISPLAY_RESERVE_BYTES = 1024 * MIB
"""Kept free on each device for what llama.cpp does not count: the driver's context, pools, the desktop."""

_UNIFIED_BACKENDS = ("MTL", "Metal")
_MOST_QUESTIONS = 8


def offload_devices(machine: Machine) -> tuple[Device, ...]:
    """The devices that llama.cpp spreads layers over, in its order.

    Servers (`RPC`) come first, then graphics cards; integrated graphics only where there is no card, and those of
    one backend only (`llama_prepare_model_devices`).
    """
    servers = [device for device in machine.devices if device.kind == "gpu" and device.backend == "RPC"]
    cards = [device for device in machine.devices if device.kind == "gpu" and device.backend != "RPC"]
    integrated = [device for device in machine.devices if device.kind == "igpu"]
    return (*servers, *(cards or [device for device in integrated if device.backend == integrated[0].backend]))


def server_of_each(devices: Sequence[Device]) -> tuple[str, ...]:
    """The address of its server for each RPC device."""
    return tuple(device.description for device in devices if device.backend == "RPC")


def shares_memory(device: Device) -> bool:
    """Whether a device's memory is the host's own."""
    return device.kind == "igpu" or device.backend in _UNIFIED_BACKENDS


@dataclass(frozen=True, slots=True)
class Room:
    """What may be used of a machine.

    Attributes:
        devices: The devices that layers may go to, in llama.cpp's order.
        device_bytes: Bytes that each may hold, 0 or less for none.
        host_bytes: Bytes that the host may hold, those of devices that share its memory included.
    """

    devices: tuple[Device, ...]
    device_bytes: tuple[int, ...]
    host_bytes: int

    @classmethod
    def of(cls, machine: Machine, overrides: Overrides) -> Room:
        """What a machine has free, less a reserve, within a person's limits."""
        devices = offload_devices(machine)
        usable = [device.free_bytes - _reserve_bytes(device, machine) for device in devices]
        if overrides.vram_limit_bytes is not None:
            usable = [min(size, overrides.vram_limit_bytes) for size in usable]
        host = machine.ram_available_bytes
        if overrides.ram_limit_bytes is not None:
            host = min(host, overrides.ram_limit_bytes)
        return cls(devices, tuple(usable), host)

    def holds(self, layouts: Sequence[Layout]) -> bool:
        """Whether each of the layouts fits; only one is there at a time."""
        return all(self._holds(layout) for layout in layouts)

    def _holds(self, layout: Layout) -> bool:
        sizes = [part.total_bytes for part in layout.devices]
        shared = sum(size for device, size in zip(self.devices, sizes, strict=True) if shares_memory(device))
        fits = all(size <= limit for size, limit in zip(sizes, self.device_bytes, strict=True) if size)
        return fits and layout.host.total_bytes + shared <= self.host_bytes


def _reserve_bytes(device: Device, machine: Machine) -> int:
    """Bytes to keep free on a device: more where a display is attached, as it always is in Windows."""
    has_display = device.has_display or (machine.is_wsl and device.backend != "RPC")
    least = _DISPLAY_RESERVE_BYTES if has_display else _RESERVE_BYTES
    return max(least, int(device.total_bytes * _RESERVE_SHARE))


@dataclass(frozen=True, slots=True)
class Placed:
    """A placement that fits, and its layouts: one for each context."""

    placement: Placement
    layouts: tuple[Layout, ...]


@dataclass(frozen=True, slots=True)
class _Excess:
    """What a layout takes beyond weights and cache, on each device and on the host: buffers, mostly."""

    devices: tuple[int, ...]
    host: int


class Placer:
    """Finds placements of a model within a machine's room.

    Args:
        model: The model.
        room: What may be used.
        layouts: Who knows what a placement takes.
        overrides: What a person has decided.
    """

    def __init__(self, model: ModelFacts, room: Room, layouts: Layouts, overrides: Overrides):
        self._model = model
        self._room = room
        self._layouts = layouts
        self._overrides = overrides
        self._kv_type = overrides.kv_type or "f16"
        names = [device.name for device in room.devices]
        self._formulas = FormulaLayouts(model, names, kv_type=self._kv_type)

    def on_host(self, contexts: Contexts) -> Placed | None:
        """Every layer on the processor, if it fits."""
        placement = Placement(0, (0.0,) * len(self._room.devices))
        layouts = self.ask(contexts, placement)
        return Placed(placement, layouts) if self._room.holds(layouts) else None

    def ask(self, contexts: Contexts, placement: Placement) -> tuple[Layout, ...]:
        """What a placement takes with either context."""
        return tuple(self._layouts.lay_out(placement, context) for context in contexts)

    def most_layers(self, contexts: Contexts, *, n_cpu_moe: int = 0, is_rough: bool = False) -> Placed | None:
        """As many layers on devices as fit, or as a person has decided if those fit.

        Args:
            contexts: The contexts to open.
            n_cpu_moe: Layers whose experts stay on the host.
            is_rough: Whether a few layers less than the most will do, for fewer questions.
        """
        wanted = self._overrides.n_gpu_layers
        most = self._model.n_layers + 1
        counts = range(most, 0, -1) if wanted is None else [min(wanted, most)]
        return self._settle(contexts, [(n, n_cpu_moe) for n in counts if n > 0], is_rough=is_rough)

    def fewest_experts_on_host(self, contexts: Contexts, *, is_rough: bool = False) -> Placed | None:
        """All layers on devices, with the experts of as few as possible on the host; None without experts.

        Args:
            contexts: The contexts to open.
            is_rough: Whether a few experts more than the fewest will do, for fewer questions.
        """
        if not any(self._model.expert_bytes):
            return None
        wanted = self._overrides.n_gpu_layers
        most = self._model.n_layers + 1
        n_gpu_layers = most if wanted is None else min(wanted, most)
        candidates = [(n_gpu_layers, n) for n in range(self._model.n_layers + 1)]
        return self._settle(contexts, candidates, is_rough=is_rough)

    def _settle(self, contexts: Contexts, candidates: Sequence[tuple[int, int]], *, is_rough: bool) -> Placed | None:
        """The first candidate that fits: guessed by arithmetic, asked for, and guessed again with what was learnt.

        Before it is taken, the candidate that stands before it is asked for too.
        """
        excess = [self._guess_excess(context) for context in contexts]
        refused: set[Placement] = set()
        best: Placed | None = None
        rank = {candidate: place for place, candidate in enumerate(candidates)}
        for _ in range(_MOST_QUESTIONS):
            guess = self._first_that_fits(contexts, candidates, excess, refused)
            if guess is None and best is None and not refused:
                # perhaps the formulas were too careful: what llama.cpp says of the least there could be
                guess = self._make(contexts, candidates[-1], excess, must_fit=False) if candidates else None
            if best is not None and is_rough:
                break
            if best is not None and (guess is None or rank[_key(guess)] >= rank[_key(best.placement)]):
                place = rank[_key(best.placement)]
                guess = self._make(contexts, candidates[place - 1], excess, must_fit=False) if place else None
            if guess is None or guess in refused:
                break
            layouts = self.ask(contexts, guess)
            if self._room.holds(layouts):
                best = Placed(guess, layouts)
            else:
                refused.add(guess)
            excess = [
                self._learn(before, layout, guess, context)
                for before, layout, context in zip(excess, layouts, contexts, strict=True)
            ]
        return best

    def _first_that_fits(
        self,
        contexts: Contexts,
        candidates: Sequence[tuple[int, int]],
        excess: Sequence[_Excess],
        refused: set[Placement],
    ) -> Placement | None:
        for candidate in candidates:
            placement = self._make(contexts, candidate, excess)
            if placement is not None and placement not in refused:
                return placement
        return None

    def _make(
        self,
        contexts: Contexts,
        candidate: tuple[int, int],
        excess: Sequence[_Excess],
        *,
        must_fit: bool = True,
    ) -> Placement | None:
        """A candidate spread over the devices so that it is expected to fit; where it need not, spread as room is."""
        n_gpu_layers, n_cpu_moe = candidate
        limits = [
            limit - max(one.devices[index] for one in excess) for index, limit in enumerate(self._room.device_bytes)
        ]
        whole = Placement(n_gpu_layers, _only(0, len(limits)), n_cpu_moe)
        sizes = max(
            (sizes_on_devices(self._model, whole, context, kv_type=self._kv_type) for context in contexts), key=sum
        )
        if self._overrides.tensor_split is not None:
            ways = iter([_padded(self._overrides.tensor_split, len(limits))])
        else:
            ways = ways_to_split(sizes, limits)
        last = None
        for shares in ways:
            last = Placement(n_gpu_layers, shares, n_cpu_moe)
            if all(self._expect(last, context, one) for context, one in zip(contexts, excess, strict=True)):
                return last
        return None if must_fit else last

    def _expect(self, placement: Placement, context: ContextPlan, excess: _Excess) -> bool:
        """Whether a placement is expected to fit."""
        devices, host = self._known_bytes(placement, context)
        sizes = [size + more if size else 0 for size, more in zip(devices, excess.devices, strict=True)]
        shared = sum(size for device, size in zip(self._room.devices, sizes, strict=True) if shares_memory(device))
        fits = all(size <= limit for size, limit in zip(sizes, self._room.device_bytes, strict=True) if size)
        return fits and host + excess.host + shared <= self._room.host_bytes

    def _known_bytes(self, placement: Placement, context: ContextPlan) -> tuple[tuple[int, ...], int]:
        """Weights and cache on each device, and on the host."""
        weights, host_weights = weights_by_place(self._model, placement)
        caches, host_cache = cache_by_place(self._model, placement, context, kv_type=self._kv_type)
        return tuple(map(sum, zip(weights, caches, strict=True))), host_weights + host_cache

    def _guess_excess(self, context: ContextPlan) -> _Excess:
        n = len(self._room.devices)
        even = Placement(n, (1.0,) * n)  # something on each device
        layout = self._formulas.lay_out(even, context)
        return self._learn(_Excess((0,) * n, 0), layout, even, context)

    def _learn(self, before: _Excess, layout: Layout, placement: Placement, context: ContextPlan) -> _Excess:
        """What a layout takes beyond weights and cache; a device that it leaves empty teaches nothing."""
        devices, host = self._known_bytes(placement, context)
        on_devices = tuple(
            part.total_bytes - known if known else earlier
            for part, known, earlier in zip(layout.devices, devices, before.devices, strict=True)
        )
        return _Excess(on_devices, layout.host.total_bytes - host)


def ways_to_split(sizes: Sequence[int], limits: Sequence[int]) -> Iterator[tuple[float, ...]]:
    """Ways to spread layers over devices, the better first.

    All on one device, which saves the way between two; each in proportion to its room; each filled before the next.
    The last way is yielded whether it fits or not.

    >>> list(ways_to_split([1, 1, 1], [2, 4]))
    [(0.0, 3.0), (1.0, 2.0), (2.0, 1.0)]

    Args:
        sizes: Bytes of each layer, in order.
        limits: Bytes that each device may hold of them; 0 or less for one that is left out.

    Yields:
        Number of layers on each device.
    """
    n_devices = len(limits)
    usable = [index for index in range(n_devices) if limits[index] > 0]
    if not usable:
        return
    for index in sorted(usable, key=lambda index: limits[index], reverse=True):
        if sum(sizes) <= limits[index]:
            yield tuple(float(len(sizes) * (index == other)) for other in range(n_devices))
            break
    if len(usable) > 1:
        total = sum(limits[index] for index in usable)
        yield _fill(sizes, [max(limit, 0) * sum(sizes) / total for limit in limits])
    yield _fill(sizes, [float(max(limit, 0)) for limit in limits])


def _fill(sizes: Sequence[int], limits: Sequence[float]) -> tuple[float, ...]:
    """Layers by device, each device filled to its limit before the next; the last that has one takes what is left."""
    counts = [0] * len(limits)
    last = max(index for index, limit in enumerate(limits) if limit > 0)
    place = 0
    for index, limit in enumerate(limits):
        held = 0
        while place < len(sizes) and limit > 0 and (index == last or held + sizes[place] <= limit):
            held += sizes[place]
            counts[index] += 1
            place += 1
    return tuple(map(float, counts))


def _only(index: int, n: int) -> tuple[float, ...]:
    return tuple(float(index == other) for other in range(n))


def _padded(shares: Sequence[float], n: int) -> tuple[float, ...]:
    return (*shares, *(0.0,) * n)[:n]


def _key(placement: Placement) -> tuple[int, int]:
    return placement.n_gpu_layers, placement.n_cpu_moe
