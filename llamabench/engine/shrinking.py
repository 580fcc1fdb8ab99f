"""A plan that needs less memory than another, for when memory ran out: pure."""

from __future__ import annotations

from dataclasses import replace

from llamabench.records import ContextPlan, Plan

_LEAST_BATCH = 64
_LEAST_SEQUENCES = 16
_LESS = 4
"""Batches become this much smaller at once: opening a model takes long, so a few steps must go far."""


def shrink(plan: Plan) -> Plan | None:
    """A plan that needs less memory: smaller batches, then fewer sequences at a time, then fewer layers on devices.

    What a sequence needs stays: the length of the context and the type of its cache. Results change in their last
    digits, as they do on another machine.

    Returns:
        The plan, its last reason saying what is smaller; None when nothing is left to give up.
    """
    for less in (_with_smaller_batches(plan), _with_fewer_sequences(plan), _with_fewer_layers(plan)):
        if less is not None:
            # what was expected did not come true, and nobody has looked again
            return replace(less, expected_bytes={}, reasons=(*plan.reasons, f"Memory ran out: {_change(plan, less)}."))
    return None


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
    return replace(plan, n_gpu_layers=n_layers, tensor_split=plan.tensor_split if n_layers else ())


def _change(before: Plan, after: Plan) -> str:
    if after.n_gpu_layers != before.n_gpu_layers:
        return f"layers on devices cut from {before.n_gpu_layers} to {after.n_gpu_layers}"
    if after.scoring.n_batch != before.scoring.n_batch or after.generation.n_batch != before.generation.n_batch:
        return f"batches cut from {before.scoring.n_batch} to {after.scoring.n_batch} tokens"
    return (
        f"sequences at a time cut from {before.scoring.n_seq_max} to {after.scoring.n_seq_max}, "
        f"texts from {before.generation.n_seq_max} to {after.generation.n_seq_max}"
    )
