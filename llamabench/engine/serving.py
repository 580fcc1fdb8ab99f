"""A server of this machine's devices, in a process of its own: llama.cpp's part of it never returns."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from llamabench.engine import worker
from llamabench.engine.servers import Address, check_port
from llamabench.errors import EngineError, LlamabenchError


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve.

    Attributes:
        address: Where to listen, an IPv4 address and a port.
        n_threads: Threads of the processor, where that is served.
        free_memory: Bytes that are free on the host; importable, because the server starts afresh.
        most_bytes: Most that clients are told of each device, None for all that is free.
        cache_folder: Folder for weights that were sent once; None to keep none.
    """

    address: Address
    n_threads: int
    free_memory: Callable[[], int]
    most_bytes: int | None = None
    cache_folder: str | None = None


def serve_devices(options: ServerOptions, *, ready: Callable[[], None]) -> None:
    """Serves this machine's devices until Ctrl-C.

    Args:
        options: How to serve.
        ready: Called when it is about to listen.

    Raises:
        EngineError: It cannot serve, or the server has ended.
        KeyboardInterrupt: Ctrl-C; the server has ended.
    """
    check_port(options.address)
    context = multiprocessing.get_context("spawn")
    told, telling = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(options, telling), daemon=True)
    with worker.spared_ctrl_c():
        process.start()
    telling.close()
    try:
        failure = told.recv()
        if failure is None:
            ready()
            failure = told.recv()
        raise EngineError(failure)
    except EOFError as exc:
        process.join()
        raise EngineError(f"The server at {_name(options)} has ended (exit code {process.exitcode}).") from exc
    finally:
        process.terminate()
        process.join()


def _serve(options: ServerOptions, telling: Connection) -> None:
    """Runs in the server's process; sends nothing but None when it is ready, and then why it has ended."""
    worker.start()
    os.dup2(2, 1)  # what llama.cpp prints is no result
    try:
        worker.load()
        from llamabench.engine.llama import serve

        telling.send(None)
        serve(
            _name(options),
            n_threads=options.n_threads,
            free_memory=options.free_memory,
            most_bytes=options.most_bytes,
            cache_folder=options.cache_folder,
        )
        telling.send(f"A server cannot listen at {_name(options)}.")
    except LlamabenchError as exc:
        telling.send(str(exc))


def _name(options: ServerOptions) -> str:
    return f"{options.address.host}:{options.address.port}"
