"""Texts as somebody who means harm would write them, for property tests."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import strategies as st

SNIPPETS = (
    *(
        "<script>alert(1)</script>",
        "</script>",
        "<img src=x onerror=alert(1)>",
        "\"'><svg onload=alert(1)>",
        "]]>",
        "-->",
    ),
    *("javascript:alert(1)", "&lt;", "{{ 7*7 }}", "{% raw %}", "${x}", "[bold red]", "[/]", ":warning:"),
    *("\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x07", "\x9b31m", "\r", "\x08", "\x7f", "\x00"),
    *("\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x85", "\U000e0041", "\ud800", "\udcff"),
    *("=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=1", "|", '"', ",", ";", "\n", "\r\n", "'"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "con",
        "a/b",
        "a\\b",
        "~",
        "- [x](http://evil)",
        "# h",
        "```",
        "---",
    ),
    *("!!python/object:os.system", "<<: *a", "%s%n", "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "\u0000"),
)
"""What breaks out of HTML, templates, markup, terminals, spreadsheets, paths, YAML and XML."""

hostile_text = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=12)), min_size=1, max_size=5).map("".join)
"""Such things, beside each other and with anything else between."""

_FORBIDDEN = re.compile("[\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def find_obeyed(text: str) -> list[str]:
    """The characters of an output that a terminal or a reader would obey instead of seeing."""
    return [
        f"U+{ord(char):04X}"
        for char in text
        if (unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n") or _FORBIDDEN.match(char)
    ]
