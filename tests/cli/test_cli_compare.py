"""`llamabench compare`: table, document, page, summary and exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import check_policy
from stored_runs import INFO, MODEL, question_rows, store_run

Command = Callable[..., Any]


@pytest.fixture
def runs(in_tmp_path: Path) -> tuple[str, str]:
    """A run, and one of another quantization that lost the questions of Group 1."""
    store_run(Path("good"), question_rows(200, lambda n: n % 8 != 0)).close()
    small = replace(INFO, model=replace(MODEL, quant="Q4_0", size_bytes=1 << 29))
    store_run(Path("bad"), question_rows(200, lambda n: n % 8 != 0 and n % 4 != 1), small).close()
    return "good", "bad"


def test_what_changed_is_printed_and_written(llamabench: Command, runs: tuple[str, str]) -> None:
    done = llamabench("compare", *runs, "--markdown", "summary.md")
    assert (done.code, done.err) == (0, "")
    assert "tiny Q8_0 → tiny Q4_0" in done.out
    assert "regressed" in done.out
    assert "Report: bad/compare.html" in done.out
    assert done.out.count("! tiny Q4_0 was asked without its chat template.\n") == 1
    page = Path("bad/compare.html").read_text(encoding="utf-8")
    check_policy(page)
    assert "Areas of regression" in page
    summary = Path("summary.md").read_text(encoding="utf-8")
    for title in ("Areas of improvement", "Areas of regression", "Unchanged", "Not measurable here"):
        assert f"### {title}" in summary
    assert "- **TruthfulQA, multiple choice**: Best answer first (MC1): 87.5 % → 62.5 %, −25.0 (" in summary.replace(
        "\u00a0", " "
    )


def test_a_gate_fails_on_a_regression_alone(llamabench: Command, runs: tuple[str, str]) -> None:
    good, bad = runs
    assert llamabench("compare", good, bad, "--fail-on-regression").code == 1
    assert llamabench("compare", bad, good, "--fail-on-regression").code == 0
    assert llamabench("compare", good, good, bad, "--fail-on-regression").code == 1


def test_the_document_holds_the_same_facts(llamabench: Command, runs: tuple[str, str]) -> None:
    done = llamabench("compare", *runs, "--json")
    (found,) = json.loads(done.out)["comparisons"]
    assert (found["first"]["model"]["quant"], found["second"]["model"]["quant"]) == ("Q8_0", "Q4_0")
    (one,) = (one for one in found["suites"][0]["differences"] if one["metric"] == "mc1" and one["group"] is None)
    assert (one["difference"], one["verdict"], one["test"]) == (-0.25, "regressed", "McNemar, exact")
    assert one["flips"]["n_fell"] == 50


def test_runs_that_were_not_asked_the_same_are_refused(llamabench: Command, runs: tuple[str, str]) -> None:
    store_run(Path("other"), question_rows(200, lambda n: True), edition="2021").close()
    done = llamabench("compare", "good", "other")
    assert done.code == 1
    assert "were not asked the same" in done.err
    assert "data is 2025" in done.err
    done = llamabench("compare", "good", "other", "--allow-different")
    assert done.code == 0
    assert "! truthfulqa_mc: data is 2025" in done.out
    assert "Not asked the same" in Path("other/compare.html").read_text(encoding="utf-8")


def test_models_and_runs_of_other_tokenisers_have_no_divergence(llamabench: Command, runs: tuple[str, str]) -> None:
    larger = replace(INFO, model=replace(MODEL, n_vocab=400, name="large"))
    store_run(Path("large"), question_rows(200, lambda n: True), larger).close()
    done = llamabench("compare", "good", "large", "--kl", "5", "--quiet")
    assert done.code == 0
    assert "No divergence could be measured." in done.out


def test_what_is_no_run_and_no_model_is_told(llamabench: Command, runs: tuple[str, str]) -> None:
    done = llamabench("compare", "good", "goood")
    assert done.code == 1
    assert "goood" in done.err


def test_hostile_names_are_shown_and_not_obeyed(llamabench: Command, in_tmp_path: Path) -> None:
    """A terminal's escapes, markup and Markdown in ids, groups and a model's name."""
    hostile = "\x1b[31m<script>alert(1)</script>[link](x)|"
    for folder, is_right in (("a", True), ("b", False)):
        rows = [replace(row, group=f"{hostile}{row.group}") for row in question_rows(80, lambda n, r=is_right: r)]
        info = replace(INFO, model=replace(MODEL, name=hostile + folder))
        store_run(Path(folder), rows, info).close()
    done = llamabench("compare", "a", "b", "--markdown", "s.md")
    assert done.code == 0
    page, summary = (Path(name).read_text(encoding="utf-8") for name in ("b/compare.html", "s.md"))
    for text in (done.out, page, summary):
        assert "\x1b" not in text
    assert "<script>alert" not in page
    assert "<script>" not in summary
    assert "[link](x)" not in summary


@pytest.mark.model
def test_two_quants_are_run_and_compared(llamabench: Command, in_tmp_path: Path) -> None:
    from llamabench.data.demo_model import Shape, byte_vocabulary, write_random_model

    for quant in ("F32", "Q4_0"):
        path = Path(f"{quant}.gguf")
        write_random_model(path, Shape(2, 64, 4, 2, 128, 2048), byte_vocabulary(), name="tiny", quant=quant)
    done = llamabench(
        "compare", "F32.gguf", "Q4_0.gguf", "--suite", "preference", "--limit", "30", "--kl", "5", "--json", "--quiet"
    )
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)["comparisons"]
    assert found["suites"][0]["n_paired"] == 30
    assert found["divergence"]["n_prompts"] == 5
    assert 0 < found["divergence"]["mean"] < 5
    assert found["second"]["model"]["size_bytes"] < found["first"]["model"]["size_bytes"]
