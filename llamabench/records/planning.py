"""The machine, the model and the plan that brings them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

StrategyName = Literal["packed", "copied", "single"]
"""How sequences are scored: packed with shared tokens, contexts once with their state copied, one at a time."""

DeviceKind = Literal["cpu", "gpu", "igpu", "accel"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device that llama.cpp can compute on, as ggml names it (`CUDA0`, `Vulkan1`, `Metal`, `RPC0`)."""

    name: str
    description: str
    kind: DeviceKind
    backend: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run can use of this computer.

    Attributes:
        os: Name and release of the operating system.
        cpu: Name of the processor.
        n_performance_cores: Physical performance cores that this process may run on, capped by any CPU quota.
        ram_total_bytes: Installed memory, or the control group's limit where that is less.
        ram_available_bytes: Memory that can be taken without swapping, within the control group's limit.
        devices: What ggml offers beside the processor itself.
        llama_cpp_python: Version of the binding.
        llama_cpp_commit: Commit of llama.cpp inside it.
        notes: What a person should know (no GPU backend in the wheel, a device that reports no memory, ...).
    """

    os: str
    cpu: str
    n_performance_cores: int
    ram_total_bytes: int
    ram_available_bytes: int
    devices: tuple[Device, ...]
    llama_cpp_python: str
    llama_cpp_commit: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a GGUF header says, as far as people and the planner need it.

    Attributes:
        path: The file, or the first part of a split one.
        name: The model's own name, or the file's.
        architecture: llama.cpp's name for it.
        quant: The quantization's usual name, such as `Q4_K_M`.
        size_bytes: All parts together.
        n_params: Number of weights.
        n_layers: Repeating layers.
        n_ctx_train: Context the model was trained for, in tokens.
        n_vocab: Tokens in the vocabulary.
        n_embd: Width of the model.
        layer_bytes: Weights of each repeating layer, in bytes.
        output_bytes: Weights of the output layer (of the token embedding where the two are tied).
        input_bytes: Weights that always stay in host memory.
        kv_bytes_per_token: Bytes of an f16 KV cache for one token, layer by layer.
        has_chat_template: Whether the file brings a chat template.
        fingerprint: Digest of header and samples of the weights; changes when the file does.
    """

    path: str
    name: str
    architecture: str
    quant: str
    size_bytes: int
    n_params: int
    n_layers: int
    n_ctx_train: int
    n_vocab: int
    n_embd: int
    layer_bytes: tuple[int, ...]
    output_bytes: int
    input_bytes: int
    kv_bytes_per_token: tuple[int, ...]
    has_chat_template: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run needs of a context.

    Attributes:
        longest_sequence: Tokens of the longest prompt together with one continuation.
        longest_generation: The same for generation, new tokens included; 0 when nothing is generated.
        n_parallel: Generations that are worth running side by side.
    """

    longest_sequence: int
    longest_generation: int = 0
    n_parallel: int = 1


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How to open a llama.cpp context; counts in tokens, sequences and output rows."""

    n_ctx: int
    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_outputs_max: int
    kv_unified: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run a model on a machine, and why.

    Attributes:
        n_gpu_layers: Layers on devices, the output layer counted; 0 keeps all on the processor.
        tensor_split: Share of each device, empty to leave it to llama.cpp.
        n_threads: Processor threads.
        scoring: The context for log-probabilities.
        generation: The context for generated text.
        pack_tokens: Tokens put into one packed batch; measured when the model is first opened.
        strategy: How sequences are scored; `auto` until the model was tried out.
        chunk_tokens: Tokens of new text, about, that are asked for and stored together; some seconds of work.
        kv_type: Type of the KV cache; only `f16` keeps results comparable.
        flash_attention: Whether flash attention is used, or left to llama.cpp.
        expected_bytes: Memory expected per device name, `CPU` for the host.
        reasons: Why it was chosen, a sentence each.
    """

    n_gpu_layers: int
    tensor_split: tuple[float, ...]
    n_threads: int
    scoring: ContextPlan
    generation: ContextPlan
    pack_tokens: int
    strategy: StrategyName | Literal["auto"] = "auto"
    chunk_tokens: int = 2048
    kv_type: str = "f16"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    expected_bytes: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model to have open and how.

    Attributes:
        path: The GGUF file.
        plan: How to run it; None opens its tokeniser alone.
        chat_template: Jinja2 text to use instead of the file's own template.
    """

    path: str
    plan: Plan | None = None
    chat_template: str | None = None


class PackSpeed(NamedTuple):
    """A pack size in tokens and the prompt tokens per second measured with it."""

    n_tokens: int
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class StrategyCheck:
    """How a scoring strategy did in a probe against one sequence at a time.

    Attributes:
        strategy: Its name.
        difference: Root mean square difference of a token's log-probability, None where llama.cpp refused it.
        noise: llama.cpp's own noise, the same measure.
        is_exact: Whether the difference is no more than noise.
        reason: The finding in a sentence.
    """

    strategy: StrategyName
    difference: float | None
    noise: float
    is_exact: bool
    reason: str
