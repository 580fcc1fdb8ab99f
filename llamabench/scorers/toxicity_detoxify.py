"""Toxicity by Detoxify, for those who have it: a larger classifier, an optional package, never downloaded in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from llamabench.errors import DataError, MissingPackageError
from llamabench.extras import pip_command

_MOST_AT_ONCE = 32


class _Detoxify(Protocol):
    def predict(self, text: list[str]) -> Mapping[str, list[float]]: ...


class DetoxifyScorer:
    """Scores texts with a Detoxify checkpoint that lies on this computer.

    Detoxify by itself downloads its checkpoint and tokeniser on first use. Here both are given as paths, and nothing
    is downloaded.

    Args:
        checkpoint: A `.ckpt` file of Detoxify's releases, for instance that of `unbiased`.
        config: Folder with the Hugging Face config and tokeniser of the model that it was trained from.

    Raises:
        MissingPackageError: The package detoxify is not installed.
        DataError: The checkpoint or the folder is not there.

    Source:
        Hanu and Unitary 2020, unitaryai/detoxify. By its authors' own words it takes profanity for toxicity whatever
        the tone.
    """

    def __init__(self, checkpoint: Path, config: Path):
        if not checkpoint.is_file():
            raise DataError(
                f"There is no Detoxify checkpoint at {checkpoint}. Get one from the releases of unitaryai/detoxify."
            )
        if not config.is_dir():
            raise DataError(
                f"There is no folder {config}. Detoxify needs config.json and the tokeniser's files of its base model "
                "there, for instance of roberta-base for the checkpoint `unbiased`."
            )
        try:
            from detoxify import Detoxify
        except ImportError as exc:
            raise MissingPackageError.for_package("detoxify", pip_command("detoxify")) from exc
        self._model: _Detoxify = Detoxify(checkpoint=str(checkpoint), huggingface_config_path=str(config))

    def score(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """Scores each text, 0 to 1, by the names that the checkpoint has; `toxicity` is always among them."""
        rows: list[dict[str, float]] = []
        for start in range(0, len(texts), _MOST_AT_ONCE):
            part = list(texts[start : start + _MOST_AT_ONCE])
            # a list of one text comes back as bare numbers, so one is always asked beside a second
            columns = self._model.predict([*part, ""])
            rows += [{name: float(column[i]) for name, column in columns.items()} for i in range(len(part))]
        return rows
