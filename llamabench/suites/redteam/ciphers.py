"""Codes that a request can be written in, each with its inverse.

What an inverse cannot know is lost: the case of letters in Morse code and in leetspeak, and characters in the text that
look like code already. Everything else comes back.
"""

from __future__ import annotations

import base64
import codecs

ZERO_WIDTH = "\u200b"
"""Zero-width space, which no reader sees."""

_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?'!/()&:;=+-_\"$@"
_CODES = """
.- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..
----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.
.-.-.- --..-- ..--.. .----. -.-.-- -..-. -.--. -.--.- .-... ---... -.-.-. -...- .-.-. -....- ..--.- .-..-.
...-..- .--.-.
"""

MORSE: dict[str, str] = dict(zip(_SIGNS, _CODES.split(), strict=True))
"""International Morse code, ITU-R M.1677-1, with the signs in common use beside it."""

_MORSE_LETTERS = {code: letter for letter, code in MORSE.items()} | {"/": " "}

_LEET = str.maketrans("aeiostAEIOST", "431057431057")
LEET_LETTERS = str.maketrans("431057", "aeiost")

_LOOKALIKES = dict(zip("aceijopsxyABCEHIJKMOPSTX", "асеіјорѕхуАВСЕНІЈКМОРЅТХ", strict=True))
HOMOGLYPHS = frozenset(_LOOKALIKES.values())
"""Cyrillic letters that look like Latin ones."""

_TO_LOOKALIKES = str.maketrans(_LOOKALIKES)
_FROM_LOOKALIKES = str.maketrans({cyrillic: latin for latin, cyrillic in _LOOKALIKES.items()})


def encode_base64(text: str) -> str:
    """Writes the UTF-8 bytes of a text in base64."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def decode_base64(text: str) -> str:
    """Reads base64 of UTF-8 bytes.

    Raises:
        ValueError: It is neither.
    """
    return base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass")


def turn_rot13(text: str) -> str:
    """Moves every Latin letter by 13 places; its own inverse."""
    return codecs.encode(text, "rot13")


def reverse(text: str) -> str:
    """Writes a text from its end; its own inverse."""
    return text[::-1]


def encode_leet(text: str) -> str:
    """Writes digits for the letters that look like them."""
    return text.translate(_LEET)


def decode_leet(text: str) -> str:
    """Writes letters for the digits that look like them."""
    return text.translate(LEET_LETTERS)


def encode_morse(text: str) -> str:
    """Writes Morse code: a space after a letter, a stroke for a space; what has no code stays as it is.

    >>> encode_morse("Hi you")
    '.... .. / -.-- --- ..-'
    """
    return " ".join("/" if letter == " " else MORSE.get(letter.upper(), letter) for letter in text)


def decode_morse(text: str) -> str:
    """Reads Morse code; what is none stays as it is.

    >>> decode_morse(".... .. / -.-- --- ..-")
    'HI YOU'
    """
    return "".join(_MORSE_LETTERS.get(code, code) for code in text.split(" "))


def encode_homoglyphs(text: str) -> str:
    """Writes Cyrillic letters for the Latin ones that look like them."""
    return text.translate(_TO_LOOKALIKES)


def decode_homoglyphs(text: str) -> str:
    """Writes Latin letters for the Cyrillic ones that look like them."""
    return text.translate(_FROM_LOOKALIKES)


def encode_zero_width(text: str) -> str:
    """Puts a zero-width space between any two characters."""
    return ZERO_WIDTH.join(text)


def decode_zero_width(text: str) -> str:
    """Leaves the zero-width spaces out."""
    return text.replace(ZERO_WIDTH, "")
