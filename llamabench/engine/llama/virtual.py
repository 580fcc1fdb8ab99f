"""Devices that are not there: what llama.cpp's own layout needs of a graphics card, without the card.

llama.cpp asks a device for its name, its memory, how it aligns tensors and which operations it takes. A structure of
callbacks that answers like a card of some backend makes its layout, which allocates nothing, place a model on it.

The structures are those of `ggml/src/ggml-backend-impl.h` (`GGML_BACKEND_API_VERSION` 2, llama.cpp commit 0c1e57098)
and `ggml/include/ggml.h`; `why_unusable` holds them against the library that is loaded. Not covered: operations that a
backend lacks and leaves to the processor, and what drivers take for themselves.
"""

from __future__ import annotations

import ctypes as ct
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from llamabench.engine.llama.library import DeviceProperties, ggml
from llamabench.errors import EngineError
from llamabench.records import Device

_API_VERSION = 2
_TENSOR_OVERHEAD_LESS_TENSOR = 32  # GGML_OBJECT_SIZE
_F16 = 1
_N_OPERATIONS = 101  # GGML_OP_COUNT
_GPU, _IGPU = 1, 2
_MIN_OFFLOADED_ROWS = 32  # GGML_OP_OFFLOAD_MIN_BATCH
_ANY_ADDRESS = 0x100000

_Pointer, _Size = ct.c_void_p, ct.c_size_t


class _Tensor(ct.Structure):
    _fields_ = (
        ("type", ct.c_int),
        ("buffer", _Pointer),
        ("ne", ct.c_int64 * 4),
        ("nb", _Size * 4),
        ("op", ct.c_int),
        ("op_params", ct.c_int32 * 16),
        ("flags", ct.c_int32),
        ("src", _Pointer * 10),
        ("view_src", _Pointer),
        ("view_offs", _Size),
        ("data", _Pointer),
        ("name", ct.c_char * 64),
        ("extra", _Pointer),
        ("padding", ct.c_char * 8),
    )


def _callback(result: Any, *arguments: Any) -> Any:
    return ct.CFUNCTYPE(result, *arguments)


_TensorAt, _SizeAt = ct.POINTER(_Tensor), ct.POINTER(_Size)
_Text = _callback(_Pointer, _Pointer)
_Get = _callback(_Pointer, _Pointer)
_Number = _callback(_Size, _Pointer)


class _BufferTypeInterface(ct.Structure):
    _fields_ = (
        ("get_name", _Text),
        ("alloc_buffer", _callback(_Pointer, _Pointer, _Size)),
        ("get_alignment", _Number),
        ("get_max_size", _Number),
        ("get_alloc_size", _callback(_Size, _Pointer, _TensorAt)),
        ("is_host", _callback(ct.c_bool, _Pointer)),
    )


class _BufferType(ct.Structure):
    _fields_ = (("iface", _BufferTypeInterface), ("device", _Pointer), ("context", _Pointer))


class _BufferInterface(ct.Structure):
    _fields_ = (
        ("free_buffer", _callback(None, _Pointer)),
        ("get_base", _Get),
        *((name, _Pointer) for name in ("init_tensor", "memset_tensor", "set_tensor", "get_tensor")),
        *((name, _Pointer) for name in ("set_tensor_2d", "get_tensor_2d", "cpy_tensor")),
        ("clear", _callback(None, _Pointer, ct.c_uint8)),
        ("reset", _Pointer),
    )


class _BackendInterface(ct.Structure):
    _fields_ = (
        ("get_name", _Text),
        ("free", _callback(None, _Pointer)),
        *((name, _Pointer) for name in ("set_async", "get_async", "set_2d_async", "get_2d_async", "cpy_async")),
        ("synchronize", _callback(None, _Pointer)),
        *((name, _Pointer) for name in ("plan_create", "plan_free", "plan_update", "plan_compute")),
        *((name, _Pointer) for name in ("graph_compute", "event_record", "event_wait", "graph_optimize")),
    )


