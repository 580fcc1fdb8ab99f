"""Devices of RPC servers.

They are never registered with ggml: what is registered counts for every model of the process. A model that is to use
them lists them instead, before the machine's own devices, as `llama_prepare_model_devices` would.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from typing import Any

from llamabench.engine.llama.library import ggml, initialise
from llamabench.engine.servers import check_server
from llamabench.errors import ServerError

_Pointer = ctypes.c_void_p


def server_devices(addresses: Sequence[str]) -> list[int]:
    """Handles of all devices of some servers.

    Args:
        addresses: `HOST:PORT` of each server, each once.

    Raises:
        ServerError: A server does not answer, or not as it should; or llama.cpp was built without the RPC backend.
    """
    return [device for address in addresses for device in _ask_devices(address)]


def planned_devices(addresses: Sequence[str]) -> list[int]:
    """Handles of the devices of a plan.

    Args:
        addresses: The address of its server for each device.

    Raises:
        ServerError: A server does not answer, or has fewer devices than the plan.
    """
    handles: list[int] = []
    for address, n_planned in Counter(addresses).items():
        found = _ask_devices(address)
        if len(found) < n_planned:
            raise ServerError(
                f"The server at {address} has {len(found)} devices, the plan is for {n_planned}.", address
            )
        handles += found[:n_planned]
    return handles


def _ask_devices(address: str) -> list[int]:
    initialise()
    add_server = rpc_function("ggml_backend_rpc_add_server", _Pointer, ctypes.c_char_p)
    check_server(address)
    registry = add_server(address.encode())
    if not registry:
        raise ServerError(f"The server at {address} offers no device.", address)
    get = ggml("ggml_backend_reg_dev_get", _Pointer, _Pointer, ctypes.c_size_t)
    count = ggml("ggml_backend_reg_dev_count", ctypes.c_size_t, _Pointer)(registry)
    return [get(registry, index) for index in range(count)]


def rpc_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the RPC backend.

    Raises:
        ServerError: llama.cpp was built without it.
    """
    try:
        return ggml(name, result, *arguments)
    except AttributeError as exc:
        raise ServerError(
            "This llama-cpp-python was built without RPC. Reinstall it with "
            'CMAKE_ARGS="-DGGML_RPC=on" pip install --force-reinstall --no-cache-dir llama-cpp-python '
            "(for a GPU, add its option: -DGGML_CUDA=on -DGGML_RPC=on)."
        ) from exc
