"""Pages of runs in which every text is an attack: none becomes markup, and a policy stops what would slip through."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile import find_obeyed, hostile_text
from hypothesis import HealthCheck, given, settings
from red_team import TITLES, make_results, map_texts
from rich.console import Console

from llamabench.records import Exchange
from llamabench.report.attack_views import ReportOptions, build_attacks_view
from llamabench.report.render import render_attacks, render_score
from llamabench.report.terminal import scores_table
from llamabench.report.views import build_score_view

each_text = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Outline(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "style", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def with_text(run: Any, text: str) -> Any:
    """The run with a text in every place where one can stand, in as many places whatever the text is."""
    model = replace(run.info.model, name=text, quant=text, architecture=text, path=f"/{text}")
    machine = replace(run.info.machine, cpu=text, os=text, notes=(text,))
    run.info = replace(run.info, model=model, machine=machine, plan=replace(run.info.plan, reasons=(text,)))
    exchange = Exchange(text, ({"text": text, "logprob": -1.0, "n_tokens": 3, "n_bytes": 9},))
    run.items = {
        name: [
            replace(row, id=f"{text}{i}", group=text, error=text if row.error else None, exchanges=(exchange,))
            for i, row in enumerate(rows[:4])
        ]
        for name, rows in run.items.items()
    }
    run.metrics = {
        name: [replace(metric, group=metric.group and text) for metric in metrics]
        for name, metrics in run.metrics.items()
    }
    return run


@given(text=hostile_text)
@each_text
def test_no_text_becomes_markup(text: str, run: Any, suites: Any) -> None:
    page = render_score(build_score_view(with_text(run, f"x{text}"), suites))
    outline = Outline(page)
    plain = Outline(render_score(build_score_view(with_text(run, "plain"), suites)))
    assert set(outline.elements) <= set(plain.elements)
    assert [tag for tag, _ in outline.elements].count("script") == 1
    assert all(link.startswith("#") for link in outline.links)
    assert find_obeyed(page) == []


@given(text=hostile_text)
@each_text
def test_no_text_steers_a_terminal(text: str, run: Any, suites: Any) -> None:
    console = Console(width=100, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(scores_table(build_score_view(with_text(run, text), suites)))
    assert find_obeyed(capture.get()) == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        "<script>document.title='owned'</script>",
        "<img src='data:image/png;base64,AA' onerror=\"document.title='owned'\">",
        "<svg onload=\"document.title='owned'\"></svg>",
        "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\"></iframe>",
        "<details open ontoggle=\"document.title='owned'\">x</details>",
    ],
)
def test_the_policy_stops_what_escaping_would_miss(attack: str, run: Any, suites: Any, tmp_path: Path) -> None:
    page = render_score(build_score_view(run, suites))
    assert "owned" not in open_page(page.replace("<main", f"{attack}<main", 1), tmp_path)
    if attack.startswith("<script"):
        without = page.replace("default-src 'none'", "default-src 'unsafe-inline'").replace("script-src", "x-src")
        assert "owned" in open_page(without.replace("<main", f"{attack}<main", 1), tmp_path)  # the test can fail


def open_page(page: str, folder: Path) -> str:
    """The title of a page after a browser has run it."""
    assert CHROMIUM is not None
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    switches += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={folder / 'user'}"]
    command = [CHROMIUM, *switches, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    start = done.stdout.index("<title")
    return done.stdout[start : done.stdout.index("</title>", start)]


@given(text=hostile_text)
@each_text
def test_no_text_of_an_attack_becomes_markup(text: str) -> None:
    results, options = make_results(12), ReportOptions(0.7, TITLES)
    view = build_attacks_view(map_texts(results, lambda word: f"x{text}{word}"), options)
    page = render_attacks(view)
    plain = Outline(render_attacks(build_attacks_view(map_texts(results, lambda word: f"plain{word}"), options)))
    assert set(Outline(page).elements) <= set(plain.elements)
    assert all(link.startswith("#") for link in Outline(page).links)
    assert find_obeyed(page) == []