class _Backend(ct.Structure):
    _fields_ = (("guid", _Pointer), ("iface", _BackendInterface), ("device", _Pointer), ("context", _Pointer))


class _DeviceInterface(ct.Structure):
    _fields_ = (
        ("get_name", _Text),
        ("get_description", _Text),
        ("get_memory", _callback(None, _Pointer, _SizeAt, _SizeAt)),
        ("get_type", _callback(ct.c_int, _Pointer)),
        ("get_props", _callback(None, _Pointer, ct.POINTER(DeviceProperties))),
        ("init_backend", _callback(_Pointer, _Pointer, _Pointer)),
        ("get_buffer_type", _Get),
        ("get_host_buffer_type", _Get),
        ("buffer_from_host_ptr", _Pointer),
        ("supports_op", _callback(ct.c_bool, _Pointer, _TensorAt)),
        ("supports_buft", _callback(ct.c_bool, _Pointer, _Pointer)),
        ("offload_op", _callback(ct.c_bool, _Pointer, _TensorAt)),
        ("event_new", _Pointer),
        ("event_free", _Pointer),
        ("event_synchronize", _Pointer),
    )


class _Device(ct.Structure):
    _fields_ = (("iface", _DeviceInterface), ("reg", _Pointer), ("context", _Pointer))


class _Habits(NamedTuple):
    """How a backend's devices lay tensors out.

    Attributes:
        alignment: Bytes that tensors are aligned to.
        row_padding: Elements that rows of quantized tensors are padded to, 1 for none.
        host_buffer: Name of its pinned host buffers, None where it has none.
        copies_kv: Whether flash attention copies one layer's keys and values to f16 where they are quantized.
        has_events: Whether work on several devices overlaps, which takes more scheduler buffers.
    """

    alignment: int
    row_padding: int
    host_buffer: str | None
    copies_kv: bool
    has_events: bool


_HABITS = {
    "CUDA": _Habits(128, 512, "CUDA_Host", copies_kv=True, has_events=True),
    "ROCm": _Habits(128, 512, "ROCm_Host", copies_kv=True, has_events=True),
    "MTL": _Habits(32, 1, None, copies_kv=False, has_events=False),
    "Vulkan": _Habits(64, 1, "Vulkan_Host", copies_kv=False, has_events=True),
    "SYCL": _Habits(128, 512, "SYCL_Host", copies_kv=False, has_events=False),
}
"""Source: the `ggml_backend_*_buffer_type_*` functions of each backend; `sched copies` needs async and events."""


def why_unusable() -> str | None:
    """Why virtual devices cannot be used with the llama.cpp that is loaded; None when they can.

    Compares versions and sizes, and reads the processor's real device through the structures above.
    """
    if ggml("ggml_tensor_overhead", _Size)() - _TENSOR_OVERHEAD_LESS_TENSOR != ct.sizeof(_Tensor):
        return "tensors have another size in this build of llama.cpp"
    device = ggml("ggml_backend_dev_by_type", _Pointer, ct.c_int)(0)
    registry = ggml("ggml_backend_dev_backend_reg", _Pointer, _Pointer)(device)
    if not registry or ct.c_int.from_address(registry).value != _API_VERSION:
        return "devices have another interface in this build of llama.cpp"
    seen = ct.cast(device, ct.POINTER(_Device)).contents
    if seen.reg != registry:
        return "device structures differ in this build of llama.cpp"
    public_type = ggml("ggml_backend_dev_buffer_type", _Pointer, _Pointer)(device)
    if seen.iface.get_type(device) != 0 or seen.iface.get_buffer_type(device) != public_type:
        return "device callbacks stand in another order in this build of llama.cpp"
    if ct.cast(public_type, ct.POINTER(_BufferType)).contents.device not in (None, device):
        return "buffer types differ in this build of llama.cpp"
    return None


_memory_callbacks: list[Any] = []  # they live as long as llama.cpp may call them


