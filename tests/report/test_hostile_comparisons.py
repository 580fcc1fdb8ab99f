"""Comparisons in which every text is an attack: neither the page nor the summary takes any of it as markup."""

from __future__ import annotations

from dataclasses import replace

from comparisons import make_comparison
from hostile import find_obeyed, hostile_text
from hypothesis import example, given, settings
from markdown_it import MarkdownIt
from pages import Page, check_policy, check_requests
from rich.console import Console

from llamabench.records import Comparison, Difference, Side
from llamabench.report.compare_text import comparison_tables, write_markdown
from llamabench.report.compare_views import CompareView, build_compare_view
from llamabench.report.render import render_comparison
from llamabench.suites import SUITES

each_text = settings(max_examples=25, deadline=None)


def view_of(text: str) -> CompareView:
    """The comparison with a text in every place where a model, a file or a data set brings one."""
    return build_compare_view([with_text(make_comparison(), text)], SUITES)


def with_text(one: Comparison, text: str) -> Comparison:
    return replace(
        one,
        first=name_side(one.first, f"{text}1"),
        second=name_side(one.second, f"{text}2"),
        suites=tuple(
            replace(suite, differences=tuple(name_group(found, text) for found in suite.differences), other_prompt=text)
            for suite in one.suites
        ),
        mismatches=tuple(replace(found, first=text, second=f"{text}2") for found in one.mismatches),
        missing=(text,),
    )


def name_side(side: Side, text: str) -> Side:
    model = replace(side.model, name=text, quant=text, path=f"/{text}.gguf", fingerprint=text)
    return replace(side, folder=text, run_id=text, model=model)


def name_group(found: Difference, text: str) -> Difference:
    flips = found.flips and replace(found.flips, rose=(text, f"{text}2"), fell=(text,))
    return replace(found, group=found.group and text, flips=flips)


def outline(markdown: str) -> list[tuple[str, int]]:
    """What a Markdown reader makes of a text, its words aside: blocks with their depths, then marks within lines."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    marks = [mark for block in blocks for mark in block.children or () if mark.type != "text"]
    return [(one.type, one.level) for one in (*blocks, *marks)]


def words_of(markdown: str) -> str:
    """What is read of a Markdown text."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return " ".join(mark.content for block in blocks for mark in block.children or ())


@given(text=hostile_text)
@each_text
def test_no_text_becomes_markup_of_the_page(text: str) -> None:
    page = render_comparison(view_of(text))
    plain = Page(render_comparison(view_of("plain")))
    assert [tag for tag, _ in Page(page).elements] == [tag for tag, _ in plain.elements]
    check_policy(page)
    check_requests(page)
    assert find_obeyed(page) == []


@given(text=hostile_text)
@example("- [x](http://evil)")
@example("1. x")
@example("---")
@example("    x")
@each_text
def test_no_text_becomes_markup_of_the_summary(text: str) -> None:
    summary = write_markdown(view_of(text))
    assert outline(summary) == outline(write_markdown(view_of("plain")))
    assert find_obeyed(summary) == []


def test_the_summary_reads_as_it_was_meant() -> None:
    text = r"a*b_c `d` <b> [x](y) &lt; ~~z~~ \n # | !"
    assert f"{text}2" in words_of(write_markdown(view_of(text)))


@given(text=hostile_text)
@each_text
def test_no_text_steers_a_terminal(text: str) -> None:
    console = Console(width=100, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(comparison_tables(view_of(text)))
    assert find_obeyed(capture.get()) == []
