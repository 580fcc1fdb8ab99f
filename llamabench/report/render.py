"""Views rendered to HTML pages that stand alone: no request leaves them, no text of a model is taken as markup."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llamabench import __version__
from llamabench.report.attack_views import AttacksView
from llamabench.report.compare_views import CompareView
from llamabench.report.format import show_hidden
from llamabench.report.site_views import SiteView
from llamabench.report.views import RunReader, ScoreView, SuiteText, build_score_view


def render_score(view: ScoreView) -> str:
    """Render a score report."""
    return _environment().get_template("score.html").render(view=view)


def render_attacks(view: AttacksView) -> str:
    """Render a report of attacks."""
    return _environment().get_template("attack.html").render(view=view)


def write_score_report(run: RunReader, path: Path, *, suites: Mapping[str, SuiteText]) -> None:
    """Write a run's score report.

    Args:
        run: The run to report.
        path: The HTML file to write.
        suites: What each suite says about itself, by name.
    """
    write_page(render_score(build_score_view(run, suites)), path)


def write_site(view: SiteView, folder: Path) -> Path:
    """Write a leaderboard and a page for each of its models; the leaderboard's path.

    Args:
        view: What it shows.
        folder: Folder of the site; the runs' reports lie in it already.
    """
    environment = _environment()
    for model in view.models:
        page = environment.get_template("model.html").render(view=view, model=model, version=__version__)
        write_page(page, folder / model.page)
    index = folder / "index.html"
    write_page(environment.get_template("site.html").render(view=view, version=__version__), index)
    return index


def render_comparison(view: CompareView) -> str:
    """Render a comparison."""
    return _environment().get_template("compare.html").render(view=view)


def write_page(page: str, path: Path) -> None:
    """Write a page; a reader of `path` sees the old file or the new one, never half of one.

    Raises:
        OSError: It cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """Read the process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("llamabench.templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_all,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_source"] = _csp_source
    return environment


def _show_all(value: object) -> object:
    """Write out hidden characters of every text that a template prints; markup of the templates' own passes."""
    return show_hidden(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _csp_source(text: Markup) -> Markup:
    """Name an inline style or script by its hash, as a Content-Security-Policy allows it."""
    digest = hashlib.sha256(str(text).encode()).digest()
    return Markup("'sha256-{}'").format(base64.b64encode(digest).decode())
