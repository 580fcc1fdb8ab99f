"""On which line of a TOML file each test and each of its fields stands, which Python's parser does not say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_QUOTED = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL)
_HEADER = re.compile(r"\s*(\[{1,2})\s*([A-Za-z0-9_-]+)\s*(?:\.\s*([A-Za-z0-9_-]+)[^\]]*)?\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*(?:\.[^=]*)?=")


@dataclass(slots=True)
class Place:
    """Where a table begins, and its fields."""

    line: int
    fields: dict[str, int] = field(default_factory=dict)

    def find(self, name: str | None) -> int:
        """The line of a field, or of the table where that is not known."""
        return self.line if name is None else self.fields.get(name, self.line)


def find_tables(text: str, name: str) -> list[Place]:
    """Finds the tables `[[name]]` of valid TOML, in order; fewer than there are where they are written otherwise."""
    found: list[Place] = []
    is_inside, is_part = False, False
    for number, line in enumerate(_QUOTED.sub(_blank, text).split("\n"), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            brackets, table, part = header.groups()
            is_inside = table == name and (is_inside or brackets == "[[")
            is_part = part is not None
            if is_inside and part is None and brackets == "[[":
                found.append(Place(number))
            elif is_inside and found and part is not None:
                found[-1].fields.setdefault(part, number)
        elif key is not None and is_inside and not is_part:
            found[-1].fields.setdefault(key.group(1), number)
    return found


def _blank(match: re.Match[str]) -> str:
    """What stands between quotation marks or in a comment, line ends alone."""
    return '""' + "\n" * match.group().count("\n")
