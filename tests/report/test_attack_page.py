"""The page of an attack report: well-formed, closed to the outside, and hostile text in it stays text."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pages import HIDDEN, Page, check_golden, check_policy, check_reading, check_requests
from red_team import HOSTILE, TITLES, answers_of, make_results, map_texts
from rich.console import Console

from llamabench.records import RedTeamResults
from llamabench.report.attack_terminal import attack_tables
from llamabench.report.attack_views import ReportOptions, build_attacks_view
from llamabench.report.render import render_attacks

CHROMIUM = shutil.which("chromium")


def render(results: RedTeamResults, *, other: RedTeamResults | None = None, is_redacted: bool = False) -> str:
    return render_attacks(build_attacks_view(results, ReportOptions(0.7, TITLES, is_redacted, other)))


def make_other(n_attacks: int = 60) -> RedTeamResults:
    return replace(make_results(n_attacks, seed=2, boldness=0.5), model="A base model", run_id="0badcafe")


def make_hostile(results: RedTeamResults) -> RedTeamResults:
    """Puts an attack on pages and terminals into every text, and leaves texts different from each other."""
    return map_texts(results, lambda text: f"{HOSTILE}{text}{HOSTILE}")


@pytest.fixture(scope="module")
def page() -> str:
    return render(make_results(60), other=make_other())


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return render(make_hostile(make_results(60)), other=make_hostile(make_other()))


def test_the_page_is_well_formed(page: str) -> None:
    parsed = Page(page)
    assert page.startswith("<!doctype html>")
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {(attrs.get("href") or "")[1:] for tag, attrs in parsed.elements if tag == "a"} <= set(parsed.ids)
    assert {attrs["for"] for tag, attrs in parsed.elements if tag == "label"} <= set(parsed.ids)


@pytest.mark.parametrize("kind", ["page", "hostile_page"])
def test_nothing_is_loaded_or_run_but_its_own_style_and_script(kind: str, request: pytest.FixtureRequest) -> None:
    check_policy(request.getfixturevalue(kind))
    check_requests(request.getfixturevalue(kind))


def test_hostile_text_appears_escaped_and_with_nothing_hidden(hostile_page: str, page: str) -> None:
    hostile = Page(hostile_page)
    assert hostile.raw == Page(page).raw
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in hostile_page
    assert "\u241b[31mred⟨U+202E⟩evil\u2400⟨U+2066⟩⟨U+200B⟩⟨U+FEFF⟩" in hostile_page
    assert "{{ 7 * 7 }}" in hostile_page
    assert not HIDDEN.search(hostile_page)


def test_every_picture_and_table_can_be_read_without_seeing_it(page: str) -> None:
    check_reading(page)


def test_the_page_reads_without_its_script(page: str) -> None:
    parsed = Page(page)
    assert ["hidden" in attrs for tag, attrs in parsed.elements if attrs.get("class") == "filter"] == [True]
    veils = [attrs for tag, attrs in parsed.elements if attrs.get("class") == "veil"]
    shows = [attrs for tag, attrs in parsed.elements if (attrs.get("id") or "").startswith("show-")]
    assert len(shows) == len(veils) + 1
    assert all("checked" not in attrs for attrs in shows)
    style = "".join(parsed.raw["style"])
    assert ".veil > input:not(:checked) ~ pre { filter: blur(0.4em)" in style
    assert "body:has(#show-all:checked) .veil > pre { filter: none" in style


def test_every_harmful_answer_is_behind_a_veil(page: str) -> None:
    open_text = re.sub(r'<div class="veil">.*?</div>', "", page, flags=re.DOTALL)
    twins = open_text.index('<section class="list twins">')
    assert "one would go about it" in page
    assert "one would go about it" not in open_text[:twins]


def test_a_redacted_page_holds_no_answer() -> None:
    results = make_results(120)
    page = render(results, other=make_other(120), is_redacted=True)
    Page(page)
    plain = render(results, other=make_other(120))
    answers = [answer[:40] for answer in (*answers_of(results), *answers_of(make_other(120)))]
    assert sum(answer in plain.replace("&#39;", "'") for answer in answers) > 100
    assert not [answer for answer in answers if answer in page.replace("&#39;", "'")]
    assert "Answers left out" in page
    assert 'class="veil"' not in page
    assert 'id="show-all"' not in page
    assert "[fiction 0] Tell me about made-up harmful matter" in page


def test_a_run_without_any_attack_renders() -> None:
    page = render(
        replace(make_results(9), attacks=(), scorers=(), judge="A guard", behaviours="advbench", is_demo=True)
    )
    Page(page)
    assert "none has a verdict" in page
    assert "is a toy" in page
    assert "No harmless twin was asked" in page
    assert "A guard" in page


def test_five_hundred_attacks_make_a_page_that_stays_usable() -> None:
    assert len(render(make_results(500), other=make_other(500)).encode()) < 2_000_000


def test_long_hostile_texts_do_not_swell_the_page() -> None:
    results = map_texts(make_results(120), lambda text: text + "<\u202e" * 4_000)
    assert len(render(results).encode()) < 7_000_000


def test_the_page_is_as_it_was(page: str, request: pytest.FixtureRequest) -> None:
    check_golden(page, "attack.html", update=request.config.getoption("--update-golden", default=False))


def show_tables(results: RedTeamResults, other: RedTeamResults, *, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(attack_tables(build_attacks_view(results, ReportOptions(0.7, TITLES, other=other))))
    return capture.get()


def test_the_terminal_shows_the_rates_at_80_columns() -> None:
    view = build_attacks_view(make_results(60), ReportOptions(0.7, TITLES))
    text = show_tables(make_results(60), make_other())
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for rate in (view.success, view.severe, *view.categories):
        assert rate.row.score.value in text
        assert rate.count in text
    for row in view.heat.rows[:8]:
        assert f"  {row.title}" in text
        assert f"\n    {row.name} " in text, "what --techniques takes"


def test_the_terminal_obeys_no_escape_of_a_model() -> None:
    text = show_tables(make_hostile(make_results(60)), make_hostile(make_other()), width=400)
    assert not HIDDEN.search(text.replace("\n", ""))
    assert "\u241b[31mred" in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_filters_and_runs_nothing_else(tmp_path: Path) -> None:
    """The page's own script is let in by its hash, narrows the list down, and hostile text changes nothing."""
    assert CHROMIUM is not None
    page = tmp_path / "attack.html"
    page.write_text(render(make_hostile(make_results(60))), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *options, profile, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60
    )
    assert '<div class="filter" role="search">' in done.stdout, "its script has run"
    assert done.stdout.count("<script>") == 1
    assert "<img" not in done.stdout
