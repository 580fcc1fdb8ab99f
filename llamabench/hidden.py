"""Characters that nobody sees and that something obeys, written out."""

from __future__ import annotations

import re

# Controls, bidi marks and overrides, zero-width and tag characters, line separators, lone surrogates. Left alone: tab,
# line feed, and the joiners U+200C and U+200D, which Persian, Indic scripts and emoji need.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def show_hidden(text: str) -> str:
    r"""Write out characters that would be invisible or would rearrange the text around them.

    Controls become their pictures, everything else of that kind its code point, so that text from a model or a file
    can neither hide something nor steer a terminal.

    >>> show_hidden("a\x1b[31m\u202eb\tc")
    'a␛[31m⟨U+202E⟩b\tc'
    """
    return _HIDDEN.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"⟨U+{code:04X}⟩"
