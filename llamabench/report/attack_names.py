"""What categories and techniques are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """Titles of techniques by their names; what has no title goes by its name."""

    titles: Mapping[str, str]

    def technique(self, name: str) -> str:
        """Name a technique.

        >>> Names({"best_of_n": "Best of N"}).technique("best_of_n"), Names({}).technique("few_shot")
        ('Best of N', 'few shot')
        """
        return self.titles.get(name, name.replace("_", " "))


def name_category(name: str) -> str:
    """Name a category.

    >>> name_category("social_engineering")
    'social engineering'
    """
    return name.replace("_", " ")
