"""llama.cpp itself: starting it, its log and last words, and what it can compute on.

Every ggml symbol is looked up through `llama_cpp.llama_cpp._lib`: another handle opens a second image of the
library with a device list of its own.
"""

from __future__ import annotations

import ctypes
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llama_cpp as _binding
from llama_cpp import llama_cpp as api

from llamabench.records import Backend, Device, DeviceKind

_lib: Any = api._lib
_WARN, _ERROR, _CONTINUED = 3, 4, 5
_DEVICE_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}


class LastWords:
    """Keeps what llama.cpp last complained about, and writes its dying words to a file.

    Attributes:
        lines: The last warnings and errors.
        record: Where every line goes while somebody reads along, None for nowhere.
        path: File for the message of a failed assertion.
    """

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=40)
        self.record: list[str] | None = None
        self.path: Path | None = None
        self._level = 0

    def log(self, level: int, text: bytes) -> None:
        """Takes a line of the log, or a piece that continues one."""
        self._level = self._level if level == _CONTINUED else level
        if self.record is not None:
            self.record.append(text.decode(errors="replace"))
        if self._level in (_WARN, _ERROR):
            self.lines.append(text.decode(errors="replace").strip())

    def abort(self, text: bytes) -> None:
        """Takes the message of a failed assertion; the process ends right after."""
        if self.path is not None:
            self.path.write_text(text.decode(errors="replace").strip(), encoding="utf-8")

    def tail(self) -> str:
        """The last complaint in one line."""
        lines = [line for line in self.lines if line]
        return " / ".join(lines[-3:]) if lines else "llama.cpp gave no reason"


last_words = LastWords()
_is_initialised = False
_on_decode: Callable[[], None] | None = None


def _log(level: int, text: bytes, _user_data: object) -> None:
    last_words.log(level, text)


# ctypes callbacks live as long as llama.cpp may call them
_on_log: Any = api.llama_log_callback(_log)
_on_abort: Any = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(last_words.abort)


def initialise(abort_file: Path | None = None, on_decode: Callable[[], None] | None = None) -> None:
    """Starts llama.cpp with its log kept quiet.

    Args:
        abort_file: File that receives the message of a failed assertion before llama.cpp ends the process.
        on_decode: Called after every decode.
    """
    global _is_initialised, _on_decode
    if abort_file is not None:
        last_words.path = abort_file
    if on_decode is not None:
        _on_decode = on_decode
    if _is_initialised:
        return
    api.llama_log_set(_on_log, ctypes.c_void_p(0))
    _lib.ggml_set_abort_callback(_on_abort)
    api.llama_backend_init()
    _is_initialised = True


def note_decode() -> None:
    """Tells whoever asked to know that a decode has ended."""
    if _on_decode is not None:
        _on_decode()


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """What this build of llama.cpp is and what it can compute on; the processor is not among `devices`."""

    devices: tuple[Device, ...]
    cpu_description: str
    llama_cpp_python: str
    llama_cpp_commit: str
    backends: tuple[Backend, ...] = ()


@cache
def ggml(name: str, result: Any, *arguments: Any) -> Any:
    """A function of ggml or llama.cpp that the binding does not offer.

    Args:
        name: Its name in the library.
        result: ctypes type of what it returns.
        arguments: ctypes types of what it takes.

    Raises:
        AttributeError: This build has no such function.
    """
    function = _lib[name]
    function.restype, function.argtypes = result, list(arguments)
    return function


class _Feature(ctypes.Structure):
    """`ggml_backend_feature` of `ggml/include/ggml-backend.h`."""

    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_char_p))


class _Capabilities(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_bool) for name in ("async_", "host_buffer", "buffer_from_host_ptr", "events", "mmap_support")
    )


