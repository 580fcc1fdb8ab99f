"""The leaderboard: which scores stand beside each other, and the pages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import HIDDEN, Page

from llamabench.records import Better, SpeedTest, Timing
from llamabench.report.charts import SHARE_AXIS
from llamabench.report.render import write_site
from llamabench.report.scatter import Cost, Spot, draw_scatter, find_best
from llamabench.report.site_views import SiteRun, SiteView, build_site

WAYS: dict[str, dict[str, Better | None]] = {
    "truthfulqa_mc": {"mc1": "higher", "mc2": "higher"},
    "bbq": {"accuracy_ambig": "higher", "bias_ambig": "nearer 0"},
}


def other(run: Any, **changes: Any) -> Any:
    """The same run of another model."""
    model = replace(run.info.model, name="other", fingerprint="beef0000", size_bytes=run.info.model.size_bytes // 2)
    return replace(run, info=replace(run.info, model=replace(model, **changes), created="2026-03-05T10:00:00+01:00"))


@pytest.fixture
def view(run: Any, suites: Any) -> SiteView:
    return build_site([SiteRun(run, "runs/a.html"), SiteRun(other(run), "runs/b.html")], suites, WAYS)


def test_a_row_for_each_model_and_a_column_for_each_main_score(view: SiteView, run: Any, suites: Any) -> None:
    assert [model.name for model in view.models] == sorted([run.info.model.name, "other"], key=str.lower)
    main = [name for suite in run.info.suites for name in suites[suite.name].MAIN_METRICS]
    assert 0 < len(view.columns) <= len(main)
    assert all(cell is not None for model in view.models for cell in model.cells)
    assert {column.goal for column in view.columns} >= {"higher is better", "nearer 0 is better"}


def test_scores_that_were_asked_otherwise_stand_apart(run: Any, suites: Any) -> None:
    fewer = other(run)
    asked = fewer.scores()
    fewer.scores = lambda: [replace(score, signature=f"{score.signature}|n:5") for score in asked]
    view = build_site([SiteRun(run, "a"), SiteRun(fewer, "b")], suites, WAYS)
    for model in view.models:
        filled = sum(cell is not None for cell in model.cells)
        assert filled == len(view.columns) / 2
    assert any("5 items" in column.asked for column in view.columns)
    assert view.pictures == ()


def test_how_a_model_was_run_makes_no_column(run: Any, suites: Any) -> None:
    elsewhere = other(run)
    asked = elsewhere.scores()
    elsewhere.scores = lambda: [replace(score, signature=f"{score.signature}|quant:Q2_K|ngl:7") for score in asked]
    view = build_site([SiteRun(run, "a"), SiteRun(elsewhere, "b")], suites, WAYS)
    assert all(cell is not None for model in view.models for cell in model.cells)


def test_of_two_runs_of_a_model_the_newest_counts(run: Any, suites: Any) -> None:
    later = replace(run, info=replace(run.info, created="2026-04-01T00:00:00+01:00"))
    view = build_site([SiteRun(later, "later.html"), SiteRun(run, "earlier.html")], suites, WAYS)
    (model,) = view.models
    assert {cell.page for cell in model.cells if cell} == {"later.html"}
    assert [one.page for one in model.runs] == ["later.html", "earlier.html"]


def test_quantizations_of_a_model_are_rows_of_their_own(run: Any, suites: Any) -> None:
    view = build_site([SiteRun(run, "a"), SiteRun(other(run, quant="Q2_K"), "b")], suites, WAYS)
    assert len({model.page for model in view.models}) == 2


def test_speed_is_the_last_one_measured(run: Any, suites: Any) -> None:
    timing = Timing(SpeedTest("generation", 128), (4.0, 16.0))
    timed = replace(run, speed=replace(run.speed, timings=(timing,)))
    view = build_site([SiteRun(timed, "a")], suites, WAYS)
    assert view.models[0].tokens_per_s == 20
    assert view.has_speeds


def test_pages_are_whole_and_link_to_each_other(view: SiteView, tmp_path: Path) -> None:
    index = write_site(view, tmp_path)
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in tmp_path.glob("*.html")}
    assert set(pages) == {"index.html", *(model.page for model in view.models)}
    links = {attrs["href"] for _, attrs in pages[index.name].elements if attrs.get("href", "#")[0] != "#"}
    assert links == {*(model.page for model in view.models), "runs/a.html", "runs/b.html"}
    assert not any("http:" in (attrs.get("src") or "") for page in pages.values() for _, attrs in page.elements)


def test_hostile_names_are_text(hostile_run: Any, suites: Any, tmp_path: Path) -> None:
    view = build_site([SiteRun(hostile_run, "runs/a.html"), SiteRun(other(hostile_run), "b")], suites, WAYS)
    write_site(view, tmp_path)
    for path in tmp_path.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert not HIDDEN.search(text)
        assert not [tag for tag, _ in page.elements if tag == "img"]
        assert re.fullmatch(r"[\w.-]+", path.name)


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("better", "is_less_better", "best"),
    [("higher", True, {0, 2}), ("lower", True, {0, 1}), ("higher", False, {2}), ("nearer 0", False, {1, 2, 3})],
)
def test_the_best_are_those_that_nothing_beats(better: Better, is_less_better: bool, best: set[int]) -> None:
    spots = [Spot("a", 1, 0.5), Spot("b", 2, 0.3), Spot("c", 4, 0.9), Spot("d", 3, 0.4)]
    assert find_best(spots, better=better, is_less_better=is_less_better) == best


def test_equals_are_both_best() -> None:
    spots = [Spot("a", 1, 0.5), Spot("b", 1, 0.5)]
    assert find_best(spots, better="higher", is_less_better=True) == {0, 1}


def test_dots_stand_where_their_numbers_are() -> None:
    spots = [Spot("a", 1, 0.0), Spot("b", 10, 0.25), Spot("c", 100, 1.0)]
    picture = draw_scatter("t", spots, SHARE_AXIS, better="higher", cost=Cost("size", True, lambda n: f"{n:.0f}"))
    assert [(point.x, point.y) for point in picture.points] == [(8.0, 100.0), (50.0, 75.0), (92.0, 0.0)]
    assert [tick.label for tick in picture.ticks] == ["1", "10", "100"]


def test_one_size_stands_in_the_middle() -> None:
    spots = [Spot("a", 5, 0.5), Spot("b", 5, 0.6)]
    picture = draw_scatter("t", spots, SHARE_AXIS, better="higher", cost=Cost("size", True, str))
    assert {point.x for point in picture.points} == {50.0}


def test_models_of_one_name_are_told_apart(run: Any, suites: Any) -> None:
    def marks(*others: Any) -> list[str | None]:
        view = build_site([SiteRun(one, f"{n}") for n, one in enumerate([run, *others])], suites, WAYS)
        return [model.mark for model in view.models]

    name, quant = run.info.model.name, run.info.model.quant
    assert marks(other(run)) == [None, None]
    assert marks(other(run, name=name, quant="Q2_K")) == [None, None]
    tuned = other(run, name=name, quant=quant, path="elsewhere/tuned.gguf")
    assert marks(tuned) == [run.info.model.file_name, "tuned.gguf"]
    twin = other(run, name=name, quant=quant, path=f"elsewhere/{run.info.model.file_name}")
    assert marks(twin) == [
        f"{run.info.model.file_name}, {run.info.model.fingerprint[:8]}",
        f"{run.info.model.file_name}, beef0000",
    ]


def test_the_mark_stands_in_row_page_and_picture(run: Any, suites: Any, tmp_path: Path) -> None:
    tuned = other(run, name=run.info.model.name, quant=run.info.model.quant, path="elsewhere/tuned.gguf")
    view = build_site([SiteRun(run, "a.html"), SiteRun(tuned, "b.html")], suites, WAYS)
    write_site(view, tmp_path)
    assert "tuned.gguf" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert any("tuned.gguf" in (tmp_path / model.page).read_text(encoding="utf-8") for model in view.models)
    assert any("tuned.gguf" in point.label for picture in view.pictures for point in picture.points)
