"""What is installed: tested versions, compilers, folders, optional parts."""

from __future__ import annotations

import importlib.metadata
from configparser import ConfigParser
from pathlib import Path

import pytest
from trees import put

from llamabench.hardware import installation
from llamabench.hardware.installation import read_folder, read_installation

SETUP = Path(__file__).parents[2] / "setup.cfg"


def test_what_is_installed_here(tmp_path: Path, own_data_folder: Path) -> None:
    found = read_installation(tmp_path / "runs")
    assert found.is_tested
    assert found.binding == importlib.metadata.version("llama-cpp-python")
    assert found.data.path == str(own_data_folder)
    assert found.runs.path == str(tmp_path / "runs")
    assert (found.n_data_sets, found.data_failure) == (0, None)


def test_the_tested_range_is_that_of_the_setup(tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read(SETUP)
    (line,) = [line for line in parser["options"]["install_requires"].split() if line.startswith("llama-cpp-python")]
    bounds = set(line.removeprefix("llama-cpp-python").split(","))
    found = read_installation(tmp_path).requirement
    assert set(found.removeprefix("llama-cpp-python").split(",")) == bounds


@pytest.mark.parametrize(
    ("version", "is_tested"),
    [("0.3.35", False), ("0.3.36", True), ("0.3.36.post1", True), ("0.3.37", False), (None, False)],
)
def test_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, is_tested: bool) -> None:
    monkeypatch.setattr(installation, "_version", lambda _: version)
    assert read_installation(tmp_path).is_tested == is_tested


def test_extras_name_the_packages_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_version", lambda name: None if name == "nvidia-ml-py" else "1")
    assert read_installation(tmp_path).extras["nvml"] == ("nvidia-ml-py>=12",)
    monkeypatch.setattr(installation, "_version", lambda name: "1")
    assert read_installation(tmp_path).extras["nvml"] == ()


def test_a_llamabench_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation.importlib.metadata, "requires", refuse)
    found = read_installation(tmp_path)
    assert (found.requirement, found.is_tested, found.extras) == ("llama-cpp-python", True, {})


def test_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.shutil, "which", lambda name: "/usr/bin/c++" if name == "c++" else None)
    assert read_installation(tmp_path, tmp_path).tools == {"c++": "c++"}
    put(tmp_path, "usr/local/cuda/bin/nvcc", "")
    assert read_installation(tmp_path, tmp_path).tools == {
        "nvcc": str(tmp_path / "usr/local/cuda/bin/nvcc"),
        "c++": "c++",
    }


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = read_folder(tmp_path)
    assert there.is_writable
    assert there.free_bytes
    assert read_folder(tmp_path / "not" / "yet").is_writable
    (tmp_path / "file").write_text("")
    assert not read_folder(tmp_path / "file" / "below").is_writable
    monkeypatch.setattr(installation.os, "access", lambda *_: False)
    assert not read_folder(tmp_path).is_writable


def test_a_disk_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError

    monkeypatch.setattr(installation.shutil, "disk_usage", fail)
    assert read_folder(tmp_path).free_bytes is None
