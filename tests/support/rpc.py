"""RPC servers for tests: this processor, served over loopback by a process that a test can end, restart and starve."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

GIB = 1 << 30
_connect = socket.socket.connect  # before a fixture forbids it


def skip_without_rpc() -> None:
    """Skips the test where llama.cpp was built without the RPC backend."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    if not any((Path(spec.origin).parent / "lib").glob("*ggml-rpc*")):
        pytest.skip("this llama-cpp-python was built without -DGGML_RPC=on, so there is no device to offload to")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A server that is there while a `with` block lasts, unless a test ends it.

    Args:
        free_bytes: What it says is free.
        spare_bytes: What it can really allocate, None for all there is.
    """

    def __init__(self, *, free_bytes: int = 4 * GIB, spare_bytes: int | None = None):
        skip_without_rpc()
        self.address = f"127.0.0.1:{free_port()}"
        self._arguments = [self.address, str(free_bytes), *([] if spare_bytes is None else [str(spare_bytes)])]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, and returns when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        host, _, port = self.address.partition(":")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError), socket.socket() as probe:
                _connect(probe, (host, int(port)))
                return
            assert self._process.poll() is None, "the server ended"
            time.sleep(0.02)
        raise AssertionError("the server does not listen")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def starve(self) -> None:
        """Lets it have no more memory than it has."""
        assert self._process is not None
        size = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.prlimit(self._process.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


def _main(address: str, free_bytes: str, spare_bytes: str | None = None) -> None:
    from llamabench.engine.llama import initialise, serve

    initialise()
    os.environ["GGML_NO_BACKTRACE"] = "1"
    if spare_bytes is not None:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + int(spare_bytes), resource.RLIM_INFINITY))
    serve(address, n_threads=1, free_memory=lambda: int(free_bytes), most_bytes=None, cache_folder=None)


if __name__ == "__main__":
    _main(*sys.argv[1:])
