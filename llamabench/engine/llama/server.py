"""This machine's devices, served to others."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from llamabench.engine.llama.library import ggml, initialise, offload_handles
from llamabench.engine.llama.remote import rpc_function
from llamabench.engine.llama.virtual import change_memory, why_unusable

_PROCESSOR = 0  # GGML_BACKEND_DEVICE_TYPE_CPU


def serve(
    address: str, *, n_threads: int, free_memory: Callable[[], int], most_bytes: int | None, cache_folder: str | None
) -> None:
    """Serves the devices that layers go to, or else the processor; returns only when it cannot.

    Args:
        address: IPv4 address and port to listen at.
        n_threads: Threads of the processor.
        free_memory: Bytes that are free on the host: ggml's processor would call all that is installed free.
        most_bytes: How large clients are told that each device is at most, None for its real size.
        cache_folder: Folder for weights that were sent once; None to keep none.

    Raises:
        ServerError: llama.cpp was built without the RPC backend.
        EngineError: What devices tell of their memory cannot be changed in this build.
    """
    initialise()
    cards = offload_handles()
    handles = cards or [ggml("ggml_backend_dev_by_type", ctypes.c_void_p, ctypes.c_int)(_PROCESSOR)]

    def tell(free: int, total: int) -> tuple[int, int]:
        most = total if most_bytes is None else min(total, most_bytes)
        return min(free if cards else free_memory(), most), most

    if most_bytes is not None or (not cards and why_unusable() is None):
        for handle in handles:
            change_memory(handle, tell)
    start = rpc_function(
        "ggml_backend_rpc_start_server",
        None,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_size_t,
        ctypes.POINTER(ctypes.c_void_p),
    )
    folder = None if cache_folder is None else cache_folder.encode()
    start(address.encode(), folder, n_threads, len(handles), (ctypes.c_void_p * len(handles))(*handles))
