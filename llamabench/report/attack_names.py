"""What categories and techniques are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llamabench.report.format import shorten

_MOST_CHARS = 80


@dataclass(frozen=True, slots=True)
class Names:
    """Titles of techniques by their names; what has no title goes by its name."""

    titles: Mapping[str, str]

    def technique(self, name: str) -> str:
        """Name a technique.

        >>> Names({"best_of_n": "Best of N"}).technique("best_of_n"), Names({}).technique("few_shot")
        ('Best of N', 'few shot')
        """
        return self.titles.get(name) or name_plainly(name)


def name_plainly(name: str) -> str:
    """Say a name that has no title in plain words, cut short.

    >>> name_plainly("social_engineering")
    'social engineering'
    """
    return shorten(name.replace("_", " "), _MOST_CHARS)[0]


def cut_id(text: str) -> str:
    """Cut an id that is too long to be one."""
    return shorten(text, _MOST_CHARS)[0]
