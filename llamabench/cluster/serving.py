"""A worker's process: at a scheduler for as long as there is one, and looking for it again when it went away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamabench.cluster.connecting import check_certificates, import_distributed
from llamabench.cluster.desk import Desk, sit_at
from llamabench.errors import EngineError


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a person decided of a worker.

    Attributes:
        scheduler: Address of the scheduler.
        places: Files, and folders of files, where models are looked for first.
        name: What the worker is called; None for a name of its machine and process.
        host: Address of this machine that others reach it at; None for the one that leads to the scheduler.
        port: Port to listen at; 0 for any.
    """

    scheduler: str
    places: tuple[Path, ...] = ()
    name: str | None = None
    host: str | None = None
    port: int = 0


def serve(options: WorkerOptions, tell: Callable[[str], None]) -> None:
    """Takes chunks from a scheduler until Ctrl-C, or until the process is told to end.

    Args:
        options: The worker.
        tell: Told in words what happens.

    Raises:
        MissingPackageError: Dask is not installed.
        EngineError: The worker cannot listen, or has no certificates for the scheduler.
    """
    distributed = import_distributed()
    check_certificates(distributed, options.scheduler, "worker")
    desk = Desk(options.name or f"{platform.node()}-{os.getpid()}", options.places, tell)
    sit_at(desk)
    try:
        with tempfile.TemporaryDirectory(prefix="llamabench-") as folder, contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_serve(distributed, options, desk, folder=folder, tell=tell))
    finally:
        sit_at(None)
        desk.close()


async def _serve(
    distributed: Any, options: WorkerOptions, desk: Desk, *, folder: str, tell: Callable[[str], None]
) -> None:
    import dask.config

    dask.config.set({"distributed.worker.http.routes": []})
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    while True:
        tell(f"{desk.name} looks for the scheduler at {options.scheduler}.")
        try:
            worker = distributed.Worker(
                options.scheduler,
                nthreads=1,
                name=desk.name,
                host=options.host,
                port=options.port,
                memory_limit=0,  # the model is in a process of its own
                local_directory=folder,
                dashboard=False,
            )
            async with worker:
                tell(f"{desk.name} is ready at {worker.address}. Ctrl-C ends it.")
                try:
                    await worker.finished()
                except asyncio.CancelledError:
                    desk.close()  # or the chunk under way would be waited for
                    raise
        except (OSError, ValueError, TypeError, RuntimeError) as exc:
            reason = exc.__cause__ or exc
            raise EngineError(
                f"The worker cannot take part at {options.scheduler}: {reason}. Look at --host and --port."
            ) from exc
        tell(f"The scheduler at {options.scheduler} is gone.")
