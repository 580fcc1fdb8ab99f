"""The option that names a model's digest, the same for every command that opens one."""

from __future__ import annotations

from pathlib import Path

import click

_WORTH_A_BAR_BYTES = 1 << 30


def _read_digests(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    from llamabench.hardware.verifying import parse_digest

    digests = tuple(digest for text in texts if (digest := parse_digest(text)))
    if len(digests) < len(texts):
        raise click.BadParameter("a digest is written as sha256: and 64 hexadecimal digits.")
    return digests


verify_option = click.option(
    "--verify",
    "digests",
    multiple=True,
    callback=_read_digests,
    metavar="sha256:HEX",
    help="Open the model only if its file has this digest; of a split one, repeat for each part, in order.",
)
"""Gives a command `digests`, for `verify_model`."""


def verify_model(path: Path, digests: tuple[str, ...], *, quiet: bool) -> None:
    """Compares a model's files with the digests that a person gave, if any; large ones with a bar.

    Raises:
        ModelFileError: They differ, or cannot be read.
    """
    if not digests:
        return
    from tqdm import tqdm

    from llamabench.hardware.gguf import name_parts
    from llamabench.hardware.verifying import verify_files

    size = sum(part.stat().st_size for part in name_parts(path) if part.is_file())
    is_silent = quiet or size < _WORTH_A_BAR_BYTES
    with tqdm(total=size, desc="verify", unit="B", unit_scale=True, disable=is_silent, leave=False) as bar:
        verify_files(path, digests, advance=bar.update)
