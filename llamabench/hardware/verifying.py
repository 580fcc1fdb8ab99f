"""Whether a model's files are those that a person means: whole digests, taken before anything in them is believed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from llamabench.errors import ModelFileError, UnknownNameError
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


class Expected(NamedTuple):
    """A digest that a model's file is to have.

    Attributes:
        model: What the model is called where it is named; None for the first of all.
        sha256: The digits, in lower case.
    """

    model: str | None
    sha256: str


def parse_expected(text: str) -> Expected | None:
    """Reads a digest, after the name of its model where that is not the first.

    >>> parse_expected("judge.gguf=sha256:" + "0" * 64).model
    'judge.gguf'

    Args:
        text: `sha256:` and 64 hexadecimal digits, or `MODEL=` before that.

    Returns:
        None where it is nothing of the kind.
    """
    name, equals, digest = text.rpartition("=")
    sha256 = parse_digest(digest)
    if sha256 is None or (equals and not name):
        return None
    return Expected(name or None, sha256)


def match_expected(models: Mapping[str, Path], expected: Sequence[Expected]) -> list[tuple[Path, list[str]]]:
    """The models' files for which digests are given, each with its own, in order.

    Args:
        models: All models that are to be opened by their names, first the one whose digests need no name.
        expected: The digests.

    Raises:
        UnknownNameError: A digest is for a model that is not among them.
    """
    found: dict[str, list[str]] = {}
    for one in expected:
        name = next(iter(models)) if one.model is None else one.model
        if name not in models:
            raise UnknownNameError.for_name("model that is opened here", name, models)
        found.setdefault(name, []).append(one.sha256)
    return [(models[name], digests) for name, digests in found.items()]


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
