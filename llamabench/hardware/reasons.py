"""A plan in words: why it is so, and why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llamabench.errors import PlanError
from llamabench.hardware.attention import is_recurrent
from llamabench.hardware.contexts import CPU_BATCH, GPU_BATCH, MAX_SEQUENCES, Contexts
from llamabench.hardware.layout import PROCESS_BYTES, Layout
from llamabench.hardware.placing import Placed, offload_devices
from llamabench.records import Demand, Machine, ModelFacts, Overrides, Plan
from llamabench.units import format_bytes, format_part


def say_reasons(
    model: ModelFacts,
    machine: Machine,
    demand: Demand,
    *,
    overrides: Overrides,
    contexts: Contexts,
    placed: Placed,
) -> Iterator[str]:
    """Why a plan is what it is, a sentence each."""
    yield _say_where(model, machine, placed, overrides)
    n_wanted = overrides.n_batch or (GPU_BATCH if placed.placement.n_gpu_layers else CPU_BATCH)
    if contexts.scoring.n_batch < n_wanted:
        yield f"Batches hold {contexts.scoring.n_batch} tokens instead of {n_wanted} to save memory."
    if demand.longest_generation and contexts.generation.n_seq_max < demand.n_parallel and not overrides.n_parallel:
        yield f"{contexts.generation.n_seq_max} texts are generated side by side, {demand.n_parallel} were asked for."
    if not contexts.generation.swa_full:
        yield "Layers with a sliding window keep only the window while texts are generated, to save memory."
    longest = max(demand.longest_sequence, demand.longest_generation)
    if longest > model.n_ctx_train:
        yield (
            f"The longest sequence has {longest} tokens, the model was trained for {model.n_ctx_train}: "
            "nothing is cut, but expect poor answers where it is longer."
        )
    if contexts.scoring.n_seq_max < min(MAX_SEQUENCES, contexts.scoring.n_batch):
        cause = "it carries a state per sequence" if is_recurrent(model.architecture) else "its vocabulary is large"
        yield f"Scores {contexts.scoring.n_seq_max} sequences at a time, because {cause}."
    if overrides.kv_type not in (None, "f16"):
        yield f"The KV cache is {overrides.kv_type}, as asked for: scores differ from those with f16."
    n_cores = machine.n_performance_cores
    if overrides.n_threads and overrides.n_threads > n_cores:
        cores = "1 core" if n_cores == 1 else f"{n_cores} cores"
        yield (
            f"{overrides.n_threads} threads were asked for, and {cores} can be used here: more threads than cores are "
            "slower, because they wait for each other."
        )
    if any(layout.flash_attention is False for layout in placed.layouts) and overrides.flash_attention != "off":
        yield "llama.cpp goes without flash attention here, which takes more memory; the plan counts it."


def say_does_not_fit(
    model: ModelFacts,
    machine: Machine,
    overrides: Overrides,
    *,
    contexts: Contexts,
    needed: Sequence[Layout],
    nearest: Plan | None,
) -> PlanError:
    """The error for a model that does not fit, or not as a person has decided.

    Args:
        model: The model.
        machine: The machine.
        overrides: What a person has decided.
        contexts: The smallest contexts that were tried.
        needed: What those take.
        nearest: The plan without what was decided, where that fits.
    """
    largest = max(needed, key=lambda layout: layout.host.total_bytes)
    context = max(contexts, key=lambda one: one.n_ctx)
    host = largest.host
    if any(part.total_bytes for part in largest.devices):
        wanted = "; ".join(
            f"{format_bytes(part.total_bytes)} on {part.device}"
            for part in (*largest.devices, host)
            if part.total_bytes
        )
    else:
        wanted = format_bytes(host.total_bytes)
    free = f"{format_bytes(_limited(machine.ram_available_bytes, overrides.ram_limit_bytes))} of memory is free"
    for device in offload_devices(machine):
        free += f", {format_bytes(_limited(device.free_bytes, overrides.vram_limit_bytes))} on {device.name}"
    context_bytes = host.context_bytes + host.compute_bytes + host.other_bytes - PROCESS_BYTES
    parts = (
        f"(weights {format_bytes(host.weight_bytes)}, a context of {context.n_ctx} tokens "
        f"{format_bytes(context_bytes)}, the program {format_bytes(PROCESS_BYTES)})"
    )
    what = f"{model.name} {model.quant} needs {wanted}"
    if overrides.n_gpu_layers:
        n_gpu_layers = min(overrides.n_gpu_layers, model.n_layers + 1)
        what = f"{model.name} {model.quant} with {n_gpu_layers} layers on devices needs {wanted}"
    if nearest is not None:
        advice = f"What fits: {describe_flags(nearest)}."
    else:
        advice = "Close other programs, or use a smaller file of the model."
    return PlanError(f"{what}, {free} {parts}. {advice}")


def describe_flags(plan: Plan) -> str:
    """The options that make the same plan again."""
    flags = [f"--rpc {address}" for address in dict.fromkeys(plan.rpc_servers)]
    flags.append(f"--gpu-layers {plan.n_gpu_layers}")
    if plan.n_cpu_moe:
        flags.append(f"--cpu-moe {plan.n_cpu_moe}")
    if plan.tensor_split:
        flags.append("--tensor-split " + ",".join(f"{share:g}" for share in plan.tensor_split))
    flags += [f"--batch {plan.scoring.n_batch}", f"--ubatch {plan.scoring.n_ubatch}"]
    if plan.generation.n_seq_max > 1:
        flags.append(f"--parallel {plan.generation.n_seq_max}")
    flags.append(f"--threads {plan.n_threads}")
    if plan.kv_type != "f16":
        flags.append(f"--kv-type {plan.kv_type}")
    if plan.flash_attention != "auto":
        flags.append(f"--flash-attn {plan.flash_attention}")
    return " ".join(flags)


def _limited(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)


def _say_where(model: ModelFacts, machine: Machine, placed: Placed, overrides: Overrides) -> str:
    n_all = model.n_layers + 1
    n_gpu_layers = placed.placement.n_gpu_layers
    host_bytes = max(layout.host.total_bytes for layout in placed.layouts)
    host = f"{format_part(host_bytes, machine.ram_available_bytes)} of memory"
    devices = offload_devices(machine)
    if not devices:
        return f"There is no device to offload to: all {n_all} layers run on the processor, in {host}."
    if n_gpu_layers == 0:
        if overrides.n_gpu_layers == 0:
            return f"All {n_all} layers run on the processor, as asked for, in {host}."
        free = ", ".join(f"{device.name} has {format_bytes(device.free_bytes)} free" for device in devices)
        return f"Nothing is gained by a device ({free}): all {n_all} layers run on the processor, in {host}."
    sizes = [max(layout.devices[index].total_bytes for layout in placed.layouts) for index in range(len(devices))]
    used = [(device, size) for device, size in zip(devices, sizes, strict=True) if size]
    where = " and ".join(device.name for device, _ in used)
    share = " and ".join(format_part(size, device.free_bytes) for device, size in used)
    if n_gpu_layers < n_all:
        return f"{n_gpu_layers} of {n_all} layers fit on {where}: {share}. The others run in {host}."
    if placed.placement.n_cpu_moe:
        return (
            f"All {n_all} layers fit on {where} with the experts of {placed.placement.n_cpu_moe} on the host: {share}. "
            f"These experts run in {host}."
        )
    return f"All {n_all} layers fit on {where}: {share}."
