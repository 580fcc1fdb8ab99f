"""Pure planning: what a model needs, what a machine has and what a run asks for, to a plan that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llamabench.errors import PlanError
from llamabench.hardware.attention import is_recurrent
from llamabench.hardware.layout import MIB, PROCESS_BYTES, context_bytes, lay_out
from llamabench.records import ContextPlan, Demand, Device, Machine, ModelFacts, Plan
from llamabench.units import format_bytes, format_part

_MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ; llama.cpp ends the process above it
_CPU_BATCH, _GPU_BATCH, _LEAST_BATCH = 512, 1024, 64
_CPU_PACK = 256  # prompts are read fastest in packs of this size on two cores; measured again when a model is opened
_LOGITS_BYTES = 256 * MIB
_CELLS = 256  # llama.cpp pads every context to this
_RECURRENT_SEQUENCES = 8  # each holds a whole state, 2 MiB and more per layer
_OFFLOAD_THREADS = 8  # with everything on devices, more only wait for them

_RESERVE_BYTES, _RESERVE_SHARE = 512 * MIB, 0.04
"""Kept free on each device for what llama.cpp does not count: the driver's context, pools, the desktop."""

_AMPLE_BATCH, _AMPLE_PARALLEL = 256, 4
"""Batches and parallel generations are cut down to these to get every layer onto devices, which is worth more."""

_UNIFIED_BACKENDS = ("MTL", "Metal")


