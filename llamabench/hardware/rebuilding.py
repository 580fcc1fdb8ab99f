"""Graphics cards that llama.cpp does not use, why, and the command that builds a llama-cpp-python which does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llamabench.records import Card, Device, Machine, Vendor
from llamabench.units import format_bytes

_BACKENDS: dict[Vendor, tuple[str, ...]] = {
    "NVIDIA": ("CUDA", "Vulkan"),
    "AMD": ("ROCm", "Vulkan"),
    "Intel": ("SYCL", "Vulkan"),
    "Apple": ("MTL", "Metal"),
    "other": ("Vulkan", "CUDA", "ROCm", "SYCL"),
}
"""Backends that can use a vendor's cards, by ggml's names for them."""

_BUILT_BY = {
    "CUDA": "-DGGML_CUDA=on",
    "ROCm": "-DGGML_HIP=on",
    "Vulkan": "-DGGML_VULKAN=on",
    "SYCL": "-DGGML_SYCL=on",
    "RPC": "-DGGML_RPC=on",
}
"""Options that build a backend; the others are built without being asked for."""

_GROUPS = "add yourself to the groups render and video (sudo usermod -aG render,video $USER) and log in again"


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What a new build can be made with.

    Attributes:
        pip: How pip is called.
        requirement: Which llama-cpp-python, as pip writes it.
        tools: Paths of compilers by name (`nvcc`, `hipcc`, `glslc`, `icpx`), those on the search path as their bare
            name; None where nobody looked.
    """

    pip: str = "pip"
    requirement: str = "llama-cpp-python"
    tools: Mapping[str, str] | None = None


class Remedy(NamedTuple):
    """What is wrong, what to do about it, and a command that does it, if one does."""

    found: str
    advice: str
    command: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in self if part)


class _Recipe(NamedTuple):
    """How a backend is built: options for CMake, variables before them, and what must be installed first."""

    options: tuple[str, ...]
    variables: tuple[str, ...] = ()
    needs: str | None = None


def install_command(
    toolbox: Toolbox, machine: Machine, *, options: tuple[str, ...] = (), variables: tuple[str, ...] = ()
) -> str:
    """The command that builds llama-cpp-python again for this machine.

    Args:
        toolbox: What to build with.
        machine: The machine. Backends that its build has are kept; where that is not known, its card decides.
        options: Options for CMake.
        variables: Settings of variables, as a shell takes them.
    """
    recipe = _guess_recipe(machine, toolbox)
    recipe = recipe._replace(options=(*recipe.options, *options), variables=(*recipe.variables, *variables))
    return _write_command(toolbox, machine, recipe)


def local_devices(machine: Machine) -> tuple[Device, ...]:
    """The graphics devices of this machine itself that llama.cpp offers."""
    return tuple(device for device in machine.devices if device.kind in ("gpu", "igpu") and device.backend != "RPC")


def device_of(card: Card, machine: Machine) -> Device | None:
    """The device that a card is to llama.cpp, None where llama.cpp does not use it."""
    for device in local_devices(machine):
        if device.pci_id and card.pci_id:
            if device.pci_id == card.pci_id:
                return device
        elif device.backend in _BACKENDS[card.vendor]:
            return device
    return None


def silent_devices(machine: Machine) -> tuple[Remedy, ...]:
    """Devices that a driver offers and that report no memory."""
    return tuple(
        Remedy(
            f"{device.name} ({device.description}) reports no memory, so nothing is put on it.", "Update its driver."
        )
        for device in machine.devices
        if device.kind in ("gpu", "igpu") and device.total_bytes == 0
    )


def server_notes(devices: Sequence[Device]) -> tuple[str, ...]:
    """Where the devices of RPC servers are, and how much they say is free."""
    return tuple(_server_note(device) for device in devices if device.backend == "RPC")


def _server_note(device: Device) -> str:
    where = f"{device.name} is on the server {device.description}"
    if device.free_bytes < device.total_bytes:
        return f"{where}: {format_bytes(device.free_bytes)} of {format_bytes(device.total_bytes)} are free there."
    # ggml's processor and some drivers report what is installed, others what they were told to offer
    return f"{where}: all of its {format_bytes(device.total_bytes)} are free, it says. If not, use --vram-limit."


def explain_failure(failure: str, machine: Machine, toolbox: Toolbox) -> Remedy:
    """What to do when llama.cpp cannot be asked for its devices."""
    needs = _guess_recipe(machine, toolbox).needs
    advice = f"{needs} Then install it again:" if needs else "To install it again:"
    return Remedy(failure, advice, install_command(toolbox, machine))


