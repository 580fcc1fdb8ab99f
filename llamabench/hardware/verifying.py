"""Whether a model's files are those that a person means: whole digests, taken before anything in them is believed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from llamabench.errors import ModelFileError
from llamabench.hardware.gguf import name_parts

_CHUNK_BYTES = 1 << 22
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)


def parse_digest(text: str) -> str | None:
    """Reads a digest as publishers write it.

    >>> parse_digest("sha256:" + "AB" * 32) == "ab" * 32
    True

    Args:
        text: `sha256:` and 64 hexadecimal digits.

    Returns:
        The digits in lower case, None where it is no such digest.
    """
    match = _DIGEST.fullmatch(text.strip())
    return match[1].lower() if match else None


def verify_files(path: Path, digests: Sequence[str], *, advance: Callable[[int], None]) -> None:
    """Compares the files of a model with their digests; the parts of a split one go by their names.

    Args:
        path: The file, or the first part of a split model.
        digests: SHA-256 of each file, in the order of the parts.
        advance: Told how many bytes were read, again and again.

    Raises:
        ModelFileError: A file cannot be read or has another digest, or there are not as many digests as files.
    """
    parts = name_parts(path)
    if len(parts) != len(digests):
        raise ModelFileError(
            f"{path.name} has {len(parts)} {'file' if len(parts) == 1 else 'parts'}, {len(digests)} digests are given. "
            "Give --verify once for each, in order."
        )
    for part, expected in zip(parts, digests, strict=True):
        found = _digest(part, advance)
        if found != expected:
            raise ModelFileError(
                f"{part.name} is not the file that is meant: its sha256 is {found}, {expected} was asked for. "
                "Download it again, or ask who published it."
            )


def _digest(path: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                advance(len(chunk))
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    return digest.hexdigest()
