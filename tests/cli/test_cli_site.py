"""`llamabench site`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.mark.model
def test_a_folder_of_runs_becomes_pages(llamabench: Command) -> None:
    for seed in ("1", "2"):
        llamabench("run", "demo", "--suite", "bbq", "--limit", "4", "--seed", seed, "--quiet")
    (Path("llamabench-runs") / "broken").mkdir()
    (Path("llamabench-runs") / "broken" / "run.sqlite").write_bytes(b"no database")
    done = llamabench("site", "llamabench-runs")
    assert done.code == 0
    assert done.err.startswith("Left out: ")
    assert "broken" in done.err
    index = Path(done.out.strip())
    assert index == Path("llamabench-runs/site/index.html")
    assert len(list((index.parent / "runs").glob("*.html"))) == 2
    assert len(list(index.parent.glob("model-*.html"))) == 1
    document = json.loads(llamabench("site", "llamabench-runs", "--out", "public", "--json").out)
    assert document["n_runs"] == "2"
    assert Path(document["index"]).is_file()


def test_a_folder_without_runs_is_told(llamabench: Command, tmp_path: Path) -> None:
    done = llamabench("site", str(tmp_path))
    assert done.code == 1
    assert "There is no run in" in done.err
