"""Every data set that llamabench knows, by name."""

from __future__ import annotations

from llamabench.data.formats import Kind
from llamabench.data.sources import behaviours, preference, prompts, questions
from llamabench.data.sources.model import Edition, Source
from llamabench.errors import DataError, UnknownNameError

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        questions.TRUTHFULQA,
        questions.BBQ,
        questions.ALIGNMENT,
        prompts.BOLD,
        prompts.REALTOXICITYPROMPTS,
        preference.HH,
        preference.HHH,
        preference.PKU,
        preference.REWARDBENCH,
        preference.LLMBAR,
        preference.AUTO_J,
        preference.PANDALM,
        preference.PAIRS,
        behaviours.XSTEST,
        behaviours.REDTEAM,
        behaviours.ADVBENCH,
        behaviours.HARMBENCH,
        behaviours.JAILBREAKBENCH,
        behaviours.STRONGREJECT,
        behaviours.DO_NOT_ANSWER,
    )
}
"""Every data set that llamabench can import, by name."""

STARTER_KINDS: dict[str, Kind] = {
    "truthfulqa.jsonl": "truthfulqa",
    "bbq.jsonl": "bbq",
    "preference.jsonl": "pairs",
    "xstest.jsonl": "safety-prompts",
    "realtoxicity.jsonl": "rtp",
    "bold.jsonl": "bold-rows",
    "alignment.jsonl": "tests",
    "redteam.jsonl": "attack-targets",
}
"""Formats of the items that ship with llamabench."""


def find_source(name: str) -> Source:
    """Returns the data set of a name.

    Raises:
        UnknownNameError: No data set is called that; a near match is offered.
    """
    if name not in SOURCES:
        raise UnknownNameError.for_name("data set", name, SOURCES)
    return SOURCES[name]


def find_published(name: str) -> Source:
    """Returns the data set of a name that has files of its publishers.

    Raises:
        UnknownNameError: No data set is called that; a near match is offered.
        DataError: It comes with llamabench.
    """
    source = find_source(name)
    if not source.editions:
        raise DataError(f"The data set {name} comes with llamabench: there is nothing to fetch or to import.")
    return source


def find_editions(name: str) -> tuple[Edition, ...]:
    """Returns the editions of a data set, or the one edition of that name.

    Raises:
        UnknownNameError: No data set and no edition is called that; a near match is offered.
    """
    if name in SOURCES:
        return SOURCES[name].editions
    editions = {edition.name: edition for source in SOURCES.values() for edition in source.editions}
    if name not in editions:
        raise UnknownNameError.for_name("data set or edition", name, (*SOURCES, *editions))
    return (editions[name],)
