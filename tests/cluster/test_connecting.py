"""What is said where Dask is missing, no scheduler is there, or versions differ; and which file is the model."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rpc import free_port

from llamabench.cluster import finding
from llamabench.cluster.connecting import DaskLink, check_address, find_differences, import_distributed
from llamabench.cluster.finding import find_file
from llamabench.errors import EngineError, MissingPackageError, ModelFileError
from llamabench.extras import pip_command
from llamabench.hardware.gguf import read_model
from llamabench.records import ModelFacts

HERE = {"host": {"python": "3.11.7.final.0"}, "packages": {"llamabench": "0.1.0", "distributed": "2026.8.0"}}


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tls://desk.local:1", "tcp://[fe80::1]:8786"])
def test_addresses_of_schedulers_are_taken(address: str) -> None:
    assert check_address(address) is None


@pytest.mark.parametrize("address", ["", "10.0.0.5:8786", "http://a:1", "tcp://a", "tcp://:8786", "tcp://a:70000"])
def test_what_is_no_address_of_a_scheduler_is_refused(address: str) -> None:
    assert check_address(address) == "It is no tcp://HOST:PORT or tls://HOST:PORT."


def test_without_dask_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=re.escape(pip_command("cluster"))):
        import_distributed()


def test_a_scheduler_that_is_not_there_is_said(loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from llamabench.cluster import connecting

    monkeypatch.setattr(connecting, "_CONNECT_S", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=rf"{address} cannot be reached \(.*\)\. Is it running\? Start it"):
        DaskLink(address)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ({"host": {"python": "3.12.1.final.0"}}, "python 3.12 there, 3.11 here"),
        ({"packages": {**HERE["packages"], "llamabench": None}}, "llamabench (none) there, 0.1.0 here"),
        ({"packages": {**HERE["packages"], "distributed": "2025.1.0"}}, "distributed 2025.1.0 there, 2026.8.0 here"),
    ],
)
def test_other_versions_are_named(theirs: dict[str, Any], words: str) -> None:
    assert find_differences(HERE, {**HERE, **theirs}) == f"Versions differ: {words}. Install the same on all machines."


def test_a_patch_of_python_makes_no_difference() -> None:
    assert find_differences(HERE, {**HERE, "host": {"python": "3.11.2.final.0"}}) is None


# --- the model's file ---------------------------------------------------------------------------


@pytest.fixture
def elsewhere(demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFacts:
    """A model as a machine knows it whose files are not here, and no program keeps any."""
    monkeypatch.setattr(finding, "list_local_models", lambda: iter(()))
    monkeypatch.setattr(finding, "list_models", dict)
    return replace(read_model(demo_model), path="/nowhere/demo.gguf")


def test_a_model_is_found_by_its_contents_whatever_it_is_called(
    elsewhere: ModelFacts, demo_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "deep" / "down").mkdir(parents=True)
    copy = tmp_path / "deep" / "down" / "renamed.gguf"
    shutil.copy(demo_model, copy)
    (tmp_path / "broken.gguf").write_bytes(b"x" * demo_model.stat().st_size)
    found = find_file(elsewhere, [tmp_path])
    assert (found.path, found.fingerprint) == (str(copy), elsewhere.fingerprint)
    assert find_file(elsewhere, [copy]).path == str(copy)


def test_the_same_path_as_elsewhere_will_do(elsewhere: ModelFacts, demo_model: Path) -> None:
    assert find_file(replace(elsewhere, path=str(demo_model)), []).path == str(demo_model)


def test_another_file_of_that_name_is_named_and_taken_only_where_that_is_allowed(
    elsewhere: ModelFacts, demo_model: Path, tmp_path: Path
) -> None:
    other = tmp_path / "demo.gguf"
    contents = bytearray(demo_model.read_bytes())
    contents[-100] ^= 1
    other.write_bytes(contents)
    with pytest.raises(ModelFileError, match=r"demo.gguf \(.* is another file of that name. Copy the file, and start"):
        find_file(elsewhere, [tmp_path])
    found = find_file(elsewhere, [tmp_path], allows_other=True)
    assert found.path == str(other)
    assert found.fingerprint != elsewhere.fingerprint


def test_a_model_that_is_nowhere_is_said(elsewhere: ModelFacts, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is not here \(.*\). Copy the file, and start the worker with --models"):
        find_file(elsewhere, [tmp_path], allows_other=True)
