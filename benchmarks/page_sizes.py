"""How large the pages of large runs are, and how soon they open.

    python benchmarks/page_sizes.py [--items 58492] [--keep FOLDER]

The two demo models are asked 60 starter items of each suite; their rows, again and again under new ids, become runs of
58,492 items of BBQ, as many as the published set has, and runs of all suites with 3,000 items each. Scores are made of
them as of any run. Each page is then opened in headless Chromium three times, and the median of the time to its load
event is taken. Pages are read from the disk, as people open them.

Not covered: other browsers, phones, and the time to draw a page after it is loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from browser import Browser, Look
from measuring import Target

from llamabench.cli.main import run_command_line
from llamabench.evaluating import evaluate
from llamabench.records import ItemRow, RunInfo
from llamabench.results.store import Run
from llamabench.suite_runs import summarise_suite
from llamabench.suites import SUITES

N_BBQ = 58_492
"""Items of the published BBQ."""
_N_EACH = 3_000
_N_ASKED = 60
_CHUNK = 500
_CHUNK_S = 4.0
_MOST_MB, _MOST_S = 5.0, 2.0
_N_TURNS = 3
_MODELS = ("demo-base", "demo-aligned")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=N_BBQ, help="items of BBQ")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave runs and pages here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        pages = {
            **make_pages(folder / "bbq", ("bbq:starter",), options.items),
            **make_pages(folder / "all", tuple(f"{name}:starter" for name in SUITES), _N_EACH),
        }
        targets = list(measure(pages))
    print("\n".join(target.line() for target in targets))
    return 0 if all(target.is_met for target in targets) else 1


def make_pages(folder: Path, suites: tuple[str, ...], n_items: int) -> dict[str, Path]:
    """Makes two large runs, and each kind of page of them; the pages by what they are."""
    runs = folder / "runs"
    large = []
    for name in _MODELS:
        with evaluate(name, suites, limit=_N_ASKED, out=folder / "small") as small:
            large.append(multiply(small.folder, runs / name, n_items))
    first, second = map(str, large)
    call("report", first)
    call("compare", first, second)
    call("site", str(runs))
    site = runs / "site"
    found = {
        "score": large[0] / "score.html",
        "attack": large[0] / "attack_report.html",
        "compare": large[1] / "compare.html",
        "site": site / "index.html",
        "model": next(site.glob("model-*.html")),
    }
    return {f"{folder.name}_{kind}": page for kind, page in found.items() if page.is_file()}


def multiply(source: Path, folder: Path, n_items: int) -> Path:
    """Makes a finished run whose suites have so many items, each a copy of one of a smaller run; its folder."""
    with Run(source) as small:
        choices = tuple(replace(choice, n_items=n_items, n_available=n_items) for choice in small.info.suites)
        info: RunInfo = replace(small.info, suites=choices)
        with Run.create(folder, info) as large:
            for choice in choices:
                rows = itertools.islice(copy_rows(list(small.rows(choice.name))), n_items)
                for first in range(0, n_items, _CHUNK):
                    chunk = list(itertools.islice(rows, _CHUNK))
                    large.commit_chunk(choice.name, chunk, first=first, seconds=_CHUNK_S)
                summarise_suite(large, SUITES[choice.name])
            large.finish()
    return folder


def copy_rows(rows: list[ItemRow]) -> Iterator[ItemRow]:
    """The rows again and again, each time with ids and clusters of their own."""
    for number in itertools.count():
        yield from (replace(row, id=f"{row.id}-{number}", cluster=f"{row.cluster}-{number % 9}") for row in rows)


def call(*words: str) -> None:
    """Runs a command of llamabench."""
    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        code = run_command_line(list(words))
    assert code == 0, f"llamabench {words[0]} ended with exit code {code}"
    print(f"llamabench {words[0]}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def measure(pages: dict[str, Path]) -> Iterator[Target]:
    """Each page's size and the time in which it opens."""
    with Browser() as browser:
        for name, page in pages.items():
            yield Target(f"{name}_mb", page.stat().st_size / 1e6, _MOST_MB, at_most=True)
            times = [browser.open(page, Look("light")).load_s for _ in range(_N_TURNS)]
            yield Target(f"{name}_open_s", statistics.median(times), _MOST_S, at_most=True)


if __name__ == "__main__":
    sys.exit(main())
