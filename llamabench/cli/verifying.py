"""The option that names the digests of models, the same for every command that opens some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llamabench.hardware.verifying import Expected

_WORTH_A_BAR_BYTES = 1 << 30


def _read_expected(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[Expected, ...]:
    from llamabench.hardware.verifying import parse_expected

    expected = tuple(one for text in texts if (one := parse_expected(text)))
    if len(expected) < len(texts):
        raise click.BadParameter(
            "a digest is written as sha256: and 64 hexadecimal digits, with MODEL= before it where it is not the first "
            "model's."
        )
    return expected


verify_option = click.option(
    "--verify",
    "expected",
    multiple=True,
    callback=_read_expected,
    metavar="[MODEL=]sha256:HEX",
    help="Open the model only if its file has this digest; of a split one, repeat for each part, in order. Name any "
    "other, such as the judge, as you name it elsewhere in the command.",
)
"""Gives a command `expected`, for `verify_models`."""


def verify_models(models: Mapping[str, Path], expected: tuple[Expected, ...], *, quiet: bool) -> None:
    """Compares models' files with the digests that a person gave, if any; large ones with a bar.

    Args:
        models: All models of the command by their names, first the one whose digests need no name.
        expected: The digests.
        quiet: Whether there is to be no bar.

    Raises:
        ModelFileError: They differ, or cannot be read.
        UnknownNameError: A digest is for none of the models.
    """
    if not expected:
        return
    from tqdm import tqdm

    from llamabench.hardware.gguf import name_parts
    from llamabench.hardware.verifying import match_expected, verify_files

    matched = match_expected(models, expected)
    size = sum(part.stat().st_size for path, _ in matched for part in name_parts(path) if part.is_file())
    is_silent = quiet or size < _WORTH_A_BAR_BYTES
    with tqdm(total=size, desc="verify", unit="B", unit_scale=True, disable=is_silent, leave=False) as bar:
        for path, digests in matched:
            verify_files(path, digests, advance=bar.update)
