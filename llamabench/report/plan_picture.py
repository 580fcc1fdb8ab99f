"""An outlook as a picture for the terminal: what goes where, how fast, how long; readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llamabench.records import Device, DeviceBytes, Plan
from llamabench.records.outlook import Outlook, Verdict
from llamabench.records.speeds import Range, SpeedForecast
from llamabench.report.format import NBSP, format_count, format_duration, format_parameters, show_hidden
from llamabench.units import format_bytes, format_part

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

_BAR_COLUMNS = 50
_PARTS = (("weights", "█", "cyan"), ("cache", "▓", "blue"), ("buffers", "▒", "magenta"), ("program", "░", "yellow"))
_FREE = "·"

WHERE: dict[Verdict, str] = {
    "devices": "all on the GPU",
    "experts_on_host": "experts on the processor",
    "partly": "partly on the GPU",
    "host": "processor alone",
    "does_not_fit": "does not fit",
}
STYLES: dict[Verdict, str] = {
    "devices": "bold green",
    "experts_on_host": "bold green",
    "partly": "bold yellow",
    "host": "bold yellow",
    "does_not_fit": "bold red",
}
"""How a verdict is said, and in which colour."""
_BASES = {
    "measured": "as measured on this machine",
    "catalogue": "from the makers' figures",
    "assumed": "a guess: this hardware is not in the catalogue",
}


def draw_outlook(outlook: Outlook) -> Group:
    """Draw an outlook."""
    from rich.console import Group

    return Group(*_blocks(outlook))


def _blocks(outlook: Outlook) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    model = outlook.model
    size = f"{format_parameters(model.n_params)} weights, {format_bytes(model.size_bytes)}"
    yield Text.assemble((show_hidden(model.name), "bold"), f" {model.quant}, {show_hidden(model.file_name)}, {size}")
    yield Text(_say_verdict(outlook), style=STYLES[outlook.verdict])
    yield Text()
    if outlook.plan is None:
        yield Text(outlook.refusal or "")
    else:
        yield from _draw_places(outlook, outlook.plan)
    if outlook.speed is not None:
        yield Text()
        yield _speed_table(outlook.speed)
    if outlook.suites:
        yield Text()
        yield _suite_table(outlook)
    yield Text()
    yield _quant_table(outlook)
    if outlook.plan is not None:
        yield Text("\nWhy", style="bold")
        for reason in (*outlook.plan.reasons, *outlook.machine.notes):
            yield Padding(Text(reason), (0, 0, 0, 2))


def _say_verdict(outlook: Outlook) -> str:
    plan, n_all = outlook.plan, outlook.model.n_layers + 1
    if plan is None:
        return "Does not fit."
    if outlook.verdict == "partly":
        return f"{plan.n_gpu_layers} of {n_all} layers on the GPU, the others on the processor."
    if outlook.verdict == "experts_on_host":
        return f"All {n_all} layers on the GPU, the experts of {plan.n_cpu_moe} of them on the processor."
    return f"All {n_all} layers on the GPU." if outlook.verdict == "devices" else "All on the processor."


# --- places -------------------------------------------------------------------------------------


def _draw_places(outlook: Outlook, plan: Plan) -> Iterator[Text]:
    devices = {device.name: device for device in outlook.machine.devices}
    parts = {part.device: part for part in plan.layout}
    for name, device in devices.items():
        yield from _draw_place(_name_device(device), parts.get(name, DeviceBytes(name, 0, 0, 0)), device.free_bytes)
    host = parts.get("CPU", DeviceBytes("CPU", 0, 0, 0))
    yield from _draw_place(f"CPU  {outlook.machine.cpu}", host, outlook.machine.ram_available_bytes)
    from rich.text import Text

    legend = Text("  ")
    for label, sign, style in _PARTS:
        legend.append(sign, style).append(f" {label}   ")
    yield legend.append(f"{_FREE} free")
    if not plan.is_exact_layout:
        yield Text("  Estimated by formulas: llama.cpp could not be asked.")


def _name_device(device: Device) -> str:
    return f"{device.name}  {show_hidden(device.description)}"


def _draw_place(title: str, part: DeviceBytes, free: int) -> Iterator[Text]:
    """A title, a bar of what lies there, and the sizes in words."""
    from rich.text import Text

    sizes = (part.weight_bytes, part.context_bytes, part.compute_bytes, part.other_bytes)
    yield Text(f"  {title}")
    bar = Text("  ")
    for (_, sign, style), columns in zip(_PARTS, share_columns(sizes, free, _BAR_COLUMNS), strict=True):
        bar.append(sign * columns, style)
    bar.append(_FREE * (_BAR_COLUMNS - len(bar) + 2), "dim")
    yield bar.append(f"  {format_part(part.total_bytes, free)}")
    words = [f"{label} {format_bytes(size)}" for (label, _, _), size in zip(_PARTS, sizes, strict=True) if size]
    if words:
        yield Text("  " + ", ".join(words), style="dim")


def share_columns(sizes: tuple[int, ...], whole: int, n_columns: int) -> list[int]:
    """Columns of a bar for each size, of which the whole takes all; what is there gets one at least.

    >>> share_columns((50, 25, 1, 0), 100, 10)
    [5, 2, 1, 0]

    Args:
        sizes: Sizes in one unit.
        whole: What the bar stands for; the sizes together where they are more.
        n_columns: Width of the bar.
    """
    total = max(whole, sum(sizes), 1)
    columns = [max(size * n_columns // total, 1) if size else 0 for size in sizes]
    while sum(columns) > n_columns:
        columns[columns.index(max(columns))] -= 1
    return columns


# --- tables -------------------------------------------------------------------------------------


def _make_table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(columns[0])
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def _speed_table(speed: SpeedForecast) -> Table:
    table = _make_table("tokens per second", "expected", "likely range")
    rows = [("reading prompts", speed.prompt), ("writing one text", speed.generation_1)]
    if speed.n_parallel > 1:
        rows.append((f"writing {speed.n_parallel} texts side by side", speed.generation_n))
    for label, figure in rows:
        table.add_row(label, _rate(figure.expected), f"{_rate(figure.low)} to {_rate(figure.high)}")
    table.caption = f"{_BASES[speed.seconds.basis]}"
    table.caption_justify = "left"
    return table


def _rate(tokens_per_s: float) -> str:
    return format_count(round(tokens_per_s)) if tokens_per_s >= 10 else f"{tokens_per_s:.1f}"


def _suite_table(outlook: Outlook) -> Table:
    table = _make_table("suite", "items", "tokens read", "written", "time", "likely range")
    for one in outlook.suites:
        demand, edition = one.suite.demand, one.suite.edition
        table.add_row(
            f"{one.suite.suite} ({edition})",
            format_count(one.suite.n_items),
            format_count(demand.n_prompt_tokens),
            format_count(demand.n_generated_tokens),
            *_durations(one.seconds),
        )
    if outlook.total is not None and len(outlook.suites) > 1:
        demands = [one.suite.demand for one in outlook.suites]
        table.add_section()
        table.add_row(
            "total",
            format_count(sum(one.suite.n_items for one in outlook.suites)),
            format_count(sum(demand.n_prompt_tokens for demand in demands)),
            format_count(sum(demand.n_generated_tokens for demand in demands)),
            *_durations(outlook.total),
        )
    table.caption = "For less, with a fair sample: run --time-budget 20m, --precision 0.02 or --limit N"
    table.caption_justify = "left"
    return table


def _durations(seconds: Range) -> tuple[str, str]:
    low, high = _duration(seconds.low), _duration(seconds.high)
    return _duration(seconds.expected), low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    return f"<{NBSP}0.1{NBSP}s" if seconds < 0.1 else format_duration(seconds)


def _quant_table(outlook: Outlook) -> Table:
    from rich.text import Text

    table = _make_table("other quantizations, about", "size", "where", "one text")
    for other in outlook.quants:
        where = WHERE[other.verdict]
        if other.verdict == "partly":
            where += f" ({other.n_gpu_layers} of {outlook.model.n_layers + 1})"
        rate = f"{_rate(other.generation.expected)}/s" if other.generation else ""
        table.add_row(
            other.quant,
            format_bytes(other.size_bytes),
            Text(where, style=STYLES[other.verdict].removeprefix("bold ")),
            rate,
        )
    return table
