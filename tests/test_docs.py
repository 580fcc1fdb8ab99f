"""What the documents say is so: commands are taken, suites described, the site built without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from documents import ROOT, Shown, check_command, documents, shown_commands

from llamabench.cli.main import COMMANDS
from llamabench.suites import SUITES
from llamabench.suites.base import Suite

SUITES_PAGE = ROOT / "docs" / "suites.md"
QUICK_START = ROOT / "docs" / "index.md"

SHOWN = [shown for path in documents() for shown in shown_commands(path)]


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.where} {shown.text}")
def test_every_command_that_is_shown_is_taken(shown: Shown) -> None:
    check_command(shown.text, is_whole=shown.is_whole)


def test_every_command_is_shown() -> None:
    words = {shown.text.split()[1] for shown in SHOWN if len(shown.text.split()) > 1}
    assert set(COMMANDS) <= words


@pytest.mark.parametrize(
    "text",
    [
        "llamabench rnu model.gguf",
        "llamabench run model.gguf --limits 5",
        "llamabench run model.gguf --limit many",
        "llamabench run model.gguf --time-budget soon",
        "llamabench run",
        "llamabench report a b",
        "llamabench data fetch bbq",
        "llamabench export RUN --format pdf",
    ],
)
def test_commands_that_are_wrong_are_found(text: str) -> None:
    with pytest.raises(click.UsageError):
        check_command(text)


@pytest.mark.model
@pytest.mark.slow
def test_the_quick_start_works_to_the_letter(tmp_path: Path, demo_model: Path) -> None:
    shutil.copy(demo_model, tmp_path / "model.gguf")
    commands = [shown.text for shown in shown_commands(QUICK_START) if shown.is_whole]
    assert [command.split()[1] for command in commands] == ["doctor", "demo", "run", "run"]
    for command in commands:
        done = run_here(command.replace("--time-budget 20m", "--time-budget 30s"), tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert len(list(tmp_path.glob("llamabench-runs/*/score.html"))) == 4


def run_here(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", *command.split()]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


# --- suites -------------------------------------------------------------------------------------


def facts_table(suite: Suite) -> str:
    """What a suite's module says of it, as the page shows it."""
    rows = {
        "about": suite.FOCUS,
        "asks for": suite.FORMAT,
        "main scores": ", ".join(f"`{name}`" for name in suite.MAIN_METRICS),
        "guessing gives": "" if suite.CHANCE is None else f"{suite.CHANCE * 100:.1f} % of `{suite.MAIN_METRICS[0]}`",
        "cannot tell": suite.LIMITATIONS,
        "source": f"{suite.SOURCE} ({suite.LICENCE})",
        "data sets": ", ".join(f"`{name}`" for name in suite.DATA_SOURCES),
        "version": str(suite.VERSION),
    }
    lines = [f"| **{suite.TITLE}** | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items() if text)]
    return "\n".join(lines)


def sections(page: str) -> dict[str, str]:
    """The parts of a page by their headings."""
    return dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", page, re.M | re.S))


def test_the_page_of_suites_says_what_their_modules_say(request: pytest.FixtureRequest) -> None:
    page = SUITES_PAGE.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        for name, suite in SUITES.items():
            table = facts_table(suite)
            page = re.sub(rf"(?m)^(## {name}\n\n)(?:\|.*\n)*\n*", lambda m, t=table: f"{m[1]}{t}\n\n", page)
        SUITES_PAGE.write_text(page, encoding="utf-8")
    found = sections(page)
    assert list(found) == list(SUITES), "a section for each suite, in their order"
    for name, suite in SUITES.items():
        table, _, meaning = found[name].strip().partition("\n\n")
        assert table == facts_table(suite), f"the facts of {name} changed; write them with --update-golden"
        assert len(meaning) > 100, f"{name}: say what its numbers mean"


def test_what_a_suite_offers_is_all_told() -> None:
    page = (ROOT / "docs" / "adding-a-suite.md").read_text(encoding="utf-8")
    offered = {*Suite.__annotations__, *(name for name in vars(Suite) if not name.startswith("_"))}
    assert {name for name in offered if not re.search(rf"\b{name}\b", page)} == set()


# --- the site -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents as a site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    pages = {path.stem for path in site.glob("*.html")} - {"404"}
    assert pages == {path.stem for path in (ROOT / "docs").glob("*.md")}


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")
    for path in site.rglob("*.html"):
        assert loads.findall(path.read_text(encoding="utf-8")) == [], path.name
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", text), path.name
