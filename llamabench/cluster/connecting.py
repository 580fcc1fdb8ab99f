"""Dask, as far as a run needs it: a client that lists workers, compares versions and carries tasks.

The only connections of a run on a cluster are Dask's own, to the scheduler that a person names and, through it, to its
workers. Dask unpickles what comes through them: whoever reaches the scheduler can run code on every machine.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from llamabench.cluster.crew import LostTaskError, Sent
from llamabench.errors import EngineError, MissingPackageError, name_cause
from llamabench.extras import pip_command

if TYPE_CHECKING:
    from types import ModuleType

_T = TypeVar("_T")

_CONNECT_S = 10.0
_ANSWER_S = 30.0
_COMPARED = ("llamabench", "distributed", "python")
_LOGGERS = ("distributed", "distributed.client", "distributed.worker", "distributed.core", "distributed.comm")


def import_distributed() -> ModuleType:
    """Dask's package for clusters, silent unless Dask's own configuration has it log.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import dask.config

        # what goes wrong is told in words; Dask would write tracebacks beside them
        dask.config.update_defaults({"logging": dict.fromkeys(_LOGGERS, "critical")})
        import distributed
    except ImportError as exc:
        raise MissingPackageError.for_package("distributed", pip_command("cluster")) from exc
    module: ModuleType = distributed
    return module


def check_address(address: str) -> str | None:
    """What is wrong with the address of a scheduler; None for nothing.

    >>> check_address("tcp://192.168.1.5:8786")
    >>> check_address("192.168.1.5")
    'It is no tcp://HOST:PORT or tls://HOST:PORT.'
    """
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme in ("tcp", "tls") and host and port.isdecimal() and 0 < int(port) < 1 << 16:
        return None
    return "It is no tcp://HOST:PORT or tls://HOST:PORT."


def check_certificates(distributed: ModuleType, address: str, role: Literal["client", "worker"]) -> None:
    """Refuses an address that asks for certificates where Dask's configuration names none for this part.

    Raises:
        EngineError: None are named, or they cannot be read.
    """
    if not address.startswith("tls://"):
        return
    where = f"in Dask's configuration on this machine (distributed.comm.tls.ca-file and .{role})"
    try:
        context = distributed.Security().get_connection_args(role).get("ssl_context")
    except OSError as exc:
        raise EngineError(f"The certificates that are named {where} cannot be read: {name_cause(exc)}.") from exc
    if context is None:
        raise EngineError(f"{address} asks for certificates, and none are named {where}.")


class DaskLink:
    """A client of a scheduler.

    Args:
        address: The scheduler.

    Raises:
        MissingPackageError: Dask is not installed.
        EngineError: The scheduler cannot be reached, or is of another version.
    """

    def __init__(self, address: str):
        distributed = import_distributed()
        check_certificates(distributed, address, "client")
        self.address = address
        self._ended = threading.Event()
        self._faults: dict[str, str | None] = {}
        self._futures: set[Any] = set()
        try:
            self._client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError, RuntimeError) as exc:
            raise EngineError(
                f"The scheduler at {address} cannot be reached ({_first_line(exc)}). "
                "Is it running? Start it there: dask scheduler"
            ) from exc
        try:
            versions = self._read_versions()
            fault = find_differences(versions["client"], versions["scheduler"])
            if fault is not None:
                raise EngineError(f"The scheduler at {address} does not fit. {fault}")
        except BaseException:
            self.close()
            raise

    def find_workers(self) -> dict[str, str | None]:
        """Addresses of the workers that are there; for each, what is wrong with its versions, None for nothing.

        Raises:
            EngineError: The scheduler does not answer any more.
        """
        found = self._ask(self._client.nthreads)
        if any(address not in self._faults for address in found):
            versions = self._read_versions()
            self._faults |= {
                name: find_differences(versions["client"], theirs) for name, theirs in versions["workers"].items()
            }
        return {address: self._faults[address] for address in found if address in self._faults}

    def send(self, address: str, task: Callable[..., _T], *args: Any) -> Sent[_T]:
        """Starts a task on one worker."""
        # work is dealt out by us: a worker must have been let in, and a slow one has no more than it can chew
        future = self._client.submit(task, *args, key=f"llamabench-{uuid.uuid4().hex}", workers=[address])
        self._futures.add(future)
        future.add_done_callback(lambda _: self._ended.set())
        return _Sent(future, self._futures.discard)

    def wait(self, seconds: float) -> None:
        """Waits until a task ends, at most so long."""
        self._ended.wait(seconds)
        self._ended.clear()

    def close(self) -> None:
        """Takes back what is under way and lets go."""
        if self._futures and self._client.status == "running":
            self._client.cancel(list(self._futures))
        self._futures.clear()
        self._client.close(timeout=_CONNECT_S)

    def _read_versions(self) -> Mapping[str, Any]:
        versions: Mapping[str, Any] = self._ask(lambda: self._client.get_versions(packages=["llamabench"]))
        return versions

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except (OSError, TimeoutError, RuntimeError, ValueError) as exc:
            raise EngineError(
                f"The scheduler at {self.address} does not answer any more ({_first_line(exc)}). Start it again."
            ) from exc


class _Sent(Generic[_T]):
    """A task under way, as Dask keeps it."""

    def __init__(self, future: Any, forget: Callable[[Any], None]):
        self._future = future
        self._forget = forget

    def done(self) -> bool:
        return bool(self._future.done())

    def take(self) -> _T:
        from distributed.client import CancelledError
        from distributed.scheduler import KilledWorker

        try:
            result: _T = self._future.result(timeout=_ANSWER_S)
            return result
        except (KilledWorker, CancelledError, TimeoutError, OSError) as exc:
            raise LostTaskError(str(exc)) from exc
        finally:
            self._forget(self._future)


def find_differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """What of two sides' versions, as Dask lists them, may not differ and does; None for nothing."""
    pairs = {name: (_read_version(theirs, name), _read_version(mine, name)) for name in _COMPARED}
    other = [f"{name} {there or '(none)'} there, {here} here" for name, (there, here) in pairs.items() if there != here]
    return f"Versions differ: {'; '.join(other)}. Install the same on all machines." if other else None


def _read_version(versions: Mapping[str, Any], name: str) -> str | None:
    if name == "python":
        return ".".join(str(versions["host"]["python"]).split(".")[:2])
    version: str | None = versions["packages"].get(name)
    return version


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
