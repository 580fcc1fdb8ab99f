"""A page with a fault is found out by the browser that looks at it; one without is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser, Look, find_chromium
from check_pages import check, describe_faults

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium"),
]

AXE = """
window.axe = {run: () => Promise.resolve({violations: [...document.querySelectorAll("blink")].map(() => (
  {id: "blink", impact: "serious", help: "No blinking", nodes: [{target: ["blink"], any: []}]}))})};
"""
"""What axe-core gives, of a rule that is easily broken."""

WORDS = "<p>" + "A page with enough to read. " * 10 + "</p>"
FAULTS = {
    "<script>console.error('ouch')</script>": "complains",
    "<script>throw new Error('ouch')</script>": "complains",
    "<img alt='' src='http://127.0.0.1:9/x.png'>": "asks for http://127.0.0.1:9/x.png",
    "<div style='width: 2000px'>wide</div>": "pixels wide where there are 390",
    "<details><div style='width: 2000px'>wide</div></details>": "unfolded: ",
    "<blink>x</blink>": "axe blink (serious, 1 places): No blinking",
    "<script>document.querySelector('p').remove()</script>": "nothing to read",
}


def test_each_fault_is_found_and_no_other(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with Browser() as browser:

        def look(body: str) -> list[str]:
            page.write_text(f"<!doctype html><html lang=en><body>{WORDS}{body}</body></html>", encoding="utf-8")
            opened = browser.open(page, Look("phone", width=390))
            assert 0 < opened.markup_s <= opened.load_s
            return list(check(browser, page, axe=AXE))

        assert look("") == []
        assert look("<div class=scroll style='overflow: auto'><div style='width: 2000px'>wide</div></div>") == []
        for body, fault in FAULTS.items():
            assert any(fault in found for found in look(body)), body


def test_looks_are_what_they_are_called(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(WORDS, encoding="utf-8")
    question = "[innerWidth, matchMedia('print').matches, matchMedia('(prefers-color-scheme: dark)').matches]"
    with Browser() as browser:
        for one, answer in (
            (Look("a"), [1200, False, False]),
            (Look("b", width=390, is_dark=True), [390, False, True]),
            (Look("c", width=688, is_printed=True), [688, True, False]),
        ):
            browser.open(page, one)
            assert browser.ask(question) == answer
        browser.photograph(tmp_path / "page.png")
        browser.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_only_what_shuts_out_counts() -> None:
    node = {"target": ["p"], "any": []}
    fault = {"rule": "x", "help": "h", "places": [node]}
    assert list(describe_faults([{**fault, "impact": "minor"}, {**fault, "impact": "moderate"}])) == []
    assert len(list(describe_faults([{**fault, "impact": "serious"}, {**fault, "impact": "critical"}]))) == 2
