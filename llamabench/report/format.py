"""Numbers and text as people read them: no rounding that lies, no character that hides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from llamabench import units
from llamabench.hidden import show_hidden as show_hidden

Scale = Literal["share", "bias", "number"]
"""How a metric is shown: a `share` of 0 to 1 in per cent, a `bias` of -1 to 1 times 100, signed, a `number` as is."""

NBSP = "\u00a0"
MINUS = "\u2212"

_MOST_DECIMALS = 4
_EXACT = 1e-9
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def format_score(value: float, scale: Scale, *, apart_from: Iterable[float] = ()) -> str:
    r"""Format a metric's value.

    One decimal, and as many more as it takes not to be mistaken for an end of the scale, for a bias of none, or for
    a value of `apart_from`.

    Args:
        value: 0 to 1 for a share, -1 to 1 for a bias, any number.
        scale: How to show it.
        apart_from: Values that it must not be shown equal to unless it is equal, such as chance.

    >>> format_score(0.5234, "share"), format_score(0.9996, "share"), format_score(1.0, "share")
    ('52.3\xa0%', '99.96\xa0%', '100\xa0%')
    >>> format_score(0.0718, "bias"), format_score(0.6931, "number")
    ('+7.2', '0.693')
    """
    number = _format_bare(value, scale, apart_from=apart_from)
    return f"{number}{NBSP}%" if scale == "share" else number


def format_interval(low: float, high: float, *, scale: Scale, apart_from: Iterable[float] = ()) -> str:
    """Format an interval in the unit of its value.

    >>> format_interval(0.451, 0.594, scale="share")
    '[45.1, 59.4]'
    """
    boundaries = tuple(apart_from)
    low_end, high_end = (_format_bare(end, scale, apart_from=boundaries) for end in (low, high))
    return f"[{low_end}, {high_end}]"


def _format_bare(value: float, scale: Scale, *, apart_from: Iterable[float]) -> str:
    if scale == "number":
        return _round_apart(value, apart_from, decimals=3).replace("-", MINUS)
    shown = value * 100
    if scale == "share":
        end = 0 if shown < 50 else 100
        if abs(shown - end) < _EXACT:
            return str(end)
    elif abs(shown) < _EXACT:
        return "0.0"
    text = _round_apart(shown, [0.0, 100.0, -100.0, *(other * 100 for other in apart_from)], decimals=1)
    sign = "+" if scale == "bias" and shown > 0 else ""
    return sign + text.replace("-", MINUS)


def _round_apart(value: float, others: Iterable[float], *, decimals: int) -> str:
    """Round to the fewest decimals that keep `value` distinguishable from each of `others` that it differs from."""
    different = [other for other in others if abs(value - other) >= _EXACT]
    for places in range(decimals, _MOST_DECIMALS + 1):
        text = f"{value:.{places}f}"
        if all(float(text) != float(f"{other:.{places}f}") for other in different):
            return text
    nearest = min(different, key=lambda other: abs(value - other))
    step = 10**-_MOST_DECIMALS
    return f"{nearest + (step if value > nearest else -step):.{_MOST_DECIMALS}f}"


def format_count(n: int) -> str:
    """Format a count with thousands apart.

    >>> format_count(58492)
    '58,492'
    """
    return f"{n:,}"


def format_things(n: int, one: str, many: str) -> str:
    r"""Format a count with its noun.

    >>> format_things(1, "item", "items"), format_things(1200, "item", "items")
    ('1\xa0item', '1,200\xa0items')
    """
    return f"{format_count(n)}{NBSP}{one if n == 1 else many}"


def format_bytes(n_bytes: int) -> str:
    r"""Format an amount of memory so that its unit stays with it.

    >>> format_bytes(5476083302)
    '5.1\xa0GiB'
    """
    return units.format_bytes(n_bytes).replace(" ", NBSP)


def format_parameters(n_params: int) -> str:
    r"""Format a number of weights as people name model sizes.

    >>> format_parameters(1543714304), format_parameters(134515008)
    ('1.54\xa0B', '135\xa0M')
    """
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if n_params >= size * 0.9995:
            amount = n_params / size
            decimals = 2 if amount < 9.995 else 1 if amount < 99.95 else 0
            return f"{amount:.{decimals}f}{NBSP}{unit}"
    return str(n_params)


def format_logprob(logprob: float) -> str:
    """Format a natural-log probability.

    >>> format_logprob(-12.345), format_logprob(-0.0004), format_logprob(0.0)
    ('−12.35', '−0.0004', '0')
    """
    return "0" if logprob == 0 else _round_apart(logprob, (0.0,), decimals=2).replace("-", MINUS)


def format_duration(seconds: float) -> str:
    r"""Format a length of time.

    >>> format_duration(0.84), format_duration(192.3), format_duration(7440)
    ('0.8\xa0s', '3\xa0min 12\xa0s', '2\xa0h 04\xa0min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60:02d}{NBSP}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{NBSP}h {minutes % 60:02d}{NBSP}min"


def format_time(iso: str) -> str:
    """Format an ISO 8601 time to the minute; what is no such time is given back.

    >>> format_time("2026-03-04T14:05:09+01:00"), format_time("2026-03-04T14:05:09Z")
    ('4 March 2026, 14:05 UTC+01:00', '4 March 2026, 14:05 UTC')
    """
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    zone = time.tzname() or ""
    text = f"{time.day} {_MONTHS[time.month - 1]} {time.year}, {time.hour:02d}:{time.minute:02d}"
    return f"{text} {zone}".rstrip()


def shorten(text: str, n_chars: int) -> tuple[str, int]:
    """Cut the middle out of a long text.

    Returns:
        The text with at most `n_chars` characters of the original, and how many were left out.

    >>> shorten("abcdefghij", 4)
    ('abc […] j', 6)
    """
    if len(text) <= n_chars:
        return text, 0
    tail = n_chars // 4
    head = n_chars - tail
    return f"{text[:head]} […] {text[len(text) - tail :]}", len(text) - n_chars
