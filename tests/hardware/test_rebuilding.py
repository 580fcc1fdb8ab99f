"""Why a card is not used, and the command that changes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recorded import load_machine

from llamabench.hardware.rebuilding import (
    Toolbox,
    device_of,
    explain_failure,
    explain_unused,
    install_command,
    machine_notes,
)
from llamabench.records import Backend, Card, Device

GIB = 1 << 30
PINNED = "llama-cpp-python>=0.3.36,<0.3.37"
REINSTALL = f'pip install --force-reinstall --no-cache-dir "{PINNED}"'


def with_tools(**tools: str) -> Toolbox:
    return Toolbox("pip", PINNED, tools)


@pytest.mark.parametrize(
    ("toolbox", "needs", "before", "pip"),
    [
        (Toolbox(), False, "", "pip install --force-reinstall --no-cache-dir llama-cpp-python"),
        (with_tools(), True, "", REINSTALL),
        (with_tools(nvcc="nvcc"), False, "", REINSTALL),
        (with_tools(nvcc="/opt/cuda/bin/nvcc"), False, "CUDACXX=/opt/cuda/bin/nvcc ", REINSTALL),
    ],
    ids=["nobody looked", "no nvcc", "nvcc on the path", "nvcc elsewhere"],
)
def test_nvidia(toolbox: Toolbox, needs: bool, before: str, pip: str) -> None:
    machine = load_machine("nvidia_unused")
    remedy = explain_unused(machine.cards[0], machine, toolbox)
    assert remedy.found == (
        "NVIDIA GeForce RTX 3060 is not used: this build of llama-cpp-python has no backend for it."
    )
    assert ("nvcc is not installed" in remedy.advice) == needs
    options = "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=86 -DGGML_RPC=on"
    assert remedy.command == f'{before}CMAKE_ARGS="{options}" {pip}'


@pytest.mark.parametrize(
    ("vendor", "toolbox", "options"),
    [
        ("AMD", Toolbox(), "-DGGML_HIP=on -DGPU_TARGETS=gfx1100"),
        ("AMD", with_tools(hipcc="hipcc"), "-DGGML_HIP=on -DGPU_TARGETS=gfx1100"),
        ("AMD", with_tools(glslc="glslc"), "-DGGML_VULKAN=on"),
        ("Intel", with_tools(glslc="glslc"), "-DGGML_VULKAN=on"),
        ("Intel", with_tools(icpx="icpx"), "-DGGML_SYCL=on -DCMAKE_C_COMPILER=icx -DCMAKE_CXX_COMPILER=icpx"),
        ("Apple", with_tools(), "-DGGML_METAL=on"),
        ("other", Toolbox(), "-DGGML_VULKAN=on"),
    ],
)
def test_backend_for_a_vendor(vendor: str, toolbox: Toolbox, options: str) -> None:
    card = Card(vendor, "A card", driver="any", architecture="gfx1100" if vendor == "AMD" else None)  # type: ignore[arg-type]
    remedy = explain_unused(card, replace(load_machine("no_gpu"), cards=(card,)), toolbox)
    assert remedy.command is not None
    assert f'CMAKE_ARGS="{options}" pip install' in remedy.command
    assert remedy.command.startswith("HIPCXX=") == ("hipcc" in (toolbox.tools or {}))
    assert "glslc is not installed" not in remedy.advice


def test_vulkan_needs_its_compiler() -> None:
    card = Card("Intel", "An Arc", driver="xe")
    assert "glslc is not installed" in explain_unused(card, load_machine("no_gpu"), with_tools()).advice


@pytest.mark.parametrize(
    ("name", "found", "advice"),
    [
        ("broken_driver", "not used. NVIDIA's management library does not start: Driver", "Restart the computer"),
        ("amd_closed", "you may not open its device file", "groups render and video"),
        ("container_without_its_card", "this container was not given it", "--gpus all"),
    ],
)
def test_what_no_build_would_change(name: str, found: str, advice: str) -> None:
    machine = load_machine(name)
    remedy = explain_unused(machine.cards[0], machine, with_tools())
    assert found in remedy.found
    assert advice in remedy.advice
    assert remedy.command is None


@pytest.mark.parametrize(("driver", "words"), [(None, "it has no driver"), ("nouveau", "its driver is nouveau")])
def test_a_card_without_its_vendors_driver(driver: str | None, words: str) -> None:
    remedy = explain_unused(Card("NVIDIA", "A card", driver=driver), load_machine("no_gpu"), with_tools())
    assert words in remedy.found
    assert remedy.advice == "Install NVIDIA's driver."


def test_a_backend_that_finds_no_card() -> None:
    machine = replace(load_machine("broken_driver"), driver_failure=None)
    remedy = explain_unused(machine.cards[0], machine, with_tools())
    assert remedy.found.endswith("the backend CUDA does not find it.")
    assert remedy.advice == (
        "Its driver 535.183.01 is too old for this build, or broken: see what nvidia-smi says, and update it."
    )
    hidden = replace(machine, environment={"CUDA_VISIBLE_DEVICES": ""})
    assert "unset CUDA_VISIBLE_DEVICES" in explain_unused(machine.cards[0], hidden, with_tools()).advice


def test_translated_python() -> None:
    machine = load_machine("apple_without_metal")
    assert machine.processor is not None
    translated = replace(machine, processor=replace(machine.processor, is_translated=True))
    assert "runs translated" in explain_unused(machine.cards[0], translated, with_tools()).found
    assert "-DGGML_METAL=on" in str(explain_unused(machine.cards[0], machine, with_tools()))


def test_cards_are_devices_by_address_or_by_backend() -> None:
    one, two = Card("NVIDIA", "one", "0000:01:00.0"), Card("NVIDIA", "two", "0000:02:00.0")
    device = Device("CUDA0", "two", "gpu", "CUDA", 1, 2, "0000:02:00.0")
    machine = replace(load_machine("no_gpu"), devices=(device,), cards=(one, two))
    assert (device_of(one, machine), device_of(two, machine)) == (None, device)
    nameless = replace(device, pci_id=None)
    assert device_of(one, replace(machine, devices=(nameless,))) == nameless
    assert device_of(Card("AMD", "a card"), replace(machine, devices=(nameless,))) is None
    server = replace(device, backend="RPC")
    assert device_of(two, replace(machine, devices=(server,))) is None


def test_what_was_built_stays_built() -> None:
    machine = load_machine("no_gpu")
    assert install_command(with_tools(), machine) == REINSTALL
    built = replace(machine, backends=(Backend("RPC", 0), Backend("CUDA", 1), Backend("CPU", 1)))
    assert install_command(with_tools(), built) == f'CMAKE_ARGS="-DGGML_RPC=on -DGGML_CUDA=on" {REINSTALL}'
    native = install_command(with_tools(), built, options=("-DGGML_NATIVE=on", "-DGGML_CUDA=on"))
    assert native == f'CMAKE_ARGS="-DGGML_NATIVE=on -DGGML_CUDA=on -DGGML_RPC=on" {REINSTALL}'


def test_the_card_decides_where_nobody_knows_what_was_built() -> None:
    machine = replace(load_machine("nvidia_unused"), backends=(), failure="It does not load.")
    remedy = explain_failure("It does not load.", machine, with_tools())
    assert remedy.command == f'CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=86" {REINSTALL}'
    assert remedy.advice.startswith("nvcc is not installed")
    assert explain_failure("x", machine, with_tools(nvcc="nvcc")).advice == "To install it again:"
    integrated = replace(load_machine("intel_hybrid"), backends=())
    assert explain_failure("x", integrated, with_tools()) == ("x", "To install it again:", REINSTALL)


def test_notes_before_a_run() -> None:
    assert machine_notes(load_machine("no_gpu")) == ()
    assert machine_notes(load_machine("nvidia_12gb")) == ()
    assert machine_notes(load_machine("laptop_on_battery")) == ()
    (note,) = machine_notes(load_machine("nvidia_unused"))
    assert "RTX 3060 is not used" in note
    assert "GGML_CUDA=on" in note
    (note,) = machine_notes(replace(load_machine("nvidia_unused"), failure="It broke."))
    assert note.startswith("It broke. To install it again: ")
    both = replace(
        load_machine("intel_hybrid"), cards=(*load_machine("intel_hybrid").cards, *load_machine("amd_closed").cards)
    )
    (note,) = machine_notes(both)
    assert note.startswith("AMD graphics")
