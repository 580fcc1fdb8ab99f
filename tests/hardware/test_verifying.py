"""Digests of whole files, compared before a file is opened."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from llamabench.errors import ModelFileError, UnknownNameError
from llamabench.hardware.verifying import Expected, match_expected, parse_digest, parse_expected, verify_files


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "text", ["", "sha256:", "a" * 64, "sha256:" + "a" * 63, "sha256:" + "g" * 64, "md5:" + "a" * 32, "sha1:" + "a" * 40]
)
def test_what_is_no_digest(text: str) -> None:
    assert parse_digest(text) is None


def test_a_digest_may_be_of_a_named_model() -> None:
    assert parse_expected("sha256:" + "A" * 64) == Expected(None, "a" * 64)
    assert parse_expected("a=b/judge.gguf=sha256:" + "b" * 64) == Expected("a=b/judge.gguf", "b" * 64)
    assert parse_expected("=sha256:" + "b" * 64) is None
    assert parse_expected("judge.gguf=sha256:1") is None


def test_digests_find_their_models() -> None:
    models = {"m": Path("m.gguf"), "judge": Path("j.gguf")}
    expected = [Expected("judge", "1"), Expected(None, "2"), Expected("judge", "3")]
    assert match_expected(models, expected) == [(Path("j.gguf"), ["1", "3"]), (Path("m.gguf"), ["2"])]
    with pytest.raises(UnknownNameError, match=r'No model that is opened here is called "judg"\. Did you mean judge\?'):
        match_expected(models, [Expected("judg", "1")])


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path, data, read = tmp_path / "m.gguf", bytes(9 << 20), []
    path.write_bytes(data)
    verify_files(path, [digest(data)], advance=read.append)
    assert sum(read) == len(data)


def test_another_file_is_told_with_both_digests(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"not even a model")
    with pytest.raises(ModelFileError, match="m.gguf is not the file that is meant") as caught:
        verify_files(path, ["ab" * 32], advance=lambda _: None)
    assert digest(b"not even a model") in str(caught.value)
    assert "ab" * 32 in str(caught.value)


def test_parts_have_a_digest_each_in_order(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for part in parts:
        part.write_bytes(part.name.encode())
    digests = [digest(part.name.encode()) for part in parts]
    verify_files(parts[0], digests, advance=lambda _: None)
    with pytest.raises(ModelFileError, match="big-00002-of-00003.gguf is not the file"):
        verify_files(parts[0], [digests[0], digests[2], digests[1]], advance=lambda _: None)
    with pytest.raises(ModelFileError, match="has 3 parts, 1 digests are given. Give --verify once for each, in order"):
        verify_files(parts[0], digests[:1], advance=lambda _: None)
    parts[2].unlink()
    with pytest.raises(ModelFileError, match="big-00003-of-00003.gguf cannot be read: No such file"):
        verify_files(parts[0], digests, advance=lambda _: None)


def test_a_later_part_stands_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "big-00002-of-00003.gguf"
    path.write_bytes(b"x")
    verify_files(path, [digest(b"x")], advance=lambda _: None)
