"""What the Tab key offers in place of values; everything is looked up only when a shell asks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llamabench.errors import LlamabenchError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]

DEFAULT_OUT = Path("llamabench-runs")
"""Where runs go unless a person says otherwise."""

_VARIABLE = "_LLAMABENCH_COMPLETE"
_NEEDS_NO_QUOTES = re.compile(r"[\w./+@%-]+")


def prepare_completion() -> None:
    """Mends Click's script for fish, where a shell asks: it cuts a value at its first comma."""
    if _VARIABLE not in os.environ:
        return
    from click.shell_completion import FishComplete, add_completion_class

    class WholeValues(FishComplete):
        source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')

    add_completion_class(WholeValues)


# --- files, folders and what has a name ---------------------------------------------------------


def complete_models(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
    """Names of models.toml, and files."""
    return _offer_places(text, _model_names(), with_files=True)


def complete_runs(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
    """Folders of runs; other files where there is no run."""
    return _offer_places(text, _find_runs(text), with_files=False)


def complete_named(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
    """Folders of runs, names of models.toml, and files."""
    return _offer_places(text, [*_find_runs(text), *_model_names()], with_files=True)


def complete_references(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
    """The word `base`, folders of runs, names of models.toml, and files."""
    return _offer_places(text, ["base", *_find_runs(text), *_model_names()], with_files=True)


def complete_bundles(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
    """Names of data sets; files where there are none."""
    return _offer_places(text, _sources(), with_files=False)


def _offer_places(text: str, names: Iterable[str], *, with_files: bool) -> list[CompletionItem[str]]:
    """Names that begin so, with models' files beside them; where there are none, all files that the shell finds.

    The shell is not asked for files beside names, for bash would throw the names away.
    """
    from click.shell_completion import CompletionItem

    found = [name for name in names if name.startswith(text)]
    if not found:
        return [CompletionItem(text, type="file")]
    files = _list_models(text) if with_files else ()
    return [CompletionItem(name) for name in dict.fromkeys((*found, *files))]


def _model_names() -> list[str]:
    from llamabench.data.models import list_models

    try:
        return list(list_models())
    except LlamabenchError:
        return []  # what is wrong with a models.toml, the command itself says


def _find_runs(text: str) -> Iterator[str]:
    from llamabench.results.file import FILE_NAME

    for folder in dict.fromkeys((str(DEFAULT_OUT), os.path.dirname(text))):
        for entry in _list_folder(folder):
            place = os.path.join(folder, entry.name)
            if os.path.isfile(os.path.join(place, FILE_NAME)):
                yield place


def _list_models(text: str) -> Iterator[str]:
    """GGUF files, and folders that may hold some; names that a shell wants quoted are left to the shell."""
    folder, beginning = os.path.split(text)
    for entry in _list_folder(folder):
        name = os.path.join(folder, entry.name)
        is_hidden = entry.name.startswith(".") and not beginning
        if is_hidden or not name.startswith(text) or not _NEEDS_NO_QUOTES.fullmatch(name):
            continue
        if entry.is_dir():
            yield f"{name}/"
        elif name.lower().endswith(".gguf"):
            yield name


def _list_folder(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # no such folder, or nobody may look: there is nothing to offer


# --- lists --------------------------------------------------------------------------------------


def _complete_from(find_names: Callable[[], Iterable[str]], *, with_commas: bool = False) -> Completer:
    """What completes a name, or the last of several with commas between."""

    def complete(_context: click.Context, _parameter: click.Parameter, text: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        before, comma, last = text.rpartition(",") if with_commas else ("", "", text)
        names = [name for name in find_names() if name.startswith(last) and name not in before.split(",")]
        return [CompletionItem(f"{before}{comma}{name}") for name in names]

    return complete


def _suites() -> Iterable[str]:
    from llamabench.suites import SUITES

    return SUITES


def _techniques() -> Iterable[str]:
    from llamabench.suites.redteam.mutators import TECHNIQUES

    return TECHNIQUES


def _categories() -> Iterable[str]:
    from llamabench.data.formats import TARGET_CATEGORIES

    return TARGET_CATEGORIES


def _behaviours() -> Iterator[str]:
    from llamabench.data.sources import SOURCES
    from llamabench.suites.redteam.suite import RedTeam

    return (edition.name for name in RedTeam.DATA_SOURCES for edition in SOURCES[name].editions)


def _sources() -> Iterable[str]:
    from llamabench.data.sources import SOURCES

    published = [source for source in SOURCES.values() if source.editions]
    editions = [edition.name for source in published for edition in source.editions]
    return dict.fromkeys((*(source.name for source in published), *editions))


def _judge_formats() -> Iterable[str]:
    from llamabench.scorers.judge_formats import JUDGE_FORMATS

    return JUDGE_FORMATS


def _aspects() -> Iterable[str]:
    from llamabench.scorers.judge_formats import JUDGE_FORMATS

    return dict.fromkeys(name for one in JUDGE_FORMATS.values() for name in (*one.aspects, *one.on_request))


complete_suites = _complete_from(_suites)
complete_techniques = _complete_from(_techniques, with_commas=True)
complete_categories = _complete_from(_categories, with_commas=True)
complete_behaviours = _complete_from(_behaviours)
complete_sources = _complete_from(_sources)
complete_judge_formats = _complete_from(_judge_formats)
complete_aspects = _complete_from(_aspects)


def suite_option(help_text: str, metavar: str = "NAME[:EDITION]") -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The option that names suites, with what it says of itself."""
    return click.option(
        "--suite", "suites", multiple=True, metavar=metavar, help=help_text, shell_complete=complete_suites
    )
