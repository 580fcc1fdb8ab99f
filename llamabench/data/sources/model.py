"""What is known of a published data set: its editions, their files, and the places on the network that have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llamabench.data.formats import Kind

ITEM_KINDS: frozenset[Kind] = frozenset(
    {
        "truthfulqa",
        "bbq",
        "bold",
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
        "bold-rows",
        "attack-targets",
    }
)
"""Kinds of file whose rows are items; the other files only add to them."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of an edition.

    Attributes:
        path: Where the publisher keeps it, and where it is stored.
        kind: Its format.
        n_rows: Rows it must have, None where any number is right.
        is_required: Whether the edition can do without it.
        other_paths: Where else it may lie, as patterns.
        sha256: Digest of the publisher's own file, None where not known.
    """

    path: str
    kind: Kind
    n_rows: int | None
    is_required: bool = True
    other_paths: tuple[str, ...] = ()
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """A place on the network that has the files.

    Attributes:
        host: `hub`, the data sets of the Hugging Face Hub, or `github`.
        name: Owner and name.
        revision: Commit that is taken; None where it is not pinned: the files are taken as found, and their digests
            recorded.
    """

    host: Literal["hub", "github"]
    name: str
    revision: str | None

    def __str__(self) -> str:
        return f"{self.name} on {'the Hugging Face Hub' if self.host == 'hub' else 'GitHub'}"


@dataclass(frozen=True, slots=True)
class Edition:
    """One release of a data set.

    Attributes:
        source: Name of the data set.
        name: What it is asked for by, as in `--suite truthfulqa_mc:817`; unique over all data sets.
        title: What a person should know.
        parts: Its files.
        n_items: Items when all files are there, None where any number is right.
        homes: Where it is found, the best first, where that is not where the data set is.
        part_of: Edition that has all of its items; where both are imported, it is used only when asked for.
    """

    source: str
    name: str
    title: str
    parts: tuple[SourceFile, ...]
    n_items: int | None
    homes: tuple[Home, ...] = ()
    part_of: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Relative paths of the files as they are stored."""
        return tuple(part.path for part in self.parts)


@dataclass(frozen=True, slots=True)
class Source:
    """A published data set.

    Attributes:
        name: What it is asked for by.
        title: Its full name.
        hub_id: Its name on the Hugging Face Hub, None where it is not there.
        homes: Where its files are found in their publishers' layout, the best first; none for your own files.
        url: Its publishers' home.
        licence: SPDX name of its licence, or what is known of it.
        citation: The paper.
        editions: Its releases, newest first.
        starter: File of llamabench's own items that stand in for it, None where there are none. Where there are no
            editions, they are the data set itself.
        takes_tests: Whether a run may add tests of a person's own.
    """

    name: str
    title: str
    hub_id: str | None
    homes: tuple[Home, ...]
    url: str
    licence: str
    citation: str
    editions: tuple[Edition, ...]
    starter: str | None = None
    takes_tests: bool = False

    def homes_of(self, edition: Edition) -> tuple[Home, ...]:
        """Where an edition is found, the best first."""
        return edition.homes or self.homes

    @property
    def can_be_pulled(self) -> bool:
        """Whether any edition is found on the network."""
        return any(self.homes_of(edition) for edition in self.editions)
