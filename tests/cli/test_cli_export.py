"""`llamabench export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture
def folder(llamabench: Command) -> Path:
    done = llamabench("run", "demo", "--suite", "bbq", "--limit", "4", "--quiet", "--json")
    return Path(json.loads(done.out)["run"]["folder"])


@pytest.mark.model
def test_each_format_is_written_into_the_runs_folder(llamabench: Command, folder: Path) -> None:
    pytest.importorskip("pyarrow")
    names = {
        "json": "run.json",
        "csv": "csv",
        "parquet": "parquet",
        "lm-eval": "lm-eval",
        "model-index": "model-index.yaml",
        "junit": "junit.xml",
    }
    for format_name, name in names.items():
        done = llamabench("export", str(folder), "--format", format_name)
        assert (done.code, done.err) == (0, "")
        assert Path(done.out.strip()) == folder / name
        assert (folder / name).exists()
    assert json.loads((folder / "run.json").read_text())["run"]["folder"] == str(folder)


@pytest.mark.model
def test_bounds_make_the_exit_code(llamabench: Command, folder: Path, tmp_path: Path) -> None:
    assert llamabench("export", str(folder), "--require", "bbq.accuracy_ambig>=0").code == 0
    done = llamabench(
        "export",
        str(folder),
        "--format",
        "junit",
        "--out",
        str(tmp_path / "a" / "b.xml"),
        "--require",
        "bbq.accuracy_ambig>=2",
    )
    assert done.code == 1
    assert done.err.startswith("Error: Not as required. bbq.accuracy_ambig >= 2: found ")
    assert "<failure" in (tmp_path / "a" / "b.xml").read_text()


@pytest.mark.model
def test_what_cannot_be_written_is_told(llamabench: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = llamabench("export", str(folder), "--format", "csv", "--out", str(tmp_path / "file" / "x"))
    assert done.code == 1
    assert "cannot be written: File exists" in done.err


def test_nothing_to_do_is_wrong_usage(llamabench: Command) -> None:
    assert llamabench("export", "somewhere").code == 2


def test_no_run_is_an_error(llamabench: Command, tmp_path: Path) -> None:
    done = llamabench("export", str(tmp_path / "nothing"), "--format", "json")
    assert done.code == 1
    assert "Traceback" not in done.err
