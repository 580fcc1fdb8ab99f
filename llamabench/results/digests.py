"""Digests of what is stored, since SQLite has none: a number that changed on the disk is found, not believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


def digest_values(values: Sequence[object]) -> str:
    """SHA-256 of a row's columns, of numbers, texts and NULL."""
    return hashlib.sha256(json.dumps(list(values)).encode()).hexdigest()


def is_sound(values: Sequence[object], digest: str | None) -> bool:
    """Whether a row is what was stored; rows of versions without digests are taken for it."""
    return digest is None or digest == digest_values(values)
