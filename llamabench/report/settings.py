"""How a run was made, as names and values to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from llamabench.records import ContextPlan, Machine, ModelFacts, Plan, RunInfo, WorkerFacts
from llamabench.report.banners import describe_budget
from llamabench.report.format import (
    NBSP,
    format_bytes,
    format_count,
    format_parameters,
    format_things,
    format_time,
    shorten,
)
from llamabench.report.items import Pair

_MOST_SHOWN = 2000
"""Characters of a system prompt."""


@dataclass(frozen=True, slots=True)
class SettingsView:
    """Settings that belong together."""

    title: str
    pairs: tuple[Pair, ...]


def describe_settings(info: RunInfo) -> tuple[SettingsView, ...]:
    """Describe the run, its model, its machine and its plan."""
    return (
        SettingsView("Run", _describe_run(info)),
        SettingsView("Model", _describe_model(info.model)),
        SettingsView("Machine", _describe_machine(info.machine)),
        SettingsView("Plan", _describe_plan(info.plan)),
        *([SettingsView("Workers", tuple(map(_describe_worker, info.workers)))] if info.workers else []),
    )


def name_size(model: ModelFacts) -> str:
    """Say how large a model is."""
    return f"{format_parameters(model.n_params)} weights, {format_bytes(model.size_bytes)}"


def _describe_run(info: RunInfo) -> tuple[Pair, ...]:
    template = info.chat_template_sha256
    if not info.use_chat:
        prompts = "plain text, no chat template"
    elif template is None:
        prompts = "chat, no template of the model's own"
    else:
        prompts = f"through the model's chat template (sha256 {template[:12]})"
    return (
        Pair("Run", info.id),
        Pair("Started", format_time(info.created)),
        Pair("llamabench", info.llamabench),
        Pair("Items per suite", "all" if info.limit is None else f"at most {format_count(info.limit)}"),
        *([Pair("Budget", describe_budget(info))] if info.budget else []),
        Pair("Seed", str(info.seed)),
        Pair("Conversations", prompts),
        *([Pair("System prompt", shorten(info.system_prompt, _MOST_SHOWN)[0])] if info.system_prompt else []),
        *_describe_reference(info),
    )


def _describe_reference(info: RunInfo) -> tuple[Pair, ...]:
    if info.reference is None:
        return ()
    model = info.reference.model
    text = f"{PurePath(model.path).name} ({model.quant}, fingerprint {model.fingerprint}), run {info.reference.run_id}"
    return (Pair("Reference model", text),)


def _describe_model(model: ModelFacts) -> tuple[Pair, ...]:
    return (
        Pair("File", PurePath(model.path).name),
        Pair("Architecture", model.architecture),
        Pair("Quantization", model.quant),
        Pair("Size", name_size(model)),
        Pair("Layers", f"{model.n_layers}, {format_count(model.n_embd)} wide"),
        Pair("Vocabulary", format_things(model.n_vocab, "token", "tokens")),
        Pair("Trained context", format_things(model.n_ctx_train, "token", "tokens")),
        Pair("Fingerprint", model.fingerprint),
    )


def _describe_machine(machine: Machine) -> tuple[Pair, ...]:
    devices = [
        f"{device.name}: {device.description} ({device.backend}, {format_bytes(device.total_bytes)})"
        for device in machine.devices
    ]
    return (
        Pair("Processor", machine.cpu),
        Pair("Cores used", str(machine.n_performance_cores)),
        Pair("Memory", f"{format_bytes(machine.ram_total_bytes)}, {format_bytes(machine.ram_available_bytes)} free"),
        Pair("Devices", "; ".join(devices) or "none beside the processor"),
        Pair("System", machine.os),
        Pair("llama-cpp-python", machine.llama_cpp_python),
        Pair("llama.cpp", f"commit {machine.llama_cpp_commit}"),
    )


_STRATEGIES = {
    "packed": "packed: what sequences share is decoded once",
    "copied": "copied: a context is decoded once, its state copied to each continuation",
    "single": "exact: one sequence at a time",
    "auto": "not chosen yet",
}


def _describe_plan(plan: Plan) -> tuple[Pair, ...]:
    split = ", ".join(f"{share:g}" for share in plan.tensor_split)
    servers = ", ".join(dict.fromkeys(plan.rpc_servers))
    return (
        Pair("Layers on devices", f"{plan.n_gpu_layers}{f' (split {split})' if split else ''}"),
        *([Pair("RPC servers", servers)] if servers else []),
        Pair("Threads", str(plan.n_threads)),
        Pair("Scoring", _describe_context(plan.scoring)),
        Pair("Generation", _describe_context(plan.generation)),
        Pair("Strategy", _STRATEGIES[plan.strategy]),
        Pair("Packed batch", format_things(plan.pack_tokens, "token", "tokens")),
        Pair("KV cache", plan.kv_type),
        Pair("Flash attention", plan.flash_attention),
    )


def _describe_worker(worker: WorkerFacts) -> Pair:
    machine, plan = worker.machine, worker.plan
    devices = ", ".join(device.description for device in machine.devices)
    facts = (
        f"{machine.cpu}{f', {devices}' if devices else ''}",
        f"{format_things(plan.n_gpu_layers, 'layer', 'layers')} on devices",
        format_things(plan.n_threads, "thread", "threads"),
        _STRATEGIES[plan.strategy].partition(":")[0],
        f"batch{NBSP}{format_count(plan.scoring.n_batch)}/{format_count(plan.scoring.n_ubatch)}",
        f"llama.cpp commit {machine.llama_cpp_commit}",
        f"model {worker.fingerprint[:12]}",
    )
    return Pair(worker.name, "; ".join(facts))


def _describe_context(context: ContextPlan) -> str:
    streams = "one cache" if context.kv_unified else "a cache each"
    return (
        f"context {format_count(context.n_ctx)}, {format_things(context.n_seq_max, 'sequence', 'sequences')} "
        f"({streams}), batch{NBSP}{format_count(context.n_batch)}/{format_count(context.n_ubatch)}, "
        f"outputs{NBSP}{format_count(context.n_outputs_max)}"
    )