@dataclass(frozen=True, slots=True)
class _Contexts:
    """The two contexts of a plan; only one is open at a time."""

    scoring: ContextPlan
    generation: ContextPlan

    def __iter__(self) -> Iterator[ContextPlan]:
        yield self.scoring
        yield self.generation


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where the layers go, with the bytes expected there: on each device, and on the host."""

    n_gpu_layers: int
    shares: tuple[float, ...]
    device_bytes: tuple[int, ...]
    host_bytes: int


@dataclass(frozen=True, slots=True)
class _Choice:
    contexts: _Contexts
    placement: _Placement


def plan_run(model: ModelFacts, machine: Machine, demand: Demand) -> Plan:
    """Plans how to run a model on a machine: as much as fits on devices, never more than is free.

    Nothing that changes results is chosen here: the KV cache stays f16 and no sequence is cut. Weights on the host
    count in full although the system could drop mapped ones: decoding reads them all for every batch, and what does
    not stay in memory is read from the disk each time.

    Not covered: memory of the driver beyond the reserve, experts of a mixture on the host beside attention on a
    device, and the speed of what is chosen; free memory is that of the moment the machine was read.

    Args:
        model: The model.
        machine: The machine.
        demand: What the run needs of a context.

    Returns:
        The plan; one more layer on the devices would not fit.

    Raises:
        PlanError: The model does not fit into memory, however small the batches.
    """
    choice = _choose(model, machine, demand)
    contexts, placement = choice.contexts, choice.placement
    is_offloaded = placement.n_gpu_layers > 0
    is_full = placement.n_gpu_layers == model.n_layers + 1
    threads = max(machine.n_performance_cores, 1)
    devices = zip(offload_devices(machine), placement.device_bytes, strict=True)
    return Plan(
        n_gpu_layers=placement.n_gpu_layers,
        tensor_split=placement.shares if is_offloaded and 0.0 in placement.shares else (),
        n_threads=min(threads, _OFFLOAD_THREADS) if is_full else threads,
        scoring=contexts.scoring,
        generation=contexts.generation,
        pack_tokens=contexts.scoring.n_batch if is_offloaded else min(_CPU_PACK, contexts.scoring.n_batch),
        expected_bytes={device.name: size for device, size in devices if size} | {"CPU": placement.host_bytes},
        reasons=tuple(_reasons(model, machine, demand=demand, choice=choice)),
    )


def offload_devices(machine: Machine) -> tuple[Device, ...]:
    """The devices that llama.cpp spreads layers over, in its order.

    Servers (`RPC`) come first, then graphics cards; integrated graphics only where there is no card, and those of
    one backend only (`llama_prepare_model_devices`).
    """
    servers = [device for device in machine.devices if device.kind == "gpu" and device.backend == "RPC"]
    cards = [device for device in machine.devices if device.kind == "gpu" and device.backend != "RPC"]
    integrated = [device for device in machine.devices if device.kind == "igpu"]
    return (*servers, *(cards or [device for device in integrated if device.backend == integrated[0].backend]))


# --- contexts -----------------------------------------------------------------------------------


def _shrinking_contexts(model: ModelFacts, demand: Demand, *, n_batch: int) -> Iterator[_Contexts]:
    """The contexts wanted, then ever smaller ones: each time, what makes the larger of the two large is halved."""
    n_parallel = _bounded_parallel(model, demand)
    while True:
        contexts = _Contexts(
            _scoring(model, demand, n_batch=n_batch),
            _generation(model, demand, n_batch=n_batch, n_parallel=n_parallel),
        )
        yield contexts
        is_generation_larger = context_bytes(model, contexts.generation) > context_bytes(model, contexts.scoring)
        if n_parallel > 1 and (is_generation_larger or n_batch <= _LEAST_BATCH):
            n_parallel //= 2
        elif n_batch > _LEAST_BATCH:
            n_batch //= 2
        else:
            return


def _scoring(model: ModelFacts, demand: Demand, *, n_batch: int) -> ContextPlan:
    """Room for the longest sequence, whose prefix is held, and one pack beside it."""
    n_outputs = min(n_batch, _most_outputs(model))
    n_sequences = min(_MAX_SEQUENCES, n_outputs)
    if is_recurrent(model.architecture):
        n_sequences = min(n_sequences, max(_RECURRENT_SEQUENCES * n_batch // _CPU_BATCH, 2), _RECURRENT_SEQUENCES)
    return ContextPlan(
        n_ctx=_pad(demand.longest_sequence + n_batch),
        n_seq_max=n_sequences,
        n_batch=n_batch,
        n_ubatch=n_batch,
        n_outputs_max=n_outputs,
        kv_unified=True,
    )


def _generation(model: ModelFacts, demand: Demand, *, n_batch: int, n_parallel: int) -> ContextPlan:
    """A stream of its own for each text, with room for the longest; one row of logits for each."""
    n_ctx = n_parallel * _pad(demand.longest_generation)
    n_batch = max(min(n_batch, n_ctx), n_parallel)
    return ContextPlan(
        n_ctx=n_ctx,
        n_seq_max=n_parallel,
        n_batch=n_batch,
        n_ubatch=n_batch,
        n_outputs_max=n_parallel,
        kv_unified=False,
    )


def _bounded_parallel(model: ModelFacts, demand: Demand) -> int:
    """Texts side by side: as many as are worth it, as llama.cpp takes and as one batch gives a token each."""
    if demand.longest_generation == 0:
        return 1
    return max(min(demand.n_parallel, _MAX_SEQUENCES, _most_outputs(model)), 1)


def _most_outputs(model: ModelFacts) -> int:
    """Rows of logits that stay within bounds, whatever the vocabulary."""
    return max(_LOGITS_BYTES // (model.n_vocab * 4), 1)


def _pad(n_tokens: int) -> int:
    return max((n_tokens + _CELLS - 1) // _CELLS, 1) * _CELLS


# --- placement ----------------------------------------------------------------------------------


def _choose(model: ModelFacts, machine: Machine, demand: Demand) -> _Choice:
    """Contexts and placement: ample contexts on devices, else on the host, else whatever fits at all."""
    on_devices = list(_shrinking_contexts(model, demand, n_batch=_GPU_BATCH)) if offload_devices(machine) else []
    ample = [contexts for contexts in on_devices if _is_ample(contexts, on_devices[0])]
    on_host = list(_shrinking_contexts(model, demand, n_batch=_CPU_BATCH))
    choice = (
        _choose_on_devices(model, machine, candidates=ample)
        or _choose_on_host(model, machine, candidates=on_host)
        or _choose_on_devices(model, machine, candidates=on_devices)
    )
    if choice is None:
        raise _does_not_fit(model, machine, on_host[-1])
    return choice


def _is_ample(contexts: _Contexts, wanted: _Contexts) -> bool:
    """Whether contexts are large enough to be preferred to larger ones that keep layers on the host."""
    n_parallel = min(wanted.generation.n_seq_max, _AMPLE_PARALLEL)
    return contexts.scoring.n_batch >= _AMPLE_BATCH and contexts.generation.n_seq_max >= n_parallel


def _choose_on_devices(model: ModelFacts, machine: Machine, *, candidates: list[_Contexts]) -> _Choice | None:
    """The largest contexts that leave room for every layer on devices; else the largest that leave room for some."""
    first: _Choice | None = None
    for contexts in candidates:
        placement = _place(model, machine, contexts=contexts)
        if placement is None:
            continue
        if placement.n_gpu_layers == model.n_layers + 1:
            return _Choice(contexts, placement)
        first = first or _Choice(contexts, placement)
    return first


def _choose_on_host(model: ModelFacts, machine: Machine, *, candidates: list[_Contexts]) -> _Choice | None:
    """The largest contexts that fit into memory with every layer on the processor."""
    n_devices = len(offload_devices(machine))
    for contexts in candidates:
        host_bytes = _host_bytes(model, contexts)
        if host_bytes <= machine.ram_available_bytes:
            return _Choice(contexts, _Placement(0, (0.0,) * n_devices, (0,) * n_devices, host_bytes))
    return None


def _host_bytes(model: ModelFacts, contexts: _Contexts) -> int:
    return max(lay_out(model, context, n_gpu_layers=0, shares=()).host for context in contexts)


def _place(model: ModelFacts, machine: Machine, *, contexts: _Contexts) -> _Placement | None:
    """The most layers that fit on devices; all devices share them unless leaving the smaller ones out takes more."""
    devices = offload_devices(machine)
    ranked = sorted((d for d in devices if _usable_bytes(d) > 0), key=_usable_bytes, reverse=True)
    best: _Placement | None = None
    for n_used in range(len(ranked), 0, -1):
        used = ranked[:n_used]
        free = sum(device.free_bytes for device in used)
        shares = tuple(device.free_bytes / free if device in used else 0.0 for device in devices)
        found = _most_layers(model, machine, contexts=contexts, shares=shares)
        if found and (best is None or found.n_gpu_layers > best.n_gpu_layers):
            best = found
    return best


def _most_layers(
    model: ModelFacts, machine: Machine, *, contexts: _Contexts, shares: tuple[float, ...]
) -> _Placement | None:
    devices = offload_devices(machine)
    n_used = sum(share > 0 for share in shares)
    spare = max(model.layer_bytes) if n_used > 1 else 0  # llama.cpp reads free memory again and may split otherwise
    for n_gpu_layers in range(model.n_layers + 1, 0, -1):
        layouts = [lay_out(model, context, n_gpu_layers=n_gpu_layers, shares=shares) for context in contexts]
        on_devices = tuple(max(sizes) for sizes in zip(*(layout.devices for layout in layouts), strict=True))
        on_host = max(layout.host for layout in layouts)
        shared = sum(size for device, size in zip(devices, on_devices, strict=True) if _shares_memory(device))
        fits = all(size + spare <= _usable_bytes(d) for d, size in zip(devices, on_devices, strict=True) if size)
        if fits and on_host + shared <= machine.ram_available_bytes:
            return _Placement(n_gpu_layers, shares, on_devices, on_host)
    return None


def _usable_bytes(device: Device) -> int:
    """Free memory of a device less what is kept in reserve."""
    return device.free_bytes - max(_RESERVE_BYTES, int(device.total_bytes * _RESERVE_SHARE))


def _shares_memory(device: Device) -> bool:
    """Whether a device's memory is the host's own."""
    return device.kind == "igpu" or device.backend in _UNIFIED_BACKENDS


# --- words --------------------------------------------------------------------------------------


def _reasons(model: ModelFacts, machine: Machine, *, demand: Demand, choice: _Choice) -> Iterator[str]:
    contexts, placement = choice.contexts, choice.placement
    yield _where(model, machine, placement)
    n_wanted = _GPU_BATCH if placement.n_gpu_layers else _CPU_BATCH
    if contexts.scoring.n_batch < n_wanted:
        yield f"Batches hold {contexts.scoring.n_batch} tokens instead of {n_wanted} to save memory."
    if demand.longest_generation and contexts.generation.n_seq_max < demand.n_parallel:
        yield f"{contexts.generation.n_seq_max} texts are generated side by side, {demand.n_parallel} were asked for."
    longest = max(demand.longest_sequence, demand.longest_generation)
    if longest > model.n_ctx_train:
        yield (
            f"The longest sequence has {longest} tokens, the model was trained for {model.n_ctx_train}: "
            "nothing is cut, but expect poor answers where it is longer."
        )
    if contexts.scoring.n_seq_max < min(_MAX_SEQUENCES, contexts.scoring.n_batch):
        cause = "it carries a state per sequence" if is_recurrent(model.architecture) else "its vocabulary is large"
        yield f"Scores {contexts.scoring.n_seq_max} sequences at a time, because {cause}."


def _where(model: ModelFacts, machine: Machine, placement: _Placement) -> str:
    n_all = model.n_layers + 1
    host = f"{format_part(placement.host_bytes, machine.ram_available_bytes)} of memory"
    devices = offload_devices(machine)
    if not devices:
        return f"There is no device to offload to: all {n_all} layers run on the processor, in {host}."
    if placement.n_gpu_layers == 0:
        free = ", ".join(f"{device.name} has {format_bytes(device.free_bytes)} free" for device in devices)
        return f"No layer fits on a device ({free}): all {n_all} layers run on the processor, in {host}."
    used = [(device, size) for device, size in zip(devices, placement.device_bytes, strict=True) if size]
    where = " and ".join(device.name for device, _ in used)
    share = " and ".join(format_part(size, device.free_bytes) for device, size in used)
    if placement.n_gpu_layers == n_all:
        return f"All {n_all} layers fit on {where}: {share}."
    return f"{placement.n_gpu_layers} of {n_all} layers fit on {where}: {share}. The others run in {host}."


def _does_not_fit(model: ModelFacts, machine: Machine, smallest: _Contexts) -> PlanError:
    needed = _host_bytes(model, smallest)
    larger = max(smallest, key=lambda context: context_bytes(model, context))
    context = context_bytes(model, larger)
    free = f"{format_bytes(machine.ram_available_bytes)} of memory is free"
    for device in offload_devices(machine):
        free += f", {format_bytes(device.free_bytes)} on {device.name}"
    return PlanError(
        f"{model.name} {model.quant} needs {format_bytes(needed)}, {free} "
        f"(weights {format_bytes(needed - context - PROCESS_BYTES)}, a context of {larger.n_ctx} tokens "
        f"{format_bytes(context)}, the program {format_bytes(PROCESS_BYTES)}). "
        "Close other programs, or use a smaller file of the model."
    )
