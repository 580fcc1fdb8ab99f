"""CITATION.cff is valid and says of the project what the project says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llamabench import __version__

PATH = Path(__file__).parents[1] / "CITATION.cff"


def test_it_has_what_the_format_requires() -> None:
    document = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= document.keys()
    assert (document["version"], document["license"]) == (__version__, "MIT")


def test_it_is_valid() -> None:
    cffconvert = pytest.importorskip("cffconvert")
    citation = cffconvert.Citation(PATH.read_text(encoding="utf-8"))
    citation.validate()
    assert "llamabench" in citation.as_bibtex()
