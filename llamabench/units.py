"""How numbers are written for people."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?)?", re.IGNORECASE)

_DURATION = re.compile(r"(?=\d)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def format_bytes(n_bytes: int) -> str:
    """Writes a size in binary units, with one decimal from KiB on.

    >>> format_bytes(4_939_212_390)
    '4.6 GiB'
    >>> format_bytes(800)
    '800 B'

    Args:
        n_bytes: Size in bytes, 0 or more.

    Returns:
        The size in the largest unit that keeps it at 1 or above.
    """
    value, unit = float(n_bytes), 0
    while round(value, 1) >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{n_bytes} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def parse_bytes(text: str) -> int | None:
    """Reads a size as people write it, in binary units; a bare number counts GiB.

    >>> parse_bytes("8G") == parse_bytes("8 GiB") == parse_bytes("8") == 8 << 30
    True
    >>> parse_bytes("512 MB") == 512 << 20
    True

    Args:
        text: A number of 0 or more, with a unit or without.

    Returns:
        Bytes, None where the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    power = "KMGT".index((match[2] or "G").upper()) + 1
    return int(float(match[1]) * 1024**power)


def parse_duration(text: str) -> float | None:
    """Reads a length of time as people write it: hours, minutes and seconds, each with its unit.

    >>> parse_duration("90s"), parse_duration("20m"), parse_duration("1h 30m"), parse_duration("20")
    (90.0, 1200.0, 5400.0, None)

    Args:
        text: Numbers of 0 or more, with their units, the largest first.

    Returns:
        Seconds, None where the text is no length of time.
    """
    match = _DURATION.fullmatch("".join(text.split()))
    if match is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def format_part(part: int, whole: int) -> str:
    """Writes a size beside the one it is a part of, the unit once where both have the same.

    >>> format_part(4_939_212_390, 8_160_437_862)
    '4.6 of 7.6 GiB'
    >>> format_part(1 << 20, 1 << 30)
    '1.0 MiB of 1.0 GiB'

    Args:
        part: Size in bytes, 0 or more.
        whole: The other size in bytes.

    Returns:
        Both sizes, as `format_bytes` writes them.
    """
    (small, small_unit), (large, large_unit) = format_bytes(part).split(), format_bytes(whole).split()
    return (
        f"{small} of {large} {large_unit}"
        if small_unit == large_unit
        else f"{small} {small_unit} of {large} {large_unit}"
    )
