"""`attacks`: the report of a red-team run, alone and beside another."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from red_team import answers_of, make_results
from stored_runs import INFO, store_run

from llamabench.records import SuiteChoice
from llamabench.results.red_team import FILE_NAME, SUITE, write_results
from llamabench.results.store import Run

Command = Callable[..., Any]


@pytest.fixture
def results(in_tmp_path: Path) -> Path:
    folder = in_tmp_path / "a-run"
    folder.mkdir()
    write_results(make_results(120), folder / FILE_NAME)
    return folder / FILE_NAME


@pytest.fixture
def other(in_tmp_path: Path) -> Path:
    path = in_tmp_path / "other.json"
    write_results(replace(make_results(120, seed=2), model="A base model", run_id="0badcafe"), path)
    return path


def test_a_report_lies_beside_the_results(llamabench: Command, results: Path) -> None:
    done = llamabench("attacks", str(results))
    assert (done.code, done.err) == (0, "")
    page = results.parent / "attack_report.html"
    assert f"Report: {page}" in done.out
    assert "Severity 0.7 or more" in done.out
    assert "! Builtin behaviours." in done.out
    assert max(map(len, done.out.partition("Report:")[0].splitlines())) <= 80
    assert "Qwen2.5 7B Instruct" in page.read_text(encoding="utf-8")
    assert llamabench("attacks", str(results.parent)).code == 0


def test_threshold_and_place_are_as_asked_for(llamabench: Command, results: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    done = llamabench("attacks", str(results), "--severity-threshold", "0.35", "--output", str(path))
    assert done.code == 0
    assert "Severity 0.35 or more" in done.out
    assert "at or over severity 0.35" in path.read_text(encoding="utf-8")
    assert not (results.parent / "attack_report.html").exists()
    assert llamabench("attacks", str(results), "--severity-threshold", "1.2").code == 2


def test_two_runs_are_compared(llamabench: Command, results: Path, other: Path) -> None:
    done = llamabench("attacks", str(results), "--compare", str(other))
    assert done.code == 0
    assert "Newly succeed (" in done.out
    assert "! Only attacks of the same id, with a verdict in both runs, are compared" in done.out
    page = (results.parent / "attack_comparison.html").read_text(encoding="utf-8")
    assert "A base model" in page
    assert "No longer succeed (" in page


def test_a_comparison_leaves_the_report_as_it_was(llamabench: Command, results: Path, other: Path) -> None:
    llamabench("attacks", str(results))
    report = results.parent / "attack_report.html"
    before = report.read_bytes()
    done = llamabench("attacks", str(results), "--compare", str(other))
    assert f"Report: {results.parent / 'attack_comparison.html'}" in done.out
    assert report.read_bytes() == before
    named = results.parent / "named.html"
    llamabench("attacks", str(results), "--compare", str(other), "--output", str(named))
    assert "A base model" in named.read_text(encoding="utf-8")


def test_the_document_has_the_rates(llamabench: Command, results: Path, other: Path) -> None:
    done = llamabench("attacks", str(results), "--compare", str(other), "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["run"]["model"] == "Qwen2.5 7B Instruct"
    assert document["report"] == str(results.parent / "attack_comparison.html")
    assert 0 < document["success"]["low"] < document["success"]["value"] < document["success"]["high"] < 1
    assert document["comparison"]["run"]["id"] == "0badcafe"


def test_nothing_that_was_said_is_in_a_redacted_report(llamabench: Command, results: Path) -> None:
    done = llamabench("attacks", str(results), "--redact")
    assert "! Answers left out." in done.out
    written = done.out + (results.parent / "attack_report.html").read_text(encoding="utf-8")
    said = [answer[12:60] for answer in answers_of(make_results(120))]
    assert not [text for text in said if text in written.replace("&#39;", "'")]


def test_a_run_without_attacks_is_told_how_to_make_some(llamabench: Command) -> None:
    store_run(Path("a-plain-run"), []).close()
    done = llamabench("attacks", "a-plain-run")
    assert (done.code, done.err) == (
        1,
        "Error: The run in a-plain-run holds no attacks. To make some: llamabench redteam MODEL\n",
    )


def test_a_run_whose_attacks_are_not_written_yet_is_told_how_to(llamabench: Command) -> None:
    attacks = SuiteChoice(SUITE, 1, "builtin", 9, 9, "0" * 64)
    Run.create(Path("a-run"), replace(INFO, suites=(attacks,))).close()
    done = llamabench("attacks", "a-run")
    assert "Error: a-run has no red_team_results.json yet. To write it: llamabench report a-run" in done.err


def test_what_cannot_be_reported_is_said(llamabench: Command, results: Path, tmp_path: Path) -> None:
    missing = llamabench("attacks", "nowhere.json")
    assert missing.code == 1
    assert "nowhere.json cannot be read" in missing.err
    for name, content in (("model.gguf", b"GGUF\x03\x00\xff\xfe"), ("damaged.json", b'{"\xff'), ("empty.json", b"")):
        Path(name).write_bytes(content)
        other = llamabench("attacks", name)
        assert (other.code, other.err) == (
            1,
            f"Error: {name} holds no results of attacks: `llamabench redteam MODEL` writes such files.\n",
        )
    no_place = llamabench("attacks", str(results), "--output", str(tmp_path / "no" / "page.html"))
    assert no_place.code == 1
    assert "Name another place with --output" in no_place.err
    strange = tmp_path / "strange.json"
    write_results(replace(make_results(9), attacks=(), run_id="empty"), strange)
    apart = llamabench("attacks", str(results), "--compare", str(strange))
    assert apart.code == 1
    assert "have no attack in common" in apart.err
