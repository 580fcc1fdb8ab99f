"""Looks at pages in Chromium as people do: light, dark, on a phone, printed; and has axe-core look for what shuts out.

    python benchmarks/check_pages.py --axe axe.min.js [--pictures FOLDER] PAGE...

`sh scripts/check_pages.sh` makes every kind of page, fetches axe-core and runs this. A line for each page and look,
tab-separated; exits 1 where a page asks for anything but itself, complains, is wider than its window, has an
accessibility fault that axe-core calls serious or critical, or opens on nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from browser import Browser, Look

LOOKS = (
    Look("light"),
    Look("dark", is_dark=True),
    Look("phone", width=390),
    Look("printed", width=688, is_printed=True),
)
"""How each page is looked at; what is printed is as wide as A4 without its margins."""

_GRAVE = ("serious", "critical")
_DRAW_ALL = "for (const one of document.querySelectorAll('.item')) one.style.contentVisibility = 'visible';"
"""Items are drawn only where they are seen; a picture of the whole page is to show all."""
_OPEN_ALL = """
for (const one of document.querySelectorAll(".item:nth-child(n + 7)")) one.remove();
for (const one of document.querySelectorAll("details")) one.open = true;
"""
"""Items are alike, and there are thousands: the first ones of each list stand for all."""
_RUN_AXE = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations.map((fault) => ({
  rule: fault.id, impact: fault.impact, help: fault.help,
  places: fault.nodes.map((node) => `${node.target.join(" ")} ${node.any.map((one) => one.message).join("; ")}`),
})))
"""
_FIND_WIDE = """
[...document.querySelectorAll("body *")].filter((one) => {
  const box = one.getBoundingClientRect();
  return box.right > document.documentElement.clientWidth + 1 && !one.closest(".scroll, .skip, .unseen")
}).slice(0, 5).map((one) => `${one.tagName.toLowerCase()}.${one.getAttribute("class") ?? ""}`)
"""


def main() -> int:
    options = read_options()
    axe = options.axe.read_text(encoding="utf-8")
    n_faults = 0
    with Browser() as browser:
        for page in options.pages:
            for look in LOOKS:
                browser.open(page, look)
                if options.pictures is not None:
                    take_picture(browser, page, look, folder=options.pictures)
                faults = list(check(browser, page, axe=axe))
                print(f"{page}\t{look.name}\t{'ok' if not faults else f'{len(faults)} faults'}", flush=True)
                for fault in faults:
                    print(f"    {fault}")
                n_faults += len(faults)
    return 1 if n_faults else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE", help="an HTML file")
    parser.add_argument("--axe", type=Path, required=True, metavar="FILE", help="axe.min.js of axe-core")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="keep what was seen here")
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    return options


def check(browser: Browser, page: Path, *, axe: str) -> Iterator[str]:
    """What is wrong with a page that is open: as it opened, and with all that folds unfolded."""
    yield from find_complaints(browser, page)
    yield from find_wide(browser)
    if not browser.ask("document.body.innerText.trim().length > 100"):
        yield "there is nothing to read"
    browser.run(_DRAW_ALL)
    browser.run(_OPEN_ALL)
    yield from (f"unfolded: {fault}" for fault in find_wide(browser))
    browser.run(axe)
    yield from describe_faults(json.loads(browser.ask(f"({_RUN_AXE.strip()}).then(JSON.stringify)")))


def find_complaints(browser: Browser, page: Path) -> Iterator[str]:
    own = page.resolve().as_uri()
    yield from (f"asks for {address}" for address in browser.heard.requests if address != own)
    yield from (f"complains: {complaint}" for complaint in browser.heard.complaints)


def find_wide(browser: Browser) -> Iterator[str]:
    """Whether the page is to be pushed sideways; what scrolls by itself may be as wide as it likes."""
    width, room = browser.ask("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    if width > room:
        yield f"{width} pixels wide where there are {room}: {', '.join(browser.ask(_FIND_WIDE))}"


def describe_faults(violations: Sequence[dict[str, object]]) -> Iterator[str]:
    """Those faults of axe-core's that shut somebody out, each with the first places."""
    for fault in violations:
        places = fault["places"]
        assert isinstance(places, list)
        if fault["impact"] in _GRAVE:
            yield f"axe {fault['rule']} ({fault['impact']}, {len(places)} places): {fault['help']}: {places[:3]}"


def take_picture(browser: Browser, page: Path, look: Look, *, folder: Path) -> None:
    """Keeps the page as it opened; where it is printed, as a document."""
    name = f"{page.resolve().parent.name}-{page.stem}-{look.name}"
    browser.run(_DRAW_ALL)
    if look.is_printed:
        browser.print(folder / f"{name}.pdf")
    else:
        browser.photograph(folder / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
