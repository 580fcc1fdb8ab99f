"""`llamabench plan`: where a model would go on this machine or another, how fast it would be, how long a run takes."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from llamabench.cli.completing import complete_models, suite_option
from llamabench.cli.planning import plan_options, read_overrides, read_size
from llamabench.cli.screen import open_console, say
from llamabench.cli.verifying import verify_models, verify_option

if TYPE_CHECKING:
    from llamabench.hardware.verifying import Expected
    from llamabench.records import Machine
    from llamabench.records.outlook import SuiteDemand


def _read_sizes(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(size for text in texts if (size := read_size(context, option, text)))


@click.command(short_help="Show where a model would go, how fast it would be, and how long a run takes.")
@click.argument("model", shell_complete=complete_models)
@click.option("--gpu", "cards", multiple=True, metavar="NAME", help='A card that is not here: "RTX 3060 12 GB".')
@click.option(
    "--vram", "vram_bytes", multiple=True, callback=_read_sizes, metavar="SIZE", help="Or the memory of one, as in 8G."
)
@click.option("--ram", "ram_bytes", callback=read_size, metavar="SIZE", help="Memory of the host. [as much as is free]")
@suite_option("Suite to reckon with; repeat for several. [all]")
@click.option("--limit", type=click.IntRange(min=1), help="Items per suite. [all]")
@verify_option
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the picture.")
def command(
    model: str,
    *,
    cards: tuple[str, ...],
    vram_bytes: tuple[int, ...],
    ram_bytes: int | None,
    suites: tuple[str, ...],
    limit: int | None,
    expected: tuple[Expected, ...],
    as_json: bool,
    **decided: Any,
) -> int:
    """Show where MODEL would go, how fast it would be, and how long a run takes. Nothing is loaded.

    MODEL may be the beginning of a GGUF file: its header is enough. The exit code is 1 where the model does not fit.

    Example: llamabench plan model.gguf --gpu "RTX 3060 12 GB" --ram 32G
    """
    from llamabench.data.cache import data_folder
    from llamabench.data.models import find_model
    from llamabench.hardware.gguf import read_model
    from llamabench.hardware.speed import SpeedMemory
    from llamabench.outlook import look_ahead

    overrides = read_overrides(decided)
    path = find_model(model).path
    verify_models({model: path}, expected, quiet=as_json)
    facts = read_model(path, is_header_enough=True)
    outlook = look_ahead(
        facts,
        _choose_machine(cards, vram_bytes, ram_bytes, rpc_servers=overrides.rpc_servers),
        _estimate_suites(suites, limit=limit, use_chat=facts.has_chat_template),
        overrides=overrides,
        is_imagined=bool(cards or vram_bytes),
        memory=SpeedMemory(data_folder() / "speed.json"),
    )
    if as_json:
        from llamabench.results.codec import encode

        say(json.dumps(encode(outlook), indent=2))
    else:
        from llamabench.report.plan_picture import draw_outlook

        open_console().print(draw_outlook(outlook))
        if outlook.plan:
            # for copying: never wrapped
            say(f"\nThe same plan:\nllamabench run {shlex.quote(model)} {outlook.flags}")
    return 0 if outlook.plan else 1


def _choose_machine(
    cards: tuple[str, ...], vram_bytes: tuple[int, ...], ram_bytes: int | None, *, rpc_servers: tuple[str, ...]
) -> Machine:
    from llamabench.hardware.catalogue import find_card
    from llamabench.hardware.imagined import imagine_machine
    from llamabench.hardware.machine import read_machine

    found = [find_card(name) for name in cards]
    here = read_machine(rpc_servers=rpc_servers)
    return imagine_machine(here, cards=found, vram_bytes=vram_bytes, ram_bytes=ram_bytes)


def _estimate_suites(names: tuple[str, ...], *, limit: int | None, use_chat: bool) -> list[SuiteDemand]:
    from llamabench.outlook import estimate_suite
    from llamabench.runner import find_suite
    from llamabench.suites import SUITES

    found = [find_suite(name) for name in names or SUITES]
    return [estimate_suite(suite, dataset, limit=limit, use_chat=use_chat) for suite, dataset in found]
