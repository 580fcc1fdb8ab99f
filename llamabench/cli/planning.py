"""Options that decide parts of a plan, the same for every command that makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llamabench.units import parse_bytes, parse_duration

if TYPE_CHECKING:
    from llamabench.records import Overrides

_ALL = 1 << 20
_KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")

_F = TypeVar("_F", bound=Callable[..., Any])


def read_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Reads a size in bytes, as people write it."""
    if text is None:
        return None
    size = parse_bytes(text)
    if size is None:
        raise click.BadParameter(f"{text!r} is no size. Write 8G, 7.5GiB or 6000M.")
    return size


def read_duration(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Reads a length of time in seconds, as people write it."""
    if text is None:
        return None
    seconds = parse_duration(text)
    if not seconds:
        raise click.BadParameter(f"{text!r} is no time. Write 90s, 20m or 1h30m.")
    return seconds


def _read_count(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Reads a number of layers, or `all`."""
    if text is None:
        return None
    if text.strip().lower() == "all":
        return _ALL
    if not text.isdecimal():
        raise click.BadParameter(f"{text!r} is neither a number nor `all`.")
    return int(text)


def _read_shares(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Reads shares of devices, separated by commas."""
    if text is None:
        return None
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not shares or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
        raise click.BadParameter(f"{text!r} is no list of shares. Write one number for each device: 3,1.")
    return shares


def _read_servers(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Reads addresses of servers, each once."""
    from llamabench.engine.servers import parse_address

    for text in texts:
        if parse_address(text) is None:
            raise click.BadParameter(f"{text!r} is no HOST:PORT. Write 192.168.1.5:50052 or workshop:50052.")
    return tuple(dict.fromkeys(text.strip() for text in texts))


_OPTIONS = (
    click.option(
        "--gpu-layers",
        "n_gpu_layers",
        callback=_read_count,
        metavar="N|all",
        help="Layers on devices, 0 for none; more than there are is all.",
    ),
    click.option(
        "--cpu-moe", "n_cpu_moe", callback=_read_count, metavar="N|all", help="Layers with experts on the host."
    ),
    click.option("--tensor-split", callback=_read_shares, metavar="A,B", help="Share of each device in the layers."),
    click.option("--ctx", "n_ctx", type=click.IntRange(min=1), metavar="N", help="Tokens of the context."),
    click.option("--batch", "n_batch", type=click.IntRange(1, 1 << 16), metavar="N", help="Tokens in one decode."),
    click.option("--ubatch", "n_ubatch", type=click.IntRange(1, 1 << 16), metavar="N", help="Tokens computed at once."),
    click.option("--parallel", "n_parallel", type=click.IntRange(1, 256), metavar="N", help="Texts side by side."),
    click.option("--threads", "n_threads", type=click.IntRange(1, 1024), metavar="N", help="Processor threads."),
    click.option("--flash-attn", "flash_attention", type=click.Choice(["on", "off"]), help="Flash attention."),
    click.option("--kv-type", type=click.Choice(_KV_TYPES), help="Type of the KV cache; all but f16 change scores."),
    click.option(
        "--vram-limit", "vram_limit_bytes", callback=read_size, metavar="SIZE", help="Most on each device, as in 6G."
    ),
    click.option(
        "--ram-limit", "ram_limit_bytes", callback=read_size, metavar="SIZE", help="Most in the host's memory."
    ),
    click.option(
        "--rpc",
        "rpc_servers",
        multiple=True,
        callback=_read_servers,
        metavar="HOST:PORT",
        help="Connect to an rpc-server and use its devices too; repeat for several.",
    ),
)


def plan_options(command: _F) -> _F:
    """Gives a command the options that decide parts of a plan; `read_overrides` collects their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_overrides(values: dict[str, Any]) -> Overrides:
    """What a person has decided, from the values of `plan_options`.

    Raises:
        click.UsageError: Values that contradict each other.
    """
    from llamabench.records import Overrides

    overrides = Overrides(**values)
    if overrides.n_ubatch and overrides.n_batch and overrides.n_ubatch > overrides.n_batch:
        raise click.UsageError(f"--ubatch {overrides.n_ubatch} is more than --batch {overrides.n_batch}.")
    if overrides.kv_type in ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0") and overrides.flash_attention == "off":
        raise click.UsageError(f"A cache of {overrides.kv_type} needs flash attention: leave out --flash-attn off.")
    return overrides
