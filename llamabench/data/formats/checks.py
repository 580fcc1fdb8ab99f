"""Which reader a format has: a file is checked by reading it through."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from llamabench.data.formats.bbq import count_bbq, count_bbq_metadata
from llamabench.data.formats.behaviours import BEHAVIOUR_READERS, read_safety_prompts, read_xstest
from llamabench.data.formats.pairs import PAIR_READERS
from llamabench.data.formats.prompts import (
    keep_challenging,
    read_bold,
    read_bold_rows,
    read_challenging,
    read_toxicity_prompts,
)
from llamabench.data.formats.targets import read_targets
from llamabench.data.formats.truthfulqa import read_open_questions, read_questions

Kind = Literal[
    "truthfulqa",
    "truthfulqa-csv",
    "bbq",
    "bbq-metadata",
    "bold",
    "bold-wiki",
    "bold-rows",
    "rtp",
    "rtp-challenging",
    "hh",
    "hhh",
    "hhh-task",
    "pairs",
    "pku",
    "llmbar",
    "auto-j",
    "pandalm",
    "advbench",
    "harmbench",
    "jailbreakbench",
    "strongreject",
    "do-not-answer",
    "do-not-answer-area",
    "xstest",
    "safety-prompts",
    "attack-targets",
    "tests",
    "tests-python",
]
"""Formats of files."""

_READERS: Mapping[str, Callable[[Path], Iterator[Any]]] = {
    **PAIR_READERS,
    **BEHAVIOUR_READERS,
    "truthfulqa": read_questions,
    "truthfulqa-csv": read_open_questions,
    "bold": read_bold,
    "bold-wiki": read_bold,
    "bold-rows": read_bold_rows,
    "rtp": read_toxicity_prompts,
    "rtp-challenging": read_challenging,
    "xstest": read_xstest,
    "safety-prompts": read_safety_prompts,
    "attack-targets": read_targets,
}


def count_rows(path: Path, kind: Kind) -> int:
    """Reads a whole file strictly and counts its rows.

    Raises:
        DataError: The first row that is not as it should be, with its place.
    """
    if kind == "bbq":
        return count_bbq(path)
    if kind == "bbq-metadata":
        return count_bbq_metadata(path)
    return sum(1 for _ in _READERS[kind](path))


def copy_rows(origin: Path, target: Path, kind: Kind) -> None:
    """Copies what a format keeps of a file: all of its bytes, except where it is a selection.

    Raises:
        DataError: A row is not as it should be.
        OSError: The file cannot be written.
    """
    if kind == "rtp-challenging":
        keep_challenging(origin, target)
    else:
        shutil.copyfile(origin, target)