def explain_unused(card: Card, machine: Machine, toolbox: Toolbox) -> Remedy:
    """Why llama.cpp does not use a card, and what to do.

    Args:
        card: A card for which there is no device.
        machine: The machine it is in.
        toolbox: What a new build can be made with.
    """
    name = f"{card.name} is not used"
    if card.driver is None or card.driver in ("nouveau", "vfio-pci"):
        held = f"its driver is {card.driver}" if card.driver else "it has no driver"
        return Remedy(f"{name}: {held}.", f"Install {card.vendor}'s driver.")
    if machine.is_container and card.access == "absent":
        how = "--gpus all" if card.vendor == "NVIDIA" else "--device /dev/dri --device /dev/kfd"
        return Remedy(f"{name}: this container was not given it.", f"Start the container with {how}.")
    if card.access == "closed":
        return Remedy(f"{name}: you may not open its device file.", f"To be allowed, {_GROUPS}.")
    if machine.processor is not None and machine.processor.is_translated:
        return Remedy(
            f"{name}: this Python is built for Intel and runs translated.",
            "Install a Python for Apple silicon (arm64), and llamabench in it.",
        )
    if card.vendor == "NVIDIA" and machine.driver_failure:
        return Remedy(f"{name}. {machine.driver_failure}", "Restart the computer, or install the driver again.")
    built = [backend.name for backend in machine.backends if backend.name in _BACKENDS[card.vendor]]
    if built:
        return _explain_blind(card, machine, built)
    recipe = _recipe(card, toolbox)
    advice = f"{recipe.needs} Then install it again:" if recipe.needs else "Install it again:"
    return Remedy(
        f"{name}: this build of llama-cpp-python has no backend for it.",
        advice,
        _write_command(toolbox, machine, recipe),
    )


def machine_notes(machine: Machine) -> tuple[str, ...]:
    """What a person should know before a run.

    Args:
        machine: The machine.

    Returns:
        Why llama.cpp does not load; else devices without memory, and the card that is not used where none is.
    """
    if machine.failure:
        return (str(explain_failure(machine.failure, machine, Toolbox())),)
    remedies = list(silent_devices(machine))
    if not local_devices(machine):
        remedies += [explain_unused(card, machine, Toolbox()) for card in _drivable_cards(machine)[:1]]
    return tuple(map(str, remedies))


def _explain_blind(card: Card, machine: Machine, built: list[str]) -> Remedy:
    """The build has a backend for the card, and the backend does not find it."""
    found = f"{card.name} is not used: the backend {' and '.join(built)} does not find it."
    hiding = [name for name in machine.environment if "VISIBLE_DEVICES" in name or name == "ONEAPI_DEVICE_SELECTOR"]
    if hiding:
        return Remedy(found, f"Perhaps it is hidden: unset {', '.join(hiding)}.")
    check = {"NVIDIA": "nvidia-smi", "AMD": "rocminfo"}.get(card.vendor, "vulkaninfo --summary")
    version = f" {card.driver_version}" if card.driver_version else ""
    return Remedy(
        found, f"Its driver{version} is too old for this build, or broken: see what {check} says, and update it."
    )


def _drivable_cards(machine: Machine) -> list[Card]:
    """Cards that have a driver, those that are no part of the processor first."""
    return sorted((card for card in machine.cards if card.driver), key=lambda card: card.is_integrated)


def _guess_recipe(machine: Machine, toolbox: Toolbox) -> _Recipe:
    """How to build for the card of a machine where it is not known what was built."""
    worth_it = [card for card in _drivable_cards(machine) if card.vendor == "Apple" or not card.is_integrated]
    return _recipe(worth_it[0], toolbox) if worth_it and not machine.backends else _Recipe(())


def _recipe(card: Card, toolbox: Toolbox) -> _Recipe:
    """How to build for a card: with the vendor's own compiler where that is there, else for Vulkan."""
    tools = toolbox.tools
    if card.vendor == "NVIDIA":
        return _cuda_recipe(card, tools)
    if card.vendor == "Apple":
        return _Recipe(("-DGGML_METAL=on",))
    if card.vendor == "AMD" and (tools is None or "hipcc" in tools):
        target = (f"-DGPU_TARGETS={card.architecture}",) if card.architecture else ()
        # so llama.cpp's docs/build.md has it
        compiler = ('HIPCXX="$(hipconfig -l)/clang"', 'HIP_PATH="$(hipconfig -R)"') if tools else ()
        return _Recipe(("-DGGML_HIP=on", *target), compiler)
    if card.vendor == "Intel" and tools is not None and "icpx" in tools:
        return _Recipe(("-DGGML_SYCL=on", "-DCMAKE_C_COMPILER=icx", "-DCMAKE_CXX_COMPILER=icpx"))
    needs = None
    if tools is not None and "glslc" not in tools:
        needs = "glslc is not installed: install the Vulkan SDK (on Debian and Ubuntu, glslc and libvulkan-dev)."
    return _Recipe(("-DGGML_VULKAN=on",), (), needs)


def _cuda_recipe(card: Card, tools: Mapping[str, str] | None) -> _Recipe:
    target = (f"-DCMAKE_CUDA_ARCHITECTURES={card.architecture.replace('.', '')}",) if card.architecture else ()
    options = ("-DGGML_CUDA=on", *target)
    if tools is None:
        return _Recipe(options)
    if "nvcc" not in tools:
        return _Recipe(options, (), "nvcc is not installed: install NVIDIA's CUDA toolkit.")
    path = tools["nvcc"]
    return _Recipe(options, (f"CUDACXX={path}",) if path != "nvcc" else ())


def _write_command(toolbox: Toolbox, machine: Machine, recipe: _Recipe) -> str:
    kept = [_BUILT_BY[backend.name] for backend in machine.backends if backend.name in _BUILT_BY]
    options = " ".join(dict.fromkeys([*recipe.options, *kept]))
    pinned = f'"{toolbox.requirement}"' if set("<>=") & set(toolbox.requirement) else toolbox.requirement
    settings = [*recipe.variables, *([f'CMAKE_ARGS="{options}"'] if options else [])]
    return " ".join([*settings, f"{toolbox.pip} install --force-reinstall --no-cache-dir {pinned}"])
