"""Bounds on what a program from a model file may take: processor time, and memory where the system keeps count.

Chat templates are programs. Their sandbox keeps them from touching anything, not from going on for ever.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator

TIME_S = 2.0
"""Processor seconds after which a program is interrupted; a real template takes less than a thousandth of it."""

LAST_TIME_S = 8.0
"""Processor seconds after which its process is ended by SIGPROF: one long step, such as a power with a million digits,
cannot be interrupted."""

MEMORY_BYTES = 1 << 30
"""What the process may grow by meanwhile."""


class OverrunError(Exception):
    """A program took longer than `TIME_S`."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Bounds what is done inside; time in the main thread only, memory on Linux only.

    Raises:
        OverrunError: The time was over.
        MemoryError: The memory was.
    """
    with _limited_memory(), _limited_time():
        yield


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in the main thread, where the engine's process does its work
        return
    is_over = False

    def interrupt(*_: object) -> None:
        if not is_over:
            raise OverrunError

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, TIME_S)
    signal.setitimer(signal.ITIMER_PROF, LAST_TIME_S)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    if sys.platform != "linux":
        yield  # macOS knows the limit and does not enforce it
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [limit for limit in (soft, hard, _address_space() + MEMORY_BYTES) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """Bytes of address space that the process has."""
    handle = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        return int(os.read(handle, 64).split()[0]) * resource.getpagesize()
    finally:
        os.close(handle)
