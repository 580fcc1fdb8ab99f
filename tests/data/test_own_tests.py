"""Tests of a person's own beside those that come with llamabench: what scores are then called."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamabench.data.cache import import_source
from llamabench.data.own_tests import find_with_tests, takes_tests
from llamabench.data.pulling import pull
from llamabench.errors import DataError, UnknownNameError


def write(tmp_path: Path, text: str, name: str = "my.toml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_only_some_suites_take_tests(tmp_path: Path) -> None:
    assert takes_tests(("alignment",))
    assert not takes_tests(("bbq",))
    assert find_with_tests(("bbq",), None, [write(tmp_path, "")]).edition == "starter"


def test_files_are_named_by_edition_and_digest(tmp_path: Path) -> None:
    plain = find_with_tests(("alignment",), None, [])
    added = find_with_tests(("alignment",), None, [write(tmp_path, "a")])
    assert (plain.edition, added.edition) == ("builtin", "builtin+my.toml")
    assert [file.kind for file in added.files] == ["tests", "tests"]
    digests = {plain.sha256, added.sha256, find_with_tests(("alignment",), None, [write(tmp_path, "b")]).sha256}
    assert len(digests) == 3
    assert find_with_tests(("alignment",), None, [write(tmp_path, "a")]).sha256 == added.sha256
    assert not added.is_starter


def test_names_cannot_break_a_signature(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "a|b: c+\udcff.toml")
    assert find_with_tests(("alignment",), "own", [path]).edition == "own+a-b-c-.toml"


def test_ones_own_tests_can_stand_alone(tmp_path: Path) -> None:
    found = find_with_tests(("alignment",), "own", [write(tmp_path, "a")])
    assert (found.edition, len(found.files)) == ("own+my.toml", 1)
    with pytest.raises(DataError, match="There are no tests of your own. Name a file of them with --tests FILE"):
        find_with_tests(("alignment",), "own", [])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml cannot be read: No such file or directory"):
        find_with_tests(("alignment",), None, [tmp_path / "none.toml"])


def test_an_unknown_edition_is_refused() -> None:
    with pytest.raises(UnknownNameError, match='"buildin"'):
        find_with_tests(("alignment",), "buildin", [])


def test_what_comes_with_llamabench_is_neither_pulled_nor_imported(tmp_path: Path) -> None:
    for ask in (lambda: pull("alignment"), lambda: import_source("alignment", tmp_path)):
        with pytest.raises(DataError, match="The data set alignment comes with llamabench"):
            ask()
