"""What llama.cpp's log says about a layout: pure.

The lines are those of llama.cpp commit 0c1e57098; caches print theirs under several names, so names before the colon
are not held fixed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MIB = 1 << 20
_NUMBER = r"\s*([\d.]+) MiB"
_COMPUTE = re.compile(r"sched_reserve:\s+(\S+) compute buffer size =" + _NUMBER)
_CACHE = re.compile(r"^\S*(?:cache|memory)\S*: (?:.* )?(?<!buffer )size =" + _NUMBER + r"(?: \(|\s*$)")
_LAYER = re.compile(r"load_tensors: layer\s+(\d+) assigned to device (\S+?),")
_FLASH = re.compile(r"Flash Attention (enabled|not supported)|flash_attn\s+= (enabled|disabled|auto)")


@dataclass(frozen=True, slots=True)
class LogFacts:
    """Figures of the log, in bytes; those in MiB were rounded to a hundredth.

    Attributes:
        compute_bytes: Compute buffer by buffer name.
        cache_bytes: Size of each cache or recurrent memory, all devices together.
        layer_devices: Device of each layer, the output being the last.
        flash_attention: Whether flash attention is used, None where the log does not say.
    """

    compute_bytes: Mapping[str, int]
    cache_bytes: tuple[int, ...]
    layer_devices: tuple[str, ...]
    flash_attention: bool | None


def read_log(lines: Sequence[str]) -> LogFacts:
    r"""Reads the lines of one load and one context.

    >>> facts = read_log(["sched_reserve:      CUDA0 compute buffer size =   258.50 MiB\\n"])
    >>> facts.compute_bytes
    {'CUDA0': 271056896}
    """
    compute: dict[str, int] = {}
    caches: list[int] = []
    layers: dict[int, str] = {}
    flash: bool | None = None
    for line in lines:
        if match := _COMPUTE.search(line):
            compute[match[1]] = round(float(match[2]) * _MIB)
        elif match := _CACHE.search(line):
            caches.append(round(float(match[1]) * _MIB))
        elif match := _LAYER.search(line):
            layers[int(match[1])] = match[2]
        elif match := _FLASH.search(line):
            flash = _flash(match, flash)
    return LogFacts(compute, tuple(caches), tuple(layers[layer] for layer in sorted(layers)), flash)


def _flash(match: re.Match[str], before: bool | None) -> bool | None:
    resolved, asked = match[1], match[2]
    if resolved is not None:
        return resolved == "enabled"
    return before if asked == "auto" else asked == "enabled"
