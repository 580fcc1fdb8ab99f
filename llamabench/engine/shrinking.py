"""A plan that asks for less than another, for when memory ran out or a server left: pure."""

from __future__ import annotations

from dataclasses import replace

from llamabench.records import ContextPlan, Plan

_LEAST_BATCH = 64
_LEAST_SEQUENCES = 16
_LESS = 4
"""Batches become this much smaller at once: opening a model takes long, so a few steps must go far."""


def shrink(plan: Plan, *, is_loading: bool = False) -> Plan | None:
    """A plan that needs less memory: smaller batches, then fewer sequences at a time, then fewer layers on devices.

    What a sequence needs stays: the length of the context and the type of its cache. Results change in their last
    digits, as they do on another machine.

    Args:
        plan: The plan.
        is_loading: Whether memory ran out for weights, which only fewer layers on devices make fewer.

    Returns:
        The plan, its last reason saying what is smaller; None when nothing is left to give up.
    """
    steps = (_with_smaller_batches, _with_fewer_sequences, _with_fewer_layers)
    for step in (_with_fewer_layers, *steps) if is_loading else steps:
        less = step(plan)
        if less is not None:
            return _with_reason(less, f"Memory ran out: {_change(plan, less)}.")
    return None


def move_to_host(plan: Plan) -> Plan | None:
    """The same plan with every layer on the host; None where they are there already."""
    if plan.n_gpu_layers == 0:
        return None
    less = _on_host(plan)
    return _with_reason(less, f"Memory ran out: {_change(plan, less)}.")


def without_server(plan: Plan, address: str | None) -> Plan:
    """The same plan with a server's layers on the host; what other devices hold stays.

    Args:
        plan: A plan that uses servers.
        address: The server, None for all of them.

    Returns:
        The plan, its last reason saying what became of the layers.
    """
    left = {server for server in plan.rpc_servers if address in (None, server)}
    shares = plan.tensor_split or (1.0,) * len(plan.rpc_servers)
    owners = (*plan.rpc_servers, *(None for _ in shares))  # a device beyond the servers' is the machine's own
    kept = tuple(share for share, owner in zip(shares, owners, strict=False) if owner not in left)
    n_layers = round(plan.n_gpu_layers * sum(kept) / sum(shares))
    less = _on_host(plan)
    if n_layers:
        servers = tuple(server for server in plan.rpc_servers if server not in left)
        less = replace(plan, n_gpu_layers=n_layers, tensor_split=kept if len(kept) > 1 else (), rpc_servers=servers)
    n_moved = plan.n_gpu_layers - n_layers
    return _with_reason(
        less, f"{' and '.join(sorted(left))} is not used any more: {n_moved} layers run on the host instead."
    )


def _on_host(plan: Plan) -> Plan:
    return replace(plan, n_gpu_layers=0, n_cpu_moe=0, tensor_split=(), rpc_servers=())


def _with_reason(plan: Plan, reason: str) -> Plan:
    """What was expected did not come true, and nobody has looked again."""
    return replace(plan, expected_bytes={}, layout=(), is_exact_layout=False, reasons=(*plan.reasons, reason))


def _with_smaller_batches(plan: Plan) -> Plan | None:
    least = max(_LEAST_BATCH, plan.generation.n_seq_max)
    if plan.scoring.n_ubatch <= _LEAST_BATCH and plan.generation.n_ubatch <= least:
        return None
    scoring = _cut_batch(plan.scoring, _LEAST_BATCH)
    return replace(
        plan,
        scoring=scoring,
        generation=_cut_batch(plan.generation, least),
        pack_tokens=min(plan.pack_tokens, scoring.n_batch),
    )


def _cut_batch(context: ContextPlan, least: int) -> ContextPlan:
    n_batch = min(max(context.n_ubatch // _LESS, least), context.n_batch)
    n_outputs = min(context.n_outputs_max, n_batch)
    return replace(
        context,
        n_batch=n_batch,
        n_ubatch=min(n_batch, context.n_ubatch),
        n_outputs_max=n_outputs,
        # llama.cpp ends the process that has more sequences than rows of logits
        n_seq_max=min(context.n_seq_max, n_outputs),
    )


def _with_fewer_sequences(plan: Plan) -> Plan | None:
    scoring, generation = plan.scoring, plan.generation
    n_scored = max(min(scoring.n_seq_max, _LEAST_SEQUENCES), scoring.n_seq_max // _LESS)
    n_texts = max(generation.n_seq_max // _LESS, 1)
    if n_scored == scoring.n_seq_max and n_texts == generation.n_seq_max:
        return None
    # each text has a stream of its own, and all are equally long
    stream = generation.n_ctx // generation.n_seq_max
    return replace(
        plan,
        scoring=replace(scoring, n_seq_max=n_scored),
        generation=replace(generation, n_ctx=stream * n_texts, n_seq_max=n_texts),
    )


def _with_fewer_layers(plan: Plan) -> Plan | None:
    if plan.n_gpu_layers <= 0:
        return None
    n_layers = plan.n_gpu_layers // 2
    return replace(plan, n_gpu_layers=n_layers) if n_layers else _on_host(plan)


def _change(before: Plan, after: Plan) -> str:
    if after.n_gpu_layers != before.n_gpu_layers:
        return f"layers on devices cut from {before.n_gpu_layers} to {after.n_gpu_layers}"
    if after.scoring.n_batch != before.scoring.n_batch or after.generation.n_batch != before.generation.n_batch:
        return f"batches cut from {before.scoring.n_batch} to {after.scoring.n_batch} tokens"
    return (
        f"sequences at a time cut from {before.scoring.n_seq_max} to {after.scoring.n_seq_max}, "
        f"texts from {before.generation.n_seq_max} to {after.generation.n_seq_max}"
    )
