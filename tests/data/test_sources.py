"""What is said of the data sets, and whether the published files are as it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from llamabench.data.locating import locate_editions
from llamabench.data.sources import (
    ITEM_KINDS,
    SOURCES,
    STARTER_KINDS,
    Edition,
    Home,
    Source,
    find_editions,
    find_source,
)
from llamabench.errors import UnknownNameError

SOURCE_LIST = list(SOURCES.values())
EDITIONS = [edition for source in SOURCE_LIST for edition in source.editions]
HOMES = [home for source in SOURCE_LIST for edition in source.editions for home in source.homes_of(edition)]


@pytest.mark.parametrize("source", SOURCE_LIST, ids=lambda source: source.name)
def test_a_source_says_where_it_comes_from(source: Source) -> None:
    assert find_source(source.name) is source
    for text in (source.title, source.licence, source.citation, source.url):
        assert text.strip()
    assert source.url.startswith("https://") or not source.homes
    assert source.hub_id is None or source.hub_id.count("/") == 1
    assert source.starter is None or source.starter in STARTER_KINDS
    assert source.editions or source.starter


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda edition: edition.name)
def test_an_edition_is_made_of_its_files(edition: Edition) -> None:
    assert edition in SOURCES[edition.source].editions
    assert edition.files == tuple(part.path for part in edition.parts)
    assert len(set(edition.files)) == len(edition.files)
    counted = [part.n_rows for part in edition.parts if part.kind in ITEM_KINDS]
    assert edition.n_items == (None if None in counted else sum(n_rows or 0 for n_rows in counted))
    for path in edition.files:
        assert not Path(path).is_absolute()
        assert ".." not in Path(path).parts
    if edition.part_of is not None:
        (whole,) = find_editions(edition.part_of)
        assert (whole.source, whole.part_of) == (edition.source, None)


@pytest.mark.parametrize("home", dict.fromkeys(HOMES), ids=str)
def test_a_home_is_pinned_to_a_commit_or_not_at_all(home: Home) -> None:
    assert home.name.count("/") == 1
    assert home.revision is None or set(home.revision) <= set("0123456789abcdef")
    assert home.revision is None or len(home.revision) in (7, 40)


def test_names_say_one_thing_each() -> None:
    names = [edition.name for edition in EDITIONS] + list(SOURCES)
    assert len(set(names)) == len(names)
    assert "starter" not in names
    assert not any("+" in name or ":" in name for name in names)


def test_editions_are_found_by_either_name() -> None:
    assert [edition.name for edition in find_editions("truthfulqa")] == ["790", "817"]
    assert [edition.name for edition in find_editions("817")] == ["817"]
    with pytest.raises(UnknownNameError, match=r'"xtest"\. Did you mean xstest\?'):
        find_editions("xtest")


def test_bbq_has_the_papers_size() -> None:
    (edition,) = SOURCES["bbq"].editions
    assert edition.n_items == 58_492
    assert sum(part.kind == "bbq" for part in edition.parts) == 11


# --- the published files, where they lie beside the checkout ------------------------------------

PUBLISHED = {
    "truthfulqa": ("truthfulqa", {"790": 790, "817": 817}),
    "bbq": ("bbq", {"2022": None}),
    "bold": ("bold", {"bold-2021": 23679}),
    "realtoxicityprompts": ("realtoxicityprompts", {"rtp-quark": 5000, "rtp-nontoxic": 1200}),
    "hh-rlhf": ("preference/hh-rlhf", {"harmless-base": 2312}),
    "hhh-alignment": ("preference/hhh_alignment", {"hhh": 221}),
    "llmbar": ("preference", {"llmbar-419": 419, "llmbar-others": 466}),
    "auto-j": ("preference/auto-j", {"auto-j-1392": 1392}),
    "pandalm": ("preference/pandalm", {"pandalm-999": 999}),
    "xstest": ("redteam", {"xstest-450": 450}),
    "advbench": ("redteam/advbench", {"advbench-520": 520}),
    "harmbench": ("redteam", {"harmbench-all": 400, "harmbench-test": 320, "harmbench-val": 80}),
    "jailbreakbench": ("redteam/jailbreakbench", {"jbb": 200}),
    "strongreject": ("redteam", {"strongreject-313": 313}),
    "do-not-answer": ("redteam/do-not-answer", {"do-not-answer-areas": 939}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_found_with_the_rows_and_digests_stated(name: str, shared_data: Path) -> None:
    place, expected = PUBLISHED[name]
    found = locate_editions(find_source(name), shared_data / place)
    counted = {
        entry.edition.name: sum(file.n_rows for file in entry.files if file.part.kind in ITEM_KINDS) for entry in found
    }
    assert set(counted) == set(expected)
    for edition, n_items in expected.items():
        assert n_items in (None, counted[edition])
    for entry in found:
        for file in entry.files:
            digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
            assert file.part.sha256 in (None, digest), file.part.path
