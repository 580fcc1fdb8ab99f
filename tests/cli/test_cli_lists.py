"""`suites`, `models` and `data`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from llamabench.cli.models import ROLES
from llamabench.data.demo_model import TRAINED_MODELS, ensure_demo_model
from llamabench.data.models import Role
from llamabench.data.sources import SOURCES
from llamabench.suites import SUITES

Command = Callable[..., Any]


def write_published_data(folder: Path) -> None:
    """Files that have the form of TruthfulQA's 790 questions."""
    folder.mkdir()
    truth = {"Yes": 1, "No": 0}
    entries = [
        {"question": f"Question {i}?", "mc0_targets": truth, "mc1_targets": truth, "mc2_targets": truth}
        for i in range(790)
    ]
    (folder / "mc_task.json").write_text(json.dumps(entries))
    header = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers"
    lines = "".join(f"Adversarial,Law,Question {i}?,Yes,Yes; Aye,No\n" for i in range(790))
    (folder / "TruthfulQA.csv").write_text(f"{header}\n{lines}")


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_suites_are_described(llamabench: Command) -> None:
    done = llamabench("suites")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "…" not in done.out
    for name, suite in SUITES.items():
        assert name in done.out
        assert words_of(suite.FOCUS) in words_of(done.out)
        assert suite.LIMITATIONS.split()[-1] in done.out
    assert "starter items only" in done.out


def test_suites_have_a_document(llamabench: Command) -> None:
    done = llamabench("suites", "--json")
    rows = json.loads(done.out)
    assert [row["name"] for row in rows] == list(SUITES)
    assert {row["edition"] for row in rows} == {"starter", "builtin"}
    assert all(row["items"] > 0 for row in rows)


def test_models_are_listed(llamabench: Command) -> None:
    path = "some/rather/long/folder/that/does/not/end/soon/model-of-some-size-Q4_K_M.gguf"
    Path("models.toml").write_text(f'[models.mine]\npath = "{path}"\ndescription = "[bold]Mine[/bold]"\n')
    done = llamabench("models")
    assert (done.code, done.err) == (0, "")
    assert "[bold]Mine[/bold]" in done.out
    assert "demo" in done.out
    assert "…" not in done.out
    assert f"    {Path.cwd() / path}\n" in done.out, "a path stands whole on a line"
    assert done.out.count("made on the spot") == 1
    assert "being compared with (--reference)" in " ".join(done.out.split())
    rows = json.loads(llamabench("models", "--json").out)
    assert [row["name"] for row in rows] == ["mine", "demo", *TRAINED_MODELS]
    assert rows[0]["path"] == str(Path.cwd() / path)
    assert "does not exist" in rows[0]["problem"]
    assert rows[1]["path"] is None
    assert all(row["fits"] and row["licence"] == "MIT" for row in rows[2:])


def test_models_say_what_they_are_and_whether_they_fit(llamabench: Command) -> None:
    ensure_demo_model(Path()).rename("small.gguf")
    Path("broken.gguf").write_bytes(b"no model")
    Path("models.toml").write_text(
        '[models.judge]\npath = "small.gguf"\nbase = "broken"\nlicence = "MIT"\nroles = ["judge"]\n'
        '[models.broken]\npath = "broken.gguf"\n'
    )
    rows = {row["name"]: row for row in json.loads(llamabench("models", "--json").out)}
    assert rows["judge"]["fits"] is True
    assert rows["judge"]["size_bytes"] == Path("small.gguf").stat().st_size
    assert (rows["judge"]["base"], rows["judge"]["licence"], rows["judge"]["roles"]) == ("broken", "MIT", ["judge"])
    assert rows["broken"]["fits"] is None
    assert "GGUF" in rows["broken"]["problem"]
    shown = llamabench("models").out
    assert "processor alone" in shown or "GPU" in shown
    assert "cannot be read" in shown
    assert [row["name"] for row in json.loads(llamabench("models", "--json", "--fits").out)] == [
        "judge",
        *TRAINED_MODELS,
    ]
    assert "judge" not in [row["name"] for row in json.loads(llamabench("models", "--json", "--role", "attacker").out)]


def test_the_roles_to_ask_for_are_those_of_the_list() -> None:
    assert get_args(Role) == ROLES


def test_data_sets_are_listed(llamabench: Command, own_data_folder: Path) -> None:
    done = llamabench("data", "list")
    assert (done.code, done.err) == (0, "")
    assert "…" not in done.out
    for source in SOURCES.values():
        assert source.url in done.out or not source.editions
        for edition in source.editions:
            assert edition.name in done.out
    assert str(own_data_folder) in done.out
    rows = json.loads(llamabench("data", "list", "--json").out)
    assert not any(row["installed"] for row in rows)
    assert {row["items"] for row in rows} == {None}


def test_data_is_imported_verified_and_used(llamabench: Command, own_data_folder: Path) -> None:
    assert llamabench("data", "verify").out == "Nothing is imported.\n"
    write_published_data(Path("published"))
    done = llamabench("data", "import", "truthfulqa", "published")
    assert (done.code, done.out) == (0, "truthfulqa 790: 790 items from 2 files\n")
    assert "not the publishers' own bytes: data/mc_task.json, TruthfulQA.csv" in done.err
    assert llamabench("data", "verify").out == "truthfulqa 790: 2 files, as imported\n"
    assert "790 items" in llamabench("data", "list").out
    rows = {row["name"]: row for row in json.loads(llamabench("suites", "--json").out)}
    assert (rows["truthfulqa_mc"]["edition"], rows["truthfulqa_mc"]["items"]) == ("790", 790)
    (stored,) = own_data_folder.glob("truthfulqa/790/files-*/TruthfulQA.csv")
    stored.write_text(stored.read_text().replace("Law", "War"))
    done = llamabench("data", "verify")
    assert done.code == 1
    assert done.out == "truthfulqa 790: 2 files, damaged\n"
    (error,) = done.err.splitlines()
    assert "TruthfulQA.csv has changed" in error


def test_an_import_has_a_document(llamabench: Command) -> None:
    write_published_data(Path("published"))
    (row,) = json.loads(llamabench("data", "import", "truthfulqa", "published", "--json").out)
    assert (row["source"], row["edition"], row["items"], len(row["sha256"])) == ("truthfulqa", "790", 790, 64)


def test_imported_data_is_run_by_itself(
    llamabench: Command, demo_model: Path, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_published_data(Path("published"))
    assert llamabench("data", "import", "truthfulqa", "published").code == 0
    done = llamabench("run", str(demo_model), "--suite", "truthfulqa_mc", "--limit", "9", "--json", "--quiet")
    (choice,) = json.loads(done.out)["run"]["suites"]
    assert (choice["edition"], choice["n_items"], choice["n_available"]) == ("790", 9, 790)
    done = llamabench("run", str(demo_model), "--suite", "truthfulqa_mc:starter", "--limit", "9", "--json", "--quiet")
    assert json.loads(done.out)["run"]["suites"][0]["edition"] == "starter"
