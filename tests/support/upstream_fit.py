"""llama.cpp's own fitting of a model to devices, called in a process of its own: an oracle for the planner.

    python upstream_fit.py MODEL N_CTX FREE_BYTES...

Prints one JSON document: layers on devices, the split, and the layers with experts on the host. The library that holds
the function is no part of the binding; building llama-cpp-python from source leaves it in `site-packages/lib`.
"""

from __future__ import annotations

import ctypes as ct
import json
import re
import sys
from pathlib import Path

import llama_cpp
from llama_cpp import llama_cpp as api

from llamabench.engine.llama.library import initialise
from llamabench.engine.llama.model import _Override
from llamabench.engine.llama.virtual import VirtualDevice
from llamabench.records import Device

LIBRARY = Path(llama_cpp.__file__).parents[1] / "lib" / "libllama-common.so"
_FIT = (
    "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_override"
    "PmjPK22common_fit_extra_model14ggml_log_level"
)
_MARGIN_BYTES, _LEAST_CTX, _ERROR = 1 << 30, 4096, 4
_MOST_OVERRIDES, _MOST_DEVICES = 4096, 16


def main() -> None:
    path, n_ctx, *free = sys.argv[1], *map(int, sys.argv[2:])
    initialise()
    fit = ct.CDLL(str(LIBRARY))[_FIT]
    fit.argtypes = [ct.c_char_p, *[ct.c_void_p] * 5, ct.c_uint32, ct.c_void_p, ct.c_int]
    cards = [
        VirtualDevice(Device(f"CUDA{index}", "virtual", "gpu", "CUDA", size, size)) for index, size in enumerate(free)
    ]
    devices = (ct.c_void_p * (len(cards) + 1))(*(card.address for card in cards), None)
    model, context = api.llama_model_default_params(), api.llama_context_default_params()
    model.devices, context.n_ctx = ct.addressof(devices), n_ctx
    split = (ct.c_float * _MOST_DEVICES)()
    overrides = (_Override * _MOST_OVERRIDES)()
    margins = (ct.c_size_t * _MOST_DEVICES)(*[_MARGIN_BYTES] * _MOST_DEVICES)
    places = (ct.byref(one) for one in (model, context, split, overrides, margins))
    status = fit(path.encode(), *places, _LEAST_CTX, None, _ERROR)
    patterns = [row.pattern.decode() for row in overrides if row.pattern]
    layers = {int(match[1]) for pattern in patterns if (match := re.search(r"blk\\\.(\d+)", pattern))}
    found = {"status": status, "n_gpu_layers": model.n_gpu_layers, "split": list(split)[: len(free)]}
    print(json.dumps({**found, "n_overridden": len(layers)}))


if __name__ == "__main__":
    main()
