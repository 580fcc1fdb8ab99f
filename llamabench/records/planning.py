"""The machine, the model and the plan that brings them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, NamedTuple

from llamabench.records.machine import Backend, Card, Processor

StrategyName = Literal["packed", "copied", "single"]
"""How sequences are scored: packed with shared tokens, contexts once with their state copied, one at a time."""

DeviceKind = Literal["cpu", "gpu", "igpu", "accel"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device that llama.cpp can compute on, as ggml names it (`CUDA0`, `Vulkan1`, `Metal`, `RPC0`).

    `pci_id` is its address on the bus (`0000:01:00.0`) where the backend tells; `has_display` says whether a display is
    attached, None where nobody knows.
    """

    name: str
    description: str
    kind: DeviceKind
    backend: str
    free_bytes: int
    total_bytes: int
    pci_id: str | None = None
    has_display: bool | None = None


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
        backends: What this build of llama.cpp contains; empty where it cannot be asked.
        failure: Why llama.cpp could not be asked.
        cards: Graphics processors that the system knows, whether llama.cpp uses them or not.
        driver_failure: What the vendor's own library complains about.
        processor: What decides how fast the processor is.
        ram_installed_bytes: Installed memory; more than `ram_total_bytes` where a control group limits it.
        swap_used_bytes: Memory that is swapped out.
        is_on_battery: Whether it runs on battery, None where the system does not say.
        is_wsl: Whether this is Linux inside Windows.
        is_container: Whether this is a container.
        environment: Variables that change what llama.cpp does.
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
    backends: tuple[Backend, ...] = ()
    failure: str | None = None
    cards: tuple[Card, ...] = ()
    driver_failure: str | None = None
    processor: Processor | None = None
    ram_installed_bytes: int | None = None
    swap_used_bytes: int | None = None
    is_on_battery: bool | None = None
    is_wsl: bool = False
    is_container: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


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
        n_experts: Experts of a mixture, 0 where there are none.
        n_experts_used: Experts that each token goes through.
        expert_bytes: Part of `layer_bytes` that experts take, empty where there are none.
        n_swa: Tokens that a sliding window covers, 0 where no layer has one.
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
    n_experts: int = 0
    n_experts_used: int = 0
    expert_bytes: tuple[int, ...] = ()
    n_swa: int = 0

    @property
    def file_name(self) -> str:
        """What its file is called, or the first part of a split one; programs that keep models call it by a digest."""
        return PurePath(self.path).name


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run needs of a context.

    Attributes:
        longest_sequence: Tokens of the longest prompt together with one continuation.
        longest_generation: The same for generation, new tokens included; 0 when nothing is generated.
        n_parallel: Generations that are worth running side by side.
        n_prompt_tokens: Tokens to read, shared ones once; 0 where nobody counted.
        n_generated_tokens: Tokens to generate at most; 0 where nobody counted.
    """

    longest_sequence: int
    longest_generation: int = 0
    n_parallel: int = 1
    n_prompt_tokens: int = 0
    n_generated_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person has decided of a plan; None leaves it to the planner.

    Attributes:
        n_gpu_layers: Layers on devices, the output layer counted; more than the model has means all.
        n_cpu_moe: Layers whose experts stay on the host.
        tensor_split: Share of each device, in llama.cpp's order.
        n_ctx: Cells of the context: of the one sequence and its pack when scoring, of each text when generating.
        n_batch: Most tokens in one decode.
        n_ubatch: Most tokens computed at once.
        n_parallel: Texts that are generated side by side.
        n_threads: Processor threads.
        flash_attention: Whether flash attention is used.
        kv_type: Type of the KV cache; anything but `f16` changes results.
        vram_limit_bytes: Most that each device may hold.
        ram_limit_bytes: Most that the host may hold.
        rpc_servers: Addresses of servers whose devices are used beside this machine's own.
    """

    n_gpu_layers: int | None = None
    n_cpu_moe: int | None = None
    tensor_split: tuple[float, ...] | None = None
    n_ctx: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    n_parallel: int | None = None
    n_threads: int | None = None
    flash_attention: Literal["on", "off"] | None = None
    kv_type: str | None = None
    vram_limit_bytes: int | None = None
    ram_limit_bytes: int | None = None
    rpc_servers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How to open a llama.cpp context; counts in tokens, sequences and output rows.

    Attributes:
        n_ctx: Cells of the cache, over all streams.
        n_seq_max: Sequences.
        n_batch: Most tokens in one decode.
        n_ubatch: Most tokens computed at once.
        n_outputs_max: Most rows of logits from one decode.
        kv_unified: One cache for all sequences, or a stream for each.
        swa_full: Whether layers with a sliding window keep the whole cache; without it, sequences cannot be cut back.
    """

    n_ctx: int
    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_outputs_max: int
    kv_unified: bool
    swa_full: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run a model on a machine, and why.

    Attributes:
        n_gpu_layers: Layers on devices, the output layer counted; 0 keeps all on the processor.
        tensor_split: Share of each device, empty to leave it to llama.cpp.
        n_cpu_moe: Layers, from the first on, whose experts stay on the host although the layer is on a device.
        rpc_servers: The address of its server for each RPC device; these devices come before the machine's own.
        n_threads: Processor threads.
        scoring: The context for log-probabilities.
        generation: The context for generated text.
        pack_tokens: Tokens put into one packed batch; measured when the model is first opened.
        strategy: How sequences are scored; `auto` until the model was tried out.
        chunk_tokens: Tokens of new text, about, that are asked for and stored together; some seconds of work.
        kv_type: Type of the KV cache; only `f16` keeps results comparable.
        flash_attention: Whether flash attention is used, or left to llama.cpp.
        is_mapped: Whether the file may be mapped into memory; where weights are put into another order, it is read.
        is_repacked: Whether llama.cpp may put weights into an order that suits the processor's own kernels.
        expected_bytes: Memory expected per device name, `CPU` for the host.
        layout: The same by what it is for, in the context that takes more.
        is_exact_layout: Whether llama.cpp itself laid it out, or formulas.
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
    n_cpu_moe: int = 0
    rpc_servers: tuple[str, ...] = ()
    kv_type: str = "f16"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    is_mapped: bool = True
    is_repacked: bool = True
    expected_bytes: Mapping[str, int] = field(default_factory=dict)
    layout: tuple[DeviceBytes, ...] = ()
    is_exact_layout: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BufferBytes:
    """What one of llama.cpp's buffer types holds.

    Attributes:
        buffer: Its name (`CUDA0`, `CUDA_Host`, `CPU`, `CPU_REPACK`).
        device: The device it belongs to.
        is_host: Whether it is ordinary memory of the host.
        weight_bytes: Weights.
        context_bytes: Cache and recurrent states.
        compute_bytes: Compute buffer.
    """

    buffer: str
    device: str
    is_host: bool
    weight_bytes: int
    context_bytes: int
    compute_bytes: int


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """What lies, or is expected to lie, on one device.

    Attributes:
        device: Its name, `CPU` for the host.
        weight_bytes: Weights.
        context_bytes: Cache and recurrent states.
        compute_bytes: Compute buffers.
        other_bytes: On the host, the process itself and the rows of logits.
    """

    device: str
    weight_bytes: int
    context_bytes: int
    compute_bytes: int
    other_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.context_bytes + self.compute_bytes + self.other_bytes


@dataclass(frozen=True, slots=True)
class DryLayout:
    """What llama.cpp says of a layout for which nothing was allocated.

    Attributes:
        buffers: Every buffer to the byte; empty where this build of llama.cpp does not tell.
        compute_bytes: Compute buffer by buffer name, from the log: to a hundredth of a MiB.
        cache_bytes: Size of each cache, all devices together, from the log.
        layer_devices: Device of each layer, the output being the last.
        flash_attention: Whether flash attention is used, None where the log does not say.
    """

    buffers: tuple[BufferBytes, ...]
    compute_bytes: Mapping[str, int]
    cache_bytes: tuple[int, ...]
    layer_devices: tuple[str, ...]
    flash_attention: bool | None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model to have open and how.

    Attributes:
        path: The GGUF file.
        plan: How to run it; None opens its tokeniser alone.
        chat_template: Jinja2 text to use instead of the file's own template.
        system_prompt: System message of conversations that have none of their own; None for none.
    """

    path: str
    plan: Plan | None = None
    chat_template: str | None = None
    system_prompt: str | None = None


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
