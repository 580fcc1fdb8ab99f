"""Pages as a browser reads them: elements that nest, what stands in styles and scripts, and golden files."""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
VOID = {"meta", "link", "input", "br", "hr", "img"}
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


class Page(HTMLParser):
    """Reads a page, and fails where its elements do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if "id" in names:
            self.ids.append(dict(attrs)["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing at {self.getpos()}"
        assert self.open.pop() == tag, f"</{tag}> closes another element at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)


def _find_policy(page: Page) -> str:
    metas = [attrs for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs]
    assert len(metas) == 1
    return metas[0]["content"] or ""


def check_policy(page: str) -> None:
    """Fails where a page may load or run more than its own style and script."""
    parsed = Page(page)
    policy = _find_policy(parsed)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        text = "".join(parsed.raw[kind])
        assert page.count(f"<{kind}") == 1
        assert f"<{kind}>{text}</{kind}>" in page
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def check_requests(page: str) -> None:
    """Fails where a page asks for anything, or styles or handles anything inline."""
    parsed = Page(page)
    assert {tag for tag, _ in parsed.elements}.isdisjoint(
        {"link", "img", "iframe", "object", "embed", "base", "form", "use"}
    )
    for tag, attrs in parsed.elements:
        assert "style" not in attrs
        assert "src" not in attrs
        assert not [name for name in attrs if name.startswith("on")], tag
        assert (attrs.get("href") or "#").startswith("#")
    assert "url(" not in "".join(parsed.raw["style"])
    assert "@import" not in "".join(parsed.raw["style"])


def check_reading(page: str) -> None:
    """Fails where a picture, a table or a field of a page says nothing to those who do not see it."""
    parsed = Page(page)
    pictures = [attrs for tag, attrs in parsed.elements if tag == "svg"]
    assert pictures
    for attrs in pictures:
        assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "img" and attrs.get("aria-label"))
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in parsed.elements if tag == "th")
    labelled = {attrs["for"] for tag, attrs in parsed.elements if tag == "label"}
    fields = [attrs for tag, attrs in parsed.elements if tag in {"input", "select"}]
    assert all(attrs.get("aria-label") or attrs["id"] in labelled for attrs in fields)


def check_golden(page: str, name: str, *, update: bool) -> None:
    """Fails where a page is not what its golden file says; times, versions and digests aside."""
    golden, scrubbed = GOLDEN / name, _scrub(page)
    if update:
        golden.write_text(scrubbed, encoding="utf-8")
    assert golden.is_file(), f"tests/golden/{name} is missing: pytest tests/report --update-golden writes it"
    lines = golden.read_text(encoding="utf-8").splitlines()
    changes = list(difflib.unified_diff(lines, scrubbed.splitlines(), "golden", "now", lineterm="", n=1))
    assert not changes, "\n".join(changes[:60])


def _scrub(page: str) -> str:
    page = re.sub(r"llamabench \d+\.\d+\S*?(?=\.? This)", "llamabench VERSION", page)
    page = re.sub(r"<dt>llamabench</dt><dd class=\"text\">[^<]*", '<dt>llamabench</dt><dd class="text">VERSION', page)
    page = re.sub(r"\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d( UTC([+-]\d\d:\d\d)?)?", "TIME", page)
    return re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-HASH", page)
