"""The oldest versions that may be installed have no fault that is known to matter here."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| ([\w-]+) \| `([\d.]+)` \|", re.MULTILINE)
SOUND_FROM = {name: Version(version) for name, version in _ROW.findall(TEXT)}
"""First versions without known faults, from the reviewed table in docs/security.md."""


def requirements() -> Iterator[Requirement]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    groups = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    yield from (Requirement(line) for group in groups for line in group.split("\n") if line)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    yield from map(Requirement, build)


def least_version(requirement: Requirement) -> Version:
    (least,) = (Version(bound.version) for bound in requirement.specifier if bound.operator == ">=")
    return least


@pytest.mark.parametrize("requirement", list(requirements()), ids=lambda requirement: requirement.name)
def test_the_oldest_version_allowed_has_no_known_fault(requirement: Requirement) -> None:
    sound = SOUND_FROM.get(requirement.name.lower())
    assert sound is None or least_version(requirement) >= sound


def test_every_requirement_has_a_least_version_and_every_row_a_requirement() -> None:
    named = {requirement.name.lower() for requirement in requirements() if least_version(requirement)}
    assert named >= SOUND_FROM.keys()
    assert len(SOUND_FROM) >= 9
    assert "Reviewed 2026-11-25" in TEXT
