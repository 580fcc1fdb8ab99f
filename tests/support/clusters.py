"""Clusters for tests: a real scheduler and real workers on loopback, each a process that a test can end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from rpc import free_port

_START_S = 60.0


class _Process:
    """A process of its own group, whose lines are kept."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None):
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**os.environ, "OMP_WAIT_POLICY": "passive", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                self.lines.append(line.rstrip("\n"))

    def wait_for(self, words: str, *, times: int = 1) -> None:
        """Waits until so many lines hold some words."""
        deadline = time.monotonic() + _START_S
        while sum(words in line for line in self.lines) < times:
            assert self._process.poll() is None, "\n".join(self.lines)
            assert time.monotonic() < deadline, "\n".join(self.lines)
            time.sleep(0.02)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, number: int = signal.SIGINT) -> int:
        """Sends a signal, and waits for the end; the exit code."""
        self._process.send_signal(number)
        return self._process.wait(timeout=60)

    def kill(self) -> None:
        """Ends the process and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=60)
        self._reader.join(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def children(self) -> list[int]:
        """Ids of the processes that it has started."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(name) for task in path.parents[1].iterdir() for name in (task / "children").read_text().split()]


class Worker(_Process):
    """A worker as people start it.

    Args:
        address: The scheduler.
        name: What to call it.
        options: More of the command line.
        env: More of the environment.
    """

    def __init__(self, address: str, name: str, *options: str, env: Mapping[str, str] | None = None):
        where = ("--name", name, "--host", "127.0.0.1")
        super().__init__("llamabench", "worker", address, *where, *options, env=env)
        self.name = name


class Cluster:
    """A scheduler, and what tests start at it; all of it ends with the `with` block."""

    def __init__(self, *, scheme: str = "tcp", env: Mapping[str, str] | None = None) -> None:
        self._port = free_port()
        self._env = dict(env or {})
        self._processes: list[_Process] = []
        self.address = f"{scheme}://127.0.0.1:{self._port}"
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Starts the scheduler, or starts it again."""
        where = ("--host", self.address.rpartition(":")[0], "--port", str(self._port))
        self.scheduler = self._keep(
            _Process("dask", "scheduler", *where, "--dashboard-address", "127.0.0.1:0", env=self._env)
        )
        self.scheduler.wait_for("Scheduler at:")

    def add_worker(self, name: str, *options: str, env: Mapping[str, str] | None = None) -> Worker:
        """Starts a worker, and returns when it is there."""
        worker = Worker(self.address, name, *options, env={**self._env, **(env or {})})
        self._keep(worker)
        worker.wait_for("is ready at")
        return worker

    def add_plain_worker(self) -> None:
        """Starts a worker of Dask's own, which knows nothing of models."""
        worker = _Process("dask", "worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        self._keep(worker).wait_for("Starting established connection")

    def _keep(self, process: Any) -> Any:
        self._processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.kill()


@contextlib.contextmanager
def crowd(*names: str) -> Iterator[tuple[Cluster, list[Worker]]]:
    """A scheduler with workers of these names."""
    with Cluster() as cluster:
        yield cluster, [cluster.add_worker(name) for name in names]