def change_memory(device: int, change: Callable[[int, int], tuple[int, int]]) -> None:
    """Lets a real device tell other figures of its memory, for as long as this process lives.

    Args:
        device: Its handle.
        change: Free and total bytes as the device tells them, to those it is to tell.

    Raises:
        EngineError: Devices cannot be changed in this build of llama.cpp.
    """
    if (reason := why_unusable()) is not None:
        raise EngineError(f"What a device tells of its memory cannot be changed: {reason}.")
    interface = ct.cast(device, ct.POINTER(_Device)).contents.iface
    kind = dict(_DeviceInterface._fields_)["get_memory"]
    # the field itself would change under our hands: its address stays
    usual = kind(ct.cast(interface.get_memory, _Pointer).value)
    callback = kind(partial(_tell_changed, usual, change))
    _memory_callbacks.append(callback)
    interface.get_memory = callback


def _tell_changed(
    usual: Callable[..., None], change: Callable[[int, int], tuple[int, int]], device: int, free: Any, total: Any
) -> None:
    usual(device, free, total)
    free[0], total[0] = change(free[0], total[0])


class VirtualDevice:
    """A device that llama.cpp can lay a model out on, and nothing more.

    Args:
        device: What it is to look like. `backend` decides how tensors are laid out; one that is not known is taken
            for CUDA, whose padding is the largest.
    """

    def __init__(self, device: Device):
        self._device = device
        self._habits = _HABITS.get(device.backend, _HABITS["CUDA"])
        self._texts = [ct.create_string_buffer(text.encode()) for text in (device.name, device.description, "")]
        self._kept: list[Any] = []  # callbacks and backends live as long as llama.cpp may use them
        self._operations = _operation_numbers()
        self._buffers = _BufferInterface()
        self._type = _BufferType()
        self._host_type = _BufferType()
        self._struct = _Device()
        self._guid = (ct.c_uint8 * 16)(*range(1, 17))
        self._make_buffer_type()
        if self._habits.host_buffer:
            self._make_host_buffer_type(self._habits.host_buffer)
        self._make_device()

    @property
    def address(self) -> int:
        """Where llama.cpp finds it."""
        return ct.addressof(self._struct)

    def _set(self, interface: ct.Structure, name: str, function: Callable[..., Any]) -> None:
        fields: Any = interface._fields_
        callback = dict(fields)[name](function)
        self._kept.append(callback)
        setattr(interface, name, callback)

    def _make_buffer_type(self) -> None:
        self._set(self._buffers, "free_buffer", lambda _buffer: None)
        self._set(self._buffers, "get_base", lambda _buffer: _ANY_ADDRESS)
        self._set(self._buffers, "clear", lambda _buffer, _value: None)
        make = ggml("ggml_backend_buffer_init", _Pointer, _Pointer, _BufferInterface, _Pointer, _Size)
        interface = self._type.iface
        self._set(interface, "get_name", lambda _type: ct.addressof(self._texts[0]))
        self._set(interface, "alloc_buffer", lambda kind, size: make(kind, self._buffers, None, size))
        self._set(interface, "get_alignment", lambda _type: self._habits.alignment)
        self._set(interface, "get_alloc_size", self._allocated_bytes)
        self._type.device = self.address

    def _make_host_buffer_type(self, name: str) -> None:
        """The processor's buffers under another name."""
        processor = ggml("ggml_backend_cpu_buffer_type", _Pointer)()
        ct.memmove(ct.byref(self._host_type), processor, ct.sizeof(_BufferType))
        self._texts.append(ct.create_string_buffer(name.encode()))
        self._set(self._host_type.iface, "get_name", lambda _type: ct.addressof(self._texts[3]))
        self._host_type.device = self.address

    def _make_device(self) -> None:
        interface = self._struct.iface
        self._set(interface, "get_name", lambda _device: ct.addressof(self._texts[0]))
        self._set(interface, "get_description", lambda _device: ct.addressof(self._texts[1]))
        self._set(interface, "get_memory", self._tell_memory)
        self._set(interface, "get_type", lambda _device: self._kind)
        self._set(interface, "get_props", self._tell_properties)
        self._set(interface, "init_backend", self._make_backend)
        self._set(interface, "get_buffer_type", lambda _device: ct.addressof(self._type))
        if self._habits.host_buffer:
            self._set(interface, "get_host_buffer_type", lambda _device: ct.addressof(self._host_type))
        self._set(interface, "supports_op", lambda _device, _tensor: True)
        self._set(interface, "supports_buft", lambda _device, kind: kind == ct.addressof(self._type))
        self._set(interface, "offload_op", self._would_offload)

    @property
    def _kind(self) -> int:
        return _IGPU if self._device.kind == "igpu" else _GPU

    def _tell_memory(self, _device: int, free: Any, total: Any) -> None:
        free[0], total[0] = self._device.free_bytes, self._device.total_bytes

    def _tell_properties(self, _device: int, properties: Any) -> None:
        ct.memset(properties, 0, ct.sizeof(DeviceProperties))
        told = properties.contents
        told.name, told.description, told.device_id = (ct.addressof(text) for text in self._texts[:3])
        told.memory_free, told.memory_total = self._device.free_bytes, self._device.total_bytes
        told.type = self._kind
        told.caps.async_ = told.caps.events = self._habits.has_events
        told.caps.host_buffer = self._habits.host_buffer is not None
        told.caps.mmap_support = self._device.kind != "igpu"

    def _make_backend(self, _device: int, _parameters: int) -> int:
        backend = _Backend()
        backend.guid, backend.device = ct.addressof(self._guid), self.address
        self._set(backend.iface, "get_name", lambda _backend: ct.addressof(self._texts[0]))
        self._set(backend.iface, "free", lambda _backend: None)
        self._set(backend.iface, "synchronize", lambda _backend: None)
        self._kept.append(backend)
        return ct.addressof(backend)

    def _allocated_bytes(self, _type: int, tensor: Any) -> int:
        """`ggml_backend_cuda_buffer_type_get_alloc_size` and its like."""
        seen = tensor.contents
        size: int = ggml("ggml_nbytes", _Size, _TensorAt)(tensor)
        excess = seen.ne[0] % self._habits.row_padding
        if excess and ggml("ggml_is_quantized", ct.c_bool, ct.c_int)(seen.type):
            row_size = ggml("ggml_row_size", _Size, ct.c_int, ct.c_int64)
            size += row_size(seen.type, self._habits.row_padding - excess)
        if self._habits.copies_kv and seen.op == self._operations["FLASH_ATTN_EXT"]:
            for source in seen.src[1:3]:
                cached = ct.cast(source, _TensorAt).contents
                if cached.type != _F16:
                    size = (size + 127) // 128 * 128
                    size += cached.ne[0] * cached.ne[1] * cached.ne[2] * cached.ne[3] * 2
        return size

    def _would_offload(self, _device: int, tensor: Any) -> bool:
        """Whether weights on the host are sent over for a product (`ggml_backend_cuda_device_offload_op`)."""
        seen = tensor.contents
        if seen.op == self._operations["GET_ROWS"]:
            return False
        if seen.op == self._operations["MUL_MAT"]:
            rows = seen.ne[1]
        elif seen.op in (self._operations["MUL_MAT_ID"], self._operations["ROPE"]):
            rows = seen.ne[2]
        else:
            rows = seen.ne[1] * seen.ne[2] * seen.ne[3]
        return bool(rows >= _MIN_OFFLOADED_ROWS)


def _operation_numbers() -> dict[str, int]:
    """The numbers of the operations that count here, by name; they move from version to version."""
    name_of = ggml("ggml_op_name", ct.c_char_p, ct.c_int)
    wanted = {"FLASH_ATTN_EXT", "GET_ROWS", "MUL_MAT", "MUL_MAT_ID", "ROPE"}
    numbers: dict[str, int] = {}
    for number in range(_N_OPERATIONS):
        name = name_of(number).decode()
        if name in wanted:
            numbers[name] = number
    return numbers
