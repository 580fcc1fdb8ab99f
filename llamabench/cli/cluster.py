"""Options of commands that may ask the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamabench.cli.planning import read_duration

if TYPE_CHECKING:
    from llamabench.cluster.job import ClusterOptions
    from llamabench.records import RunInfo

_F = TypeVar("_F", bound=Callable[..., Any])


def read_scheduler(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """Reads the address of a scheduler."""
    from llamabench.cluster.connecting import check_address

    fault = None if text is None else check_address(text)
    if fault is not None:
        raise click.BadParameter(f"{text!r}: {fault}")
    return text


_OPTIONS = (
    click.option(
        "--scheduler",
        callback=read_scheduler,
        metavar="ADDRESS",
        help="Connect to a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT, and ask its workers.",
    ),
    click.option(
        "--allow-mixed",
        "allows_mixed",
        is_flag=True,
        help="Let workers take part whose model file or build of llama.cpp differs; they are named.",
    ),
    click.option(
        "--worker-wait",
        "worker_wait_s",
        callback=read_duration,
        default="60s",
        show_default=True,
        metavar="TIME",
        help="How long to wait where no worker is there.",
    ),
)


def cluster_options(command: _F) -> _F:
    """Gives a command the options about a cluster; `read_cluster` takes their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def name_place(info: RunInfo) -> str:
    """Where a run is asked: the processor, and how many workers there are beside that one."""
    names = {one.name for one in info.workers}
    return info.machine.cpu if not names else f"{len(names)} workers, {info.workers[0].name} on {info.machine.cpu}"


def read_cluster(values: dict[str, Any]) -> ClusterOptions | None:
    """Where the workers are, from the values of `cluster_options`, which are taken out; None for no cluster.

    Raises:
        click.UsageError: There is no cluster that the other options could be about.
    """
    from llamabench.cluster.job import ClusterOptions

    scheduler, allows_mixed, wait_s = (values.pop(name) for name in ("scheduler", "allows_mixed", "worker_wait_s"))
    if scheduler is None:
        if allows_mixed:
            raise click.UsageError("--allow-mixed is about the workers of a --scheduler.")
        return None
    return ClusterOptions(scheduler, allows_mixed, wait_s)
