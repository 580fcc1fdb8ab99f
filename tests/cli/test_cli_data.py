"""`data pull`, `export` and `import` of what was exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

PKU = {"prompt": "Hi", "response_0": "A", "response_1": "B", "better_response_id": 1, "safer_response_id": 0}


@pytest.fixture
def mirror(in_tmp_path: Path) -> Path:
    """A folder with a copy of the Hub's PKU-SafeRLHF, of two rows."""
    path = in_tmp_path / "mirror" / "PKU-Alignment" / "PKU-SafeRLHF" / "data" / "Alpaca-7B" / "test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text((json.dumps(PKU) + "\n") * 2)
    return in_tmp_path / "mirror"


def test_a_data_set_is_pulled_exported_and_imported(
    llamabench: Command, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = llamabench("data", "pull", "pku-saferlhf", "--from", str(mirror))
    assert (done.code, done.out, done.err) == (0, "pku-saferlhf pku-test: 4 items from 1 files\n", "")
    done = llamabench("data", "export", "carry.bundle")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("pku-saferlhf pku-test: 4 items\nWrote carry.bundle, ")
    monkeypatch.setenv("LLAMABENCH_DATA", str(Path("elsewhere").absolute()))
    done = llamabench("data", "import", "carry.bundle")
    assert (done.code, done.out, done.err) == (0, "pku-saferlhf pku-test: 4 items from 1 files\n", "")
    assert llamabench("data", "verify").out == "pku-saferlhf pku-test: 1 files, as imported\n"
    rows = {row["edition"]: row for row in json.loads(llamabench("data", "list", "--json").out)}
    there = rows["pku-test"]
    assert (there["installed"], there["items"], there["origin"]) == (True, 4, "a bundle")
    assert there["bytes"] == sum(path.stat().st_size for path in mirror.rglob("*.jsonl"))
    assert there["homes"][0]["revision"] == "9421ffafec3fa40a1f1a7d567b4d525079477ecb"
    assert "PKU-SafeRLHF" in there["citation"]


def test_all_of_it_has_documents(llamabench: Command, mirror: Path) -> None:
    (row,) = json.loads(llamabench("data", "pull", "pku-test", "--from", str(mirror), "--json").out)
    assert (row["edition"], row["items"]) == ("pku-test", 4)
    assert row["origin"] == "a copy of PKU-Alignment/PKU-SafeRLHF on the Hugging Face Hub"
    document = json.loads(llamabench("data", "export", "x.bundle", "pku-saferlhf", "--json").out)
    assert (document["path"], document["bytes"]) == ("x.bundle", Path("x.bundle").stat().st_size)
    assert document["editions"] == [{"source": "pku-saferlhf", "edition": "pku-test", "items": 4}]
    (row,) = json.loads(llamabench("data", "import", "x.bundle", "--json").out)
    assert (row["edition"], row["origin"]) == ("pku-test", "a bundle")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "nowhere.bundle"], ["There is no bundle at nowhere.bundle."]),
        (["export", "x.bundle"], ["Nothing is imported, so there is nothing to export.", "llamabench data pull NAME"]),
        (["export", "x.bundle", "xstest"], ["xstest is not imported."]),
        (["export", "x.bundle", "xtest"], ['No data set or edition is called "xtest".', "Did you mean xstest?"]),
        (["pull", "xtest"], ['No data set or edition is called "xtest".', "Did you mean xstest?"]),
        (["pull", "pairs"], ["cannot be pulled. Run `llamabench data import pairs FOLDER`."]),
        (["pull", "xstest", "--from", "."], ["XSTest could not be pulled.", "exaggerated-safety is not a folder"]),
    ],
)
def test_what_cannot_be_done_is_one_error(llamabench: Command, arguments: list[str], words: list[str]) -> None:
    done = llamabench("data", *arguments)
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


def test_a_damaged_bundle_is_one_error(llamabench: Command, mirror: Path) -> None:
    llamabench("data", "pull", "pku-saferlhf", "--from", str(mirror))
    llamabench("data", "export", "x.bundle")
    path = Path("x.bundle")
    path.write_bytes(path.read_bytes().replace(b'"prompt": "Hi"', b'"prompt": "Ho"', 1))
    done = llamabench("data", "import", "x.bundle")
    assert (done.code, done.out) == (1, "")
    assert "x.bundle is refused: pku-saferlhf/pku-test/data/Alpaca-7B/test.jsonl is damaged" in done.err
    assert "Nothing was imported. Export it again." in done.err
