"""`llamabench worker`: this machine's part in runs that are started on another."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from llamabench.cli.cluster import read_scheduler
from llamabench.cli.screen import say


@click.command(short_help="Take part in runs that are started on another machine.")
@click.argument("scheduler", callback=read_scheduler)
@click.option(
    "--models",
    "places",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER|FILE",
    help="Where models lie on this machine, in folders below too; repeat for several.",
)
@click.option("--name", metavar="NAME", help="What to call this worker. [this machine and its process]")
@click.option(
    "--host", metavar="ADDRESS", help="This machine's address for the others. [the one that leads to SCHEDULER]"
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen at, for a firewall. [any]")
def command(scheduler: str, *, places: tuple[Path, ...], name: str | None, host: str | None, port: int) -> int:
    """Take part in runs that are started with `llamabench run MODEL --scheduler SCHEDULER` on another machine.

    SCHEDULER is the address of a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT; start one with `dask scheduler`.
    The model is found by its contents, plans are made for this machine, and nothing is stored here. One worker on each
    machine. Ctrl-C ends it; what it had in hand is asked of the others.

    Whoever reaches the scheduler can run any code on this machine. Stay on a network that you trust, or use
    certificates (tls://), and never open the port to the internet.

    Example: llamabench worker tcp://192.168.1.5:8786 --models ~/models
    """
    from llamabench.cluster.serving import WorkerOptions, serve

    if scheduler.startswith("tcp://") and not scheduler.startswith("tcp://127."):
        say(f"Careful: everyone who reaches {scheduler} can run any code on this machine.", err=True)
    options = WorkerOptions(scheduler, places, name, host, port)
    with contextlib.suppress(KeyboardInterrupt):
        serve(options, lambda text: say(text, err=True))
    say("The worker has ended.", err=True)
    return 0
