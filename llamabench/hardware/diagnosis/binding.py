"""Whether llama-cpp-python loads, is a tested version, and uses what the processor can do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llamabench.hardware.diagnosis.findings import Finding, from_remedy, toolbox_of
from llamabench.hardware.installation import Installation
from llamabench.hardware.processor import INSTRUCTION_SETS
from llamabench.hardware.rebuilding import explain_failure, install_command
from llamabench.records import Machine

_SUBJECT = "llama.cpp"
_NEEDED = {"AVX2", "FMA", "F16C", "NEON", "DOTPROD"}
"""Instruction sets without which llama.cpp is several times slower; the others bring less, and to prompts mostly."""

_FAULTY = {"AMX_INT8"}
"""Instruction sets whose kernels compilers break (ggml-org/llama.cpp#26954): nobody is sent to build with them."""

_CUDA_STEPS = 10  # `__CUDA_ARCH_LIST__` writes compute capability 8.6 as 860
_NATIVE = ("-DGGML_NATIVE=on",)


def check_binding(machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Looks at llama-cpp-python itself."""
    toolbox = toolbox_of(installation)
    command = install_command(toolbox, machine)
    if installation.binding is None:
        advice = "Install it:" if "c++" in installation.tools else "Install a C++ compiler, then llama-cpp-python:"
        yield Finding("problem", _SUBJECT, "llama-cpp-python is not installed.", advice, command)
        return
    if machine.failure:
        yield from_remedy("problem", _SUBJECT, explain_failure(machine.failure, machine, toolbox))
        return
    backends = ", ".join(sorted(backend.name for backend in machine.backends))
    facts = f"llama-cpp-python {installation.binding}, llama.cpp {machine.llama_cpp_commit}, backends: {backends}."
    if installation.is_tested:
        yield Finding("ok", _SUBJECT, facts)
    else:
        yield Finding(
            "warning",
            _SUBJECT,
            f"{facts} This llamabench was tested with {installation.requirement}.",
            "What depends on the version may fail. Install a tested one:",
            command,
        )


def check_trial(machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Looks at how a tiny quantized model fared."""
    if installation.fault is None or installation.binding is None or machine.failure:
        return
    advice = "Build it again with another compiler:"
    variables: tuple[str, ...] = ()
    if "AMX_INT8" in _known_names(_features(machine, "CPU")):
        advice = "Compilers break its kernels for AMX (ggml-org/llama.cpp#26954). Build it without them:"
        variables = tuple(f'{name}="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"' for name in ("CFLAGS", "CXXFLAGS"))
    command = install_command(toolbox_of(installation), machine, variables=variables)
    found = f"llama.cpp cannot compute with quantized weights here. {installation.fault}"
    yield Finding("problem", _SUBJECT, found, advice, command)


def check_instruction_sets(machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Holds what the processor can do against what the build uses."""
    processor = machine.processor
    built = _features(machine, "CPU")
    if processor is None or not processor.instruction_sets or not built:
        return
    subject = "instructions"
    can, uses = set(processor.instruction_sets), _known_names(built)
    command = install_command(toolbox_of(installation), machine, options=_NATIVE)
    beyond, unused = sorted(uses - can), [name for name in processor.instruction_sets if name not in uses]
    left_out = [name for name in unused if name in _FAULTY]
    unused = [name for name in unused if name not in _FAULTY]
    slow = [name for name in unused if name in _NEEDED]
    if beyond:
        found = f"llama-cpp-python was built for {', '.join(beyond)}, which this processor does not have."
        yield Finding("problem", subject, found, "It may end without a word. Build it on this machine:", command)
    if slow:
        found = f"The processor has {', '.join(slow)}, which this build of llama-cpp-python does not use."
        yield Finding("warning", subject, found, "Prompts are read several times slower. Build it again:", command)
    elif unused:
        found = f"The processor also has {', '.join(unused)}, which this build of llama-cpp-python does not use."
        yield Finding("note", subject, found, "A compiler that is new enough may use it:", command)
    if processor.architecture in ("x86_64", "AMD64") and "AVX2" not in can:
        yield Finding("warning", subject, "The processor has no AVX2.", "Expect a few tokens per second: small models.")
    elif not (beyond or unused):
        uses_all = f"The build uses all that the processor has: {', '.join(sorted(can - set(left_out)))}."
        why = f" {', '.join(left_out)} is better left out: compilers break its kernels (ggml-org/llama.cpp#26954)."
        yield Finding("ok", subject, f"{uses_all}{why if left_out else ''}")


def check_cuda_targets(machine: Machine, installation: Installation) -> Iterator[Finding]:
    """Holds the cards that the CUDA backend was built for against those that are there."""
    targets = [int(word) for word in _features(machine, "CUDA").get("ARCHS", "").split(",") if word.strip().isdecimal()]
    if not targets:
        return
    for card in machine.cards:
        if card.vendor != "NVIDIA" or card.architecture is None:
            continue
        capability = int(card.architecture.replace(".", "")) * _CUDA_STEPS
        if capability < min(targets):
            # code for older cards runs on newer ones, which translate it; never the other way round
            found = f"{card.name} has compute capability {card.architecture}; the build begins with newer cards."
            option = f"-DCMAKE_CUDA_ARCHITECTURES={card.architecture.replace('.', '')}"
            command = install_command(toolbox_of(installation), machine, options=("-DGGML_CUDA=on", option))
            yield Finding("problem", card.name, found, "llama.cpp will fail on it. Build it for this card:", command)


def uses_openmp(machine: Machine) -> bool:
    """Whether the build's threads are OpenMP's; so it is assumed where the build does not say."""
    built = _features(machine, "CPU")
    return not built or built.get("OPENMP") == "1"


def _features(machine: Machine, name: str) -> Mapping[str, str]:
    return next((backend.features for backend in machine.backends if backend.name == name), {})


def _known_names(built: Mapping[str, str]) -> set[str]:
    """What the build uses, less what is no instruction set or is not looked up in the processor."""
    return {name for name, value in built.items() if value == "1" and name in INSTRUCTION_SETS}
