"""The page and the summary of a comparison whose numbers are known."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest
from comparisons import make_comparison
from pages import check_golden, check_policy, check_reading, check_requests
from rich.console import Console

from llamabench.records import TemplateUse
from llamabench.report.compare_text import HOW_TO_READ, comparison_tables, write_markdown
from llamabench.report.compare_views import CompareView, build_compare_view
from llamabench.report.costs import MEAN_NOTE
from llamabench.report.render import render_comparison
from llamabench.suites import SUITES


@pytest.fixture
def view() -> CompareView:
    return build_compare_view([make_comparison()], SUITES)


def test_the_page_is_as_it_was(view: CompareView, request: pytest.FixtureRequest) -> None:
    page = render_comparison(view)
    check_policy(page)
    check_requests(page)
    check_reading(page)
    check_golden(page, "compare.html", update=request.config.getoption("--update-golden"))


def test_the_summary_is_as_it_was(view: CompareView, request: pytest.FixtureRequest) -> None:
    check_golden(write_markdown(view), "compare.md", update=request.config.getoption("--update-golden"))


def test_the_terminal_says_what_a_verdict_needs_beside_an_interval(view: CompareView) -> None:
    console = Console(width=80, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(comparison_tables(view))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    assert HOW_TO_READ in said
    assert "corrected for the number of scores looked at (Holm)" in said
    assert said.index("no evidence") < said.index(HOW_TO_READ) < said.index(MEAN_NOTE)


def test_changes_stand_where_they_belong(view: CompareView) -> None:
    (one,) = view.comparisons
    assert [(row.name, row.group) for row in one.areas.improved] == [
        ("mc1", None),
        ("bias_ambig", None),
        ("mc1", "Health"),
    ]
    assert [row.name for row in one.areas.regressed] == ["accuracy_ambig"]
    assert [row.name for row in one.areas.unchanged] == ["mc2"]
    assert (one.areas.n_too_few_groups, [pair.name for pair in one.areas.not_compared]) == (
        "1",
        ["XSTest, exaggerated safety", "Bias Benchmark for QA: Accuracy, facts given"],
    )


def test_better_is_to_the_right(view: CompareView) -> None:
    """A bias that comes nearer to 0 and an accuracy that grows stand right of the middle, what got worse left of it."""
    rows = {row.name: row for suite in view.comparisons[0].suites for row in suite.rows}
    for name in ("mc1", "bias_ambig"):
        assert rows[name].mark is not None
        assert rows[name].mark.value > 50  # type: ignore[union-attr]
    assert rows["accuracy_ambig"].mark.value < 50  # type: ignore[union-attr]
    assert rows["bias_ambig"].change == "−7.0"


def as_asked(first: TemplateUse, second: TemplateUse, *, has_first: bool = True) -> CompareView:
    made = make_comparison()
    base, tuned = replace(made.first, template=first), replace(made.second, template=second)
    base = replace(base, model=replace(base.model, has_chat_template=has_first))
    return build_compare_view([replace(made, first=base, second=tuned)], SUITES)


@pytest.mark.parametrize(
    ("first", "second", "has_first", "said"),
    [
        ("none", "none", False, "tuned Q8_0 was asked without its chat template, because base Q8_0 has none."),
        ("another", "own", False, "base Q8_0 was asked through the chat template of tuned Q8_0, because it has none."),
        ("own", "another", True, "tuned Q8_0 was asked through the chat template of base Q8_0, not through its own."),
    ],
)
def test_a_model_that_is_not_asked_its_own_way_is_named(
    first: TemplateUse, second: TemplateUse, has_first: bool, said: str
) -> None:
    view = as_asked(first, second, has_first=has_first)
    assert view.comparisons[0].templates == (said,)
    assert said in html.unescape(render_comparison(view))
    assert f"- {said}" in write_markdown(view).replace("\\_", "_")


def test_two_models_without_their_templates_are_both_named() -> None:
    assert as_asked("none", "none").comparisons[0].templates == (
        "base Q8_0 was asked without its chat template.",
        "tuned Q8_0 was asked without its chat template.",
    )
    assert as_asked("own", "own").comparisons[0].templates == ()


def test_a_model_that_is_smaller_and_better_is_worth_it(view: CompareView) -> None:
    assert [(row.name, row.is_best) for row in view.costs.rows] == [("base Q8_0", False), ("tuned Q8_0", True)]
    assert view.costs.picture is not None
