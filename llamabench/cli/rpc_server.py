"""`llamabench rpc-server`: this machine's memory for a run on another."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from llamabench.cli.planning import read_size
from llamabench.cli.screen import say

_LOOPBACK = "127."
_EVERYWHERE = "0.0.0.0"  # nosec B104 # to warn of it


@click.command(short_help="Lend this machine's memory to a run on another.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="This machine's address to listen at."
)
@click.option("--port", type=click.IntRange(1, 65535), default=50052, show_default=True, help="Port to listen at.")
@click.option(
    "--threads",
    "n_threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processor threads. [one for each performance core]",
)
@click.option(
    "--memory",
    "most_bytes",
    callback=read_size,
    metavar="SIZE",
    help="Most to offer of each device, as in 6G. [all that is free]",
)
@click.option("--cache", "has_cache", is_flag=True, help="Keep weights on this disk: they need not be sent again.")
def command(*, host: str, port: int, n_threads: int | None, most_bytes: int | None, has_cache: bool) -> int:
    """Lend this machine's graphics cards, or its processor and memory, to `llamabench run MODEL --rpc HOST:PORT`.

    Both machines need the same version of llama-cpp-python. One run is served at a time. Ctrl-C ends the server.

    The protocol is llama.cpp's own. It has no password and no encryption, and trusts what it is sent: whoever reaches
    the port can read the model and the texts, and may take over this process. Stay on a network that you trust, and
    never open the port to the internet.

    Example: llamabench rpc-server --host 192.168.1.5
    """
    from llamabench.engine.servers import Address, resolve_host
    from llamabench.engine.serving import ServerOptions, serve_devices
    from llamabench.hardware.machine import read_machine
    from llamabench.hardware.memory import read_available_bytes

    address = Address(resolve_host(host), port)
    if not address.host.startswith(_LOOPBACK):
        say(
            f"Careful: everyone who reaches {address.host}:{port} can use this server. It has no password and no "
            "encryption.",
            err=True,
        )
    machine = read_machine()
    for note in machine.notes:
        say(note, err=True)
    options = ServerOptions(
        address=address,
        n_threads=n_threads or machine.n_performance_cores,
        free_memory=read_available_bytes,
        most_bytes=most_bytes,
        cache_folder=str(_make_cache_folder()) if has_cache else None,
    )

    def tell() -> None:
        name = platform.node() if address.host == _EVERYWHERE else address.host
        say(f"Serving at {address.host}:{port}. Use it with: llamabench run MODEL --rpc {name}:{port}")

    try:
        serve_devices(options, ready=tell)
    except KeyboardInterrupt:
        say("The server has ended.", err=True)
    return 0


def _make_cache_folder() -> Path:
    from platformdirs import user_cache_path

    from llamabench.errors import StoreError

    folder = user_cache_path("llamabench", appauthor=False) / "rpc"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(f"The folder {folder} cannot be made: {exc.strerror}. Leave out --cache.") from exc
    say(f"Weights are kept in {folder}.", err=True)
    return folder
