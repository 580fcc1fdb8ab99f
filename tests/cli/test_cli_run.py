"""`run`, `demo` and `report` where all goes well."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture
def run(llamabench: Command, demo_model: Path, engine_script: Any) -> Command:
    return lambda *options: llamabench("run", str(demo_model), "--suite", "preference", *options)


def test_results_go_to_stdout_and_progress_to_stderr(run: Command) -> None:
    done = run()
    assert done.code == 0
    assert "Preference" in done.out
    assert re.search(r"^Report: llamabench-runs/\S+/score\.html$", done.out, re.M)
    assert "preference: 100%" in done.err
    assert "96/96" in done.err
    assert "A processor with four cores" in done.err
    assert "It is made up." in done.err


def test_the_first_line_and_the_page_name_the_file(run: Command, demo_model: Path) -> None:
    done = run()
    assert done.err.startswith(f"{demo_model.name}: ")
    (page,) = Path("llamabench-runs").glob("*/score.html")
    assert f'<li class="text mono">{demo_model.name}</li>' in page.read_text(encoding="utf-8")


def test_the_table_fits_into_80_columns(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    done = llamabench("run", str(demo_model), "--limit", "12", "--quiet")
    table = done.out.partition("Report:")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "…" not in table


def test_quiet_says_nothing_on_the_way(run: Command) -> None:
    done = run("--quiet")
    assert (done.code, done.err) == (0, "")
    assert "Report:" in done.out


@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=str)
def test_json_is_one_document(run: Command, quiet: list[str]) -> None:
    done = run("--json", *quiet)
    assert done.code == 0
    document = json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(document) == ["run", "model", "machine", "plan", "workers", "scores", "audits", "speed", "report"]
    assert document["run"]["finished"] is True
    assert Path(document["report"]).is_file()
    assert {score["suite"] for score in document["scores"]} == {"preference"}
    assert ("preference: 100%" in done.err) == (not quiet)


def test_the_table_and_the_document_agree(run: Command) -> None:
    table = run("--quiet", "--out", "a").out
    document = json.loads(run("--quiet", "--json", "--out", "b").out)
    (score,) = [s for s in document["scores"] if s["metric"] == "agreement_sum" and s["group"] is None]
    assert f"{score['value'] * 100:.1f} %" in " ".join(table.split())


def test_options_reach_the_run(run: Command) -> None:
    done = run("--json", "--quiet", "--limit", "7", "--seed", "5", "--no-chat", "--out", "there")
    document = json.loads(done.out)
    assert document["run"]["limit"] == 7
    assert document["run"]["seed"] == 5
    assert document["run"]["chat"] is False
    assert document["run"]["suites"][0]["n_items"] == 7
    assert document["run"]["folder"].startswith("there/")


def test_all_suites_are_run_without_a_choice(llamabench: Command, demo_model: Path, engine_script: Any) -> None:
    from llamabench.suites import SUITES

    done = llamabench("run", str(demo_model), "--json", "--quiet", "--limit", "8")
    assert [choice["name"] for choice in json.loads(done.out)["run"]["suites"]] == list(SUITES)


def test_the_demo_runs_a_pair_and_says_that_both_are_toys(llamabench: Command, engine_script: Any) -> None:
    done = llamabench("demo", "--quiet", "--out", "x", "--limit", "12", "--json")
    assert done.code == 0
    document = json.loads(done.out)
    assert len(document["comparisons"]) == 1
    assert "toy" in Path(document["report"]).read_text(encoding="utf-8")
    pages = sorted(Path("x").glob("*/score.html"))
    assert [page.parent.name.rpartition("-")[0] for page in pages] == ["demo-aligned", "demo-base"]
    assert all("is a toy" in page.read_text(encoding="utf-8") for page in pages)
    aligned = json.loads(llamabench("report", str(pages[0].parent), "--json").out)
    assert aligned["run"]["chat"] is False
    assert {"redteam", "preference"} <= {score["suite"] for score in aligned["scores"]}
    assert any(score["metric"] == "agreement_reward" for score in aligned["scores"])


def test_the_demo_opens_its_comparison(
    llamabench: Command, engine_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    assert llamabench("demo", "--quiet", "--limit", "5").code == 0
    assert opened == []
    done = llamabench("demo", "--quiet", "--limit", "5", "--open")
    assert done.code == 0
    (page,) = opened
    assert page.endswith("compare.html")
    assert page in done.out


def test_a_demo_that_is_interrupted_goes_on(llamabench: Command, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    assert llamabench("demo", "--quiet", "--limit", "12").code == 130
    engine_script.fail_after = None
    done = llamabench("demo", "--quiet", "--limit", "12")
    assert done.code == 0
    assert "compare.html" in done.out


def test_a_report_is_written_again(run: Command, llamabench: Command) -> None:
    first = run("--quiet").out
    (page,) = Path("llamabench-runs").glob("*/score.html")
    text = page.read_text(encoding="utf-8")
    page.unlink()
    done = llamabench("report", str(page.parent))
    assert (done.code, done.err) == (0, "")
    assert done.out == first
    assert page.read_text(encoding="utf-8") == text
    document = json.loads(llamabench("report", str(page.parent), "--json").out)
    assert document["run"]["finished"] is True


def test_an_unfinished_run_has_a_report(run: Command, llamabench: Command, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    assert run("--quiet").code == 130
    (folder,) = Path("llamabench-runs").iterdir()
    done = llamabench("report", str(folder))
    assert done.code == 0
    assert "Items done so far" in done.out
    assert "of 96" in done.out
    assert json.loads(llamabench("report", str(folder), "--json").out)["scores"] == []


def test_the_same_command_goes_on(run: Command, engine_script: Any) -> None:
    engine_script.fail_after, engine_script.failure = 2, KeyboardInterrupt()
    assert run("--quiet").code == 130
    engine_script.fail_after = None
    done = run()
    assert done.code == 0
    assert len(list(Path("llamabench-runs").iterdir())) == 1
    assert not re.search(r"preference:\s+0%", done.err), "what was stored before counts"


def test_a_report_that_cannot_be_written_does_not_lose_the_scores(
    run: Command, monkeypatch: pytest.MonkeyPatch, llamabench: Command
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("llamabench.report.render.write_score_report", fail)
        done = run("--quiet")
    assert done.code == 1
    assert "Report: " not in done.out
    assert "chance" in done.out, "the table needs no room"
    found = re.search(r"cannot be written: No space left on device\. The scores are safe: llamabench (.+)", done.err)
    assert found
    assert llamabench(*found[1].split()).code == 0
