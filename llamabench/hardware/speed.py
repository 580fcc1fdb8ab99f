"""Speeds measured on this machine, remembered: the same command packs alike every time and gives the same numbers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from llamabench.hardware.rates import PlaceSpeed
from llamabench.records import Machine, ModelFacts, PackSpeed, Plan

_PLACES = "places"
"""Where the speeds of places stand in the file, beside the pack sizes, which stand under digests."""


class SpeedMemory:
    """Pack sizes that proved fastest, by model, machine and plan; and how fast each place proved to be.

    A file that is missing, damaged or cannot be written costs a second of measuring, nothing else.

    Args:
        path: JSON file, made when there is something to keep.
    """

    def __init__(self, path: Path):
        self._path = path

    def recall(self, key: str) -> PackSpeed | None:
        """The speed kept for a key, None if there is none."""
        match self._read().get(key):
            case [int(n_tokens), figure] if n_tokens > 0 and (tokens_per_s := _parse_figure(figure)) is not None:
                return PackSpeed(n_tokens, tokens_per_s)
        return None

    def keep(self, key: str, speed: PackSpeed) -> None:
        """Remembers a speed."""
        self._write({**self._read(), key: [speed.n_tokens, speed.tokens_per_s]})

    def recall_places(self) -> dict[str, PlaceSpeed]:
        """How fast each place proved to be, by `device_key` and `host_key`."""
        return {key: speed for key, entry in self._read_places().items() if (speed := _parse_place(entry)) is not None}

    def keep_places(self, speeds: Mapping[str, PlaceSpeed]) -> None:
        """Remembers how fast places proved to be; what was not measured now stays as it was."""
        places = self._read_places()
        for key, speed in speeds.items():
            known = asdict(_parse_place(places.get(key)) or PlaceSpeed())
            places[key] = {**known, **{name: figure for name, figure in asdict(speed).items() if figure is not None}}
        if speeds:
            self._write({**self._read(), _PLACES: places})

    def _write(self, entries: Mapping[str, object]) -> None:
        unfinished = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished.write_text(json.dumps(entries, indent=1), encoding="utf-8")
                os.replace(unfinished, self._path)
            finally:
                unfinished.unlink(missing_ok=True)

    def _read_places(self) -> dict[str, object]:
        places = self._read().get(_PLACES)
        return places if isinstance(places, dict) else {}

    def _read(self) -> dict[str, object]:
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}


def speed_key(model: ModelFacts, machine: Machine, plan: Plan) -> str:
    """What a speed was measured for: model file, processor, devices, llama.cpp build and the plan's sizes."""
    devices = [(device.name, device.description) for device in machine.devices] if plan.n_gpu_layers else []
    parts = [
        model.fingerprint,
        machine.cpu,
        machine.llama_cpp_commit,
        devices,
        plan.n_gpu_layers,
        plan.n_threads,
        plan.scoring.n_batch,
        plan.scoring.n_ubatch,
        plan.flash_attention,
        plan.kv_type,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _parse_place(entry: object) -> PlaceSpeed | None:
    """An entry of the file, None where nothing in it makes sense."""
    if not isinstance(entry, dict):
        return None
    speed = PlaceSpeed(*(_parse_figure(entry.get(name)) for name in ("bandwidth", "overhead_s", "flops")))
    return None if speed == PlaceSpeed() else speed


def _parse_figure(value: object) -> float | None:
    """A finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        return None
    return float(value)
