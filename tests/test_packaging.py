"""What is shipped: everything that the code reads lies in the packages that setup.cfg names."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def read_setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup


def test_every_package_is_named() -> None:
    named = set(read_setup()["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "llamabench").rglob("__init__.py")}
    assert named == found | {"llamabench.templates", "llamabench.data.builtin"}


@pytest.mark.parametrize("folder", ["llamabench", "templates"])
def test_every_file_that_is_no_code_is_shipped(folder: str) -> None:
    patterns = {
        package: [pattern.strip() for pattern in text.split(",")]
        for package, text in read_setup()["options.package_data"].items()
    }
    shipped = {
        path for package, wanted in patterns.items() for pattern in wanted for path in _folder_of(package).glob(pattern)
    }
    others = {
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert others - shipped == set()


def _folder_of(package: str) -> Path:
    return ROOT / "templates" if package == "llamabench.templates" else ROOT.joinpath(*package.split("."))


def test_the_container_installs_what_was_tested() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert text.count("-r requirements.txt") == 2
    for target in ("cpu", "cuda"):
        assert f" AS {target}\n" in text
