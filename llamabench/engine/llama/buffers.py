"""What llama.cpp's buffers hold, to the byte, from a function that it exports for itself.

Its result has the layout of one C++ library; where another was used there is nothing.
"""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterator
from typing import Any

from llamabench.engine.llama.library import ggml
from llamabench.records import BufferBytes

_BREAKDOWN = "_Z26llama_get_memory_breakdownPK13llama_context"
_DEEPEST = 16
"""A red-black tree of some buffers is never deeper; what is, is none."""


class _StdMap(ct.Structure):
    """`std::map` of libstdc++, returned by value."""

    _fields_ = tuple((name, ct.c_size_t) for name in ("compare", "colour", "root", "leftmost", "rightmost", "count"))


def read_buffers(context: Any) -> tuple[BufferBytes, ...]:
    """Every buffer of a context and its model; empty where this build of llama.cpp does not tell.

    Args:
        context: Address of an open context.
    """
    try:
        ask = ggml(_BREAKDOWN, _StdMap, ct.c_void_p)
    except AttributeError:
        return ()
    return tuple(_walk(ask(context).root, 0))


def _walk(node: int, depth: int) -> Iterator[BufferBytes]:
    """The nodes of the map, in order."""
    if not node or depth > _DEEPEST:
        return
    _, _, left, right, kind, weights, context, compute = (ct.c_size_t * 8).from_address(node)
    yield from _walk(left, depth + 1)
    name = ggml("ggml_backend_buft_name", ct.c_char_p, ct.c_void_p)(kind).decode(errors="replace")
    is_host = bool(ggml("ggml_backend_buft_is_host", ct.c_bool, ct.c_void_p)(kind))
    owner = ggml("ggml_backend_buft_get_device", ct.c_void_p, ct.c_void_p)(kind)
    device = ggml("ggml_backend_dev_name", ct.c_char_p, ct.c_void_p)(owner).decode(errors="replace") if owner else "CPU"
    yield BufferBytes(name, device, is_host, weights, context, compute)
    yield from _walk(right, depth + 1)