class DeviceProperties(ctypes.Structure):
    """`ggml_backend_dev_props` of `ggml/include/ggml-backend.h`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("description", ctypes.c_void_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_void_p),
        ("caps", _Capabilities),
    )


def _read_pci_id(handle: int) -> str | None:
    """Where a device is on the bus, if its backend tells."""
    properties = DeviceProperties()
    ggml("ggml_backend_dev_get_props", None, ctypes.c_void_p, ctypes.POINTER(DeviceProperties))(
        handle, ctypes.byref(properties)
    )
    text = ctypes.cast(properties.device_id, ctypes.c_char_p).value
    return text.decode(errors="replace").lower() if text else None


def list_devices() -> list[int]:
    """Handles of this machine's devices, the processor among them; a card that two backends see counts once."""
    count = ggml("ggml_backend_dev_count", ctypes.c_size_t)()
    get = ggml("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    kind_of = ggml("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    handles: list[int] = []
    seen: set[str] = set()
    for handle in map(get, range(count)):
        card = _read_pci_id(handle) if _DEVICE_KINDS.get(kind_of(handle)) == "gpu" else None
        if card is None or card not in seen:
            handles.append(handle)
        if card is not None:
            seen.add(card)
    return handles


def offload_handles() -> list[int]:
    """Handles of the devices that llama.cpp would spread layers over, as `llama_prepare_model_devices` chooses them."""
    found = [(handle, _read_device(handle)) for handle in list_devices()]
    cards = [handle for handle, device in found if device.kind == "gpu"]
    integrated = [(handle, device) for handle, device in found if device.kind == "igpu"]
    return cards or [handle for handle, device in integrated if device.backend == integrated[0][1].backend]


def _read_registry(handle: int) -> Backend:
    pointer = ctypes.c_void_p
    address = ggml("ggml_backend_reg_get_proc_address", pointer, pointer, ctypes.c_char_p)(
        handle, b"ggml_backend_get_features"
    )
    features: dict[str, str] = {}
    if address:
        found = ctypes.CFUNCTYPE(ctypes.POINTER(_Feature), pointer)(address)(handle)
        # the list ends with a feature that has no name
        for feature in itertools.takewhile(lambda entry: entry.name, found):
            features[feature.name.decode(errors="replace")] = (feature.value or b"").decode(errors="replace")
    return Backend(
        name=ggml("ggml_backend_reg_name", ctypes.c_char_p, pointer)(handle).decode(errors="replace"),
        n_devices=ggml("ggml_backend_reg_dev_count", ctypes.c_size_t, pointer)(handle),
        features=features,
    )


def _read_registries() -> tuple[Backend, ...]:
    count = ggml("ggml_backend_reg_count", ctypes.c_size_t)()
    get = ggml("ggml_backend_reg_get", ctypes.c_void_p, ctypes.c_size_t)
    return tuple(_read_registry(get(index)) for index in range(count))


def _read_device(handle: int) -> Device:
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    free, total = size(), size()
    ggml("ggml_backend_dev_memory", None, pointer, ctypes.POINTER(size), ctypes.POINTER(size))(
        handle, ctypes.byref(free), ctypes.byref(total)
    )
    registry = ggml("ggml_backend_dev_backend_reg", pointer, pointer)(handle)
    kind = ggml("ggml_backend_dev_type", ctypes.c_int, pointer)(handle)
    return Device(
        name=ggml("ggml_backend_dev_name", ctypes.c_char_p, pointer)(handle).decode(errors="replace"),
        description=ggml("ggml_backend_dev_description", ctypes.c_char_p, pointer)(handle).decode(errors="replace"),
        kind=_DEVICE_KINDS.get(kind, "accel"),
        backend=ggml("ggml_backend_reg_name", ctypes.c_char_p, pointer)(registry).decode(errors="replace"),
        free_bytes=free.value,
        total_bytes=total.value,
        pci_id=_read_pci_id(handle),
    )


def read_backend(others: Sequence[int] = ()) -> BackendFacts:
    """Asks ggml for its devices.

    A broken driver may end the process here: call it in a child.

    Args:
        others: Handles of devices that are not this machine's, to be named before its own.

    Returns:
        Devices with free and total memory in bytes, the versions, and what the build contains.
    """
    initialise()
    found = [_read_device(handle) for handle in (*others, *list_devices())]
    processors = [device for device in found if device.kind == "cpu"]
    return BackendFacts(
        devices=tuple(device for device in found if device.kind != "cpu"),
        cpu_description=processors[0].description if processors else "",
        llama_cpp_python=_binding.__version__,
        llama_cpp_commit=ggml("ggml_commit", ctypes.c_char_p)().decode(),
        backends=_read_registries(),
    )
