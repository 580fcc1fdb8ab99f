"""Optional parts: what they ask for, the command that adds one, and the documents that name them."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import sys
from configparser import ConfigParser
from email.message import Message
from pathlib import Path

import pytest

from llamabench import extras
from llamabench.extras import pip_command, read_extras

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_setup() -> dict[str, set[str]]:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return {name: set(lines.split()) for name, lines in parser["options.extras_require"].items() if name != "dev"}


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip writes of the sources as they are now; what lies here may be of an earlier day."""
    whole = Message()
    lines = ["click>=8.1", "pytest>=8; extra == 'dev'"]
    for name, packages in read_setup().items():
        whole["Provides-Extra"] = name
        lines += [f"{package}; extra == '{name}'" for package in packages]
    whole["Provides-Extra"] = "dev"
    monkeypatch.setattr(extras.importlib.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(extras.importlib.metadata, "metadata", lambda name: whole)


@pytest.mark.usefixtures("metadata")
def test_extras_are_those_of_the_setup() -> None:
    asked = {name: {f"{entry.name}{entry.specifier}" for entry in read_extras()[name]} for name in read_extras()}
    assert asked == read_setup()


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("name", sorted(read_setup()))
def test_the_command_names_packages_and_the_python_that_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/my env/python")
    words = shlex.split(pip_command(name))
    assert words[:4] == ["/my env/python", "-m", "pip", "install"]
    assert set(words[4:]) == read_setup()[name]


@pytest.mark.parametrize("is_checkout", [True, False])
def test_without_metadata_the_sources_are_installed(
    is_checkout: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras.importlib.metadata, "requires", refuse)
    monkeypatch.setattr(extras, "_SOURCES", tmp_path)
    if is_checkout:
        (tmp_path / "setup.cfg").touch()
    words = shlex.split(pip_command("cluster"))[4:]
    assert words == (["-e", f"{tmp_path}[cluster]"] if is_checkout else ["llamabench[cluster]"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_install_from_the_checkout(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert "llamabench[" not in text
    assert not re.search(r"pip (download|wheel)\b[^`\n]* llamabench\b", text)
    for line in re.findall(r"pip install [^`#\n]*\bllamabench\b", text):
        assert "--no-index --find-links" in line
    assert set(re.findall(r"pip install \"\.\[(\w+)\]\"", text)) <= {*read_setup(), "dev", "NAME"}
