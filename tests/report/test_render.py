from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import HIDDEN, Page, check_golden, check_policy, check_reading, check_requests
from rich.console import Console

from llamabench.report.render import render_score, write_score_report
from llamabench.report.terminal import scores_table
from llamabench.report.views import build_score_view


@pytest.fixture
def page(run: Any, suites: Any) -> str:
    return render_score(build_score_view(run, suites))


@pytest.fixture
def hostile_page(hostile_run: Any, suites: Any) -> str:
    return render_score(build_score_view(hostile_run, suites))


def test_the_page_is_well_formed(page: str) -> None:
    parsed = Page(page)
    assert page.startswith("<!doctype html>")
    assert len(parsed.ids) == len(set(parsed.ids))
    anchors = {(attrs.get("href") or "")[1:] for tag, attrs in parsed.elements if tag == "a"}
    assert anchors <= set(parsed.ids)


def test_the_policy_allows_the_inline_style_and_script_by_hash_and_nothing_else(page: str) -> None:
    check_policy(page)


@pytest.mark.parametrize("kind", ["page", "hostile_page"])
def test_nothing_is_requested_styled_or_handled_inline(kind: str, request: pytest.FixtureRequest) -> None:
    check_requests(request.getfixturevalue(kind))


def test_hostile_text_appears_escaped_and_with_nothing_hidden(hostile_page: str, page: str) -> None:
    hostile = Page(hostile_page)
    assert [tag for tag, _ in hostile.elements].count("script") == 1
    assert hostile.raw == Page(page).raw
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in hostile_page
    assert "\u241b[31mred⟨U+202E⟩evil\u2400⟨U+2066⟩" in hostile_page
    assert not HIDDEN.search(hostile_page)


def test_a_lone_surrogate_can_be_written(run: Any, suites: Any, tmp_path: Path) -> None:
    run.info = replace(run.info, model=replace(run.info.model, name="bad \ud800 name"))
    write_score_report(run, tmp_path / "score.html", suites=suites)
    assert "bad ⟨U+D800⟩ name" in (tmp_path / "score.html").read_text(encoding="utf-8")


def test_a_large_run_makes_a_small_page(big_run: Any, suites: Any) -> None:
    page = render_score(build_score_view(big_run, suites))
    assert len(page.encode()) < 2_000_000
    assert "300 of 2,000 items: failures first" in page


def test_every_picture_and_table_can_be_read_without_seeing_it(page: str) -> None:
    check_reading(page)


def test_the_page_reads_without_its_script(page: str) -> None:
    filters = [attrs for tag, attrs in Page(page).elements if attrs.get("class") == "filter"]
    assert [("hidden" in attrs) for attrs in filters] == [True]


def test_an_unfinished_demo_run_without_scores_renders(run: Any, suites: Any) -> None:
    run.info = replace(run.info, is_demo=True, chat_template_sha256=None, use_chat=False)
    run.is_finished, run.items, run.metrics, run.log = False, {name: [] for name in run.items}, {}, []
    page = render_score(build_score_view(run, suites))
    Page(page)
    assert "is a toy" in page
    assert page.count("No score yet.") == 3
    assert "No item is finished yet." in page


def test_generated_answers_are_shown_in_full(run: Any, suites: Any) -> None:
    row = run.items["bbq"][0]
    answers = ({"text": "I cannot say.", "finish_reason": "length", "n_tokens": 4},)
    run.items["bbq"][0] = replace(row, exchanges=(replace(row.exchanges[0], answers=answers),))
    page = render_score(build_score_view(run, suites))
    Page(page)
    assert "Answer, 4 tokens, stopped at its length limit" in page


def test_a_report_replaces_the_old_one_and_leaves_nothing_beside_it(run: Any, suites: Any, tmp_path: Path) -> None:
    path = tmp_path / "score.html"
    path.write_text("old")
    write_score_report(run, path, suites=suites)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["score.html"]


def test_a_report_that_cannot_be_made_leaves_the_old_one(run: Any, suites: Any, tmp_path: Path) -> None:
    path = tmp_path / "score.html"
    path.write_text("old")
    with pytest.raises(KeyError):
        write_score_report(run, path, suites={})
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["score.html"]


def test_the_page_is_as_it_was(page: str, request: pytest.FixtureRequest) -> None:
    check_golden(page, "score.html", update=request.config.getoption("--update-golden", default=False))


def test_the_terminal_shows_the_same_numbers_and_no_escape_of_a_model(hostile_run: Any, suites: Any) -> None:
    view = build_score_view(hostile_run, suites)
    console = Console(width=200, force_terminal=False, record=True, color_system=None)
    with console.capture() as capture:
        console.print(scores_table(view))
    text = capture.get()
    assert "31.2\u00a0%" in text
    assert "starter items" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    for suite in view.suites:
        for row in suite.rows:
            assert row.value in text


def test_the_terminal_cuts_nothing_at_80_columns(hostile_run: Any, suites: Any) -> None:
    view = build_score_view(hostile_run, suites)
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(scores_table(view))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    shown = " ".join(text.split())
    for suite in view.suites:
        state = f"{suite.n_done} starter items" if suite.is_starter else f"{suite.n_done} items"
        assert state in shown
        for row in suite.rows:
            for cell in (row.value, row.interval, row.chance):
                assert " ".join((cell or "").split()) in shown
            assert not row.missing or row.missing.split()[-1] in shown
