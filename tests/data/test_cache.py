from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from llamabench.data.cache import data_folder, find_dataset, import_source, list_installed, verify
from llamabench.data.sources import SOURCES
from llamabench.errors import DataError, UnknownNameError

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"no published data at {SHARED.name}/ beside the checkout"
)
PREFERENCE = ("hh-rlhf", "hhh-alignment")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("LLAMABENCH_DATA", str(cache))
    return cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "published"
    path.mkdir()
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_truthfulqa(
    folder: Path, n: int, word: str = "Question", sub: str = "data", csv: str = "TruthfulQA.csv"
) -> None:
    mc0 = {"mc0_targets": {"Yes": 1, "No": 0}} if n == 790 else {}
    entries = [
        {"question": f"{word} {i}?", **mc0, "mc1_targets": {"Yes": 1, "No": 0}, "mc2_targets": {"Yes": 1, "No": 0}}
        for i in range(n)
    ]
    write(folder / sub / "mc_task.json", json.dumps(entries))
    lines = "".join(f"Adversarial,Law,{word} {i}?,Yes,Yes; Aye,No\n" for i in range(n))
    write(folder / csv, f"Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers\n{lines}")


def bbq_row(number: int, **change: Any) -> dict[str, Any]:
    return {
        "example_id": number,
        "question_index": "1",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Sexual_orientation",
        "answer_info": {"ans0": ["gay", "gay"], "ans1": ["straight", "straight"], "ans2": ["Unknown", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["gay"]},
        "context": "Two people.",
        "question": "Who?",
        "ans0": "The gay one",
        "ans1": "The straight one",
        "ans2": "Unknown",
        "label": 2,
        **change,
    }


def write_bbq(path: Path, changes: dict[int, dict[str, Any]] | None = None, n: int = 864) -> None:
    rows = [bbq_row(number, **(changes or {}).get(number, {})) for number in range(n)]
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_hh(path: Path, n: int) -> None:
    row = {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress((json.dumps(row) + "\n").encode() * n))


def write_hhh(path: Path) -> None:
    row = {"subset": "honest", "query": "Hi", "chosen": "A", "rejected": "B"}
    write(path, (json.dumps(row) + "\n") * 221)


# --- import -------------------------------------------------------------------------------------


def test_the_folder_is_the_users_own_unless_told(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    assert data_folder() == own_cache
    monkeypatch.delenv("LLAMABENCH_DATA")
    assert "llamabench" in data_folder().as_posix()


def test_a_repository_gives_all_its_editions(folder: Path) -> None:
    write_truthfulqa(folder, 790)
    write_truthfulqa(folder, 817, sub="data/v1", csv="data/v1/TruthfulQA.csv")
    write_truthfulqa(folder, 817, word="Old question", sub="data/v0", csv="data/v0/TruthfulQA.csv")
    installed = import_source("truthfulqa", folder)
    assert [(entry.edition, entry.n_items) for entry in installed] == [("790", 790), ("817", 817)]
    assert installed == list_installed()
    for entry in installed:
        assert all((entry.folder / file.path).is_file() for file in entry.files)
        assert "Old question" not in (entry.folder / entry.files[0].path).read_text()


@pytest.mark.parametrize("n", [790, 817])
def test_flat_files_tell_their_edition_by_their_rows(folder: Path, n: int) -> None:
    write_truthfulqa(folder, n, sub=".")
    assert [entry.edition for entry in import_source("truthfulqa", folder)] == [str(n)]


def test_a_folder_above_the_repository_will_do(folder: Path) -> None:
    write_truthfulqa(folder / "downloads" / "TruthfulQA", 790)
    assert [entry.edition for entry in import_source("truthfulqa", folder)] == ["790"]


def test_the_manifest_says_what_was_imported(folder: Path, own_cache: Path) -> None:
    write_truthfulqa(folder, 790)
    (installed,) = import_source("truthfulqa", folder)
    manifest = json.loads((own_cache / "truthfulqa" / "790" / "manifest.json").read_text())
    assert manifest["n_items"] == 790
    assert manifest["licence"] == "Apache-2.0"
    assert [file["path"] for file in manifest["files"]] == ["data/mc_task.json", "TruthfulQA.csv"]
    assert [file["is_published"] for file in manifest["files"]] == [False, False]
    assert manifest["sha256"] == installed.sha256


def test_any_bbq_category_may_be_missing(folder: Path) -> None:
    write_bbq(folder / "data" / "Sexual_orientation.jsonl")
    (installed,) = import_source("bbq", folder)
    assert [file.path for file in installed.files] == ["data/Sexual_orientation.jsonl"]
    assert installed.n_items == 864


@pytest.mark.parametrize(
    "name",
    [
        "additional_metadata.csv",
        "supplemental/additional_metadata.csv",
        "analysis_scripts/additional_metadata.csv",
        "additional_metadata.rebuilt.csv",
    ],
)
def test_bbq_metadata_are_found_where_people_have_them(folder: Path, name: str) -> None:
    write_bbq(folder / "Sexual_orientation.jsonl")
    write(folder / name, "category,example_id,target_loc,label_type\nSexual_orientation,0,1,label\n")
    (installed,) = import_source("bbq", folder)
    assert [file.path for file in installed.files][1:] == ["supplemental/additional_metadata.csv"]
    assert installed.n_items == 864


def test_hh_takes_the_splits_that_are_there(folder: Path) -> None:
    write_hh(folder / "harmless-base" / "test.jsonl.gz", 2312)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(folder / "helpful-base" / "test.jsonl.gz", pointer)
    assert [entry.edition for entry in import_source("hh-rlhf", folder)] == ["harmless-base"]


def test_only_pointers_are_no_data(folder: Path) -> None:
    write(folder / "helpful-base" / "test.jsonl.gz", "version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"only a Git LFS pointer: run `git lfs pull`"):
        import_source("hh-rlhf", folder)


def test_importing_again_replaces_and_leaves_nothing_behind(folder: Path, own_cache: Path) -> None:
    write_truthfulqa(folder, 790)
    (old,) = import_source("truthfulqa", folder)
    write_truthfulqa(folder, 790, word="Other")
    (new,) = import_source("truthfulqa", folder)
    assert new.sha256 != old.sha256
    assert list_installed() == (new,)
    assert sorted(path.name for path in (own_cache / "truthfulqa" / "790").iterdir()) == [
        new.folder.name,
        "manifest.json",
    ]


def test_a_failed_import_leaves_the_old_data(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_truthfulqa(folder, 790)
    before = import_source("truthfulqa", folder)

    def fail(origin: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(DataError, match="cannot be copied to .*No space left on device"):
        import_source("truthfulqa", folder)
    assert list_installed() == before
    assert len(list((own_cache / "truthfulqa" / "790").iterdir())) == 2


def test_a_bad_line_is_named_and_nothing_is_imported(folder: Path) -> None:
    write_bbq(folder / "Sexual_orientation.jsonl", {6: {"label": 9}})
    with pytest.raises(DataError, match=r"Sexual_orientation.jsonl, line 7: the label should be 0, 1 or 2, found 9"):
        import_source("bbq", folder)
    assert list_installed() == ()


def test_a_cut_file_is_no_edition(folder: Path) -> None:
    write_bbq(folder / "Sexual_orientation.jsonl", n=800)
    with pytest.raises(DataError, match=r"has 800 rows, .* has 864"):
        import_source("bbq", folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    write_truthfulqa(folder, 790)
    (folder / "TruthfulQA.csv").unlink()
    with pytest.raises(DataError, match=r"790 in .* is not complete: TruthfulQA.csv is missing"):
        import_source("truthfulqa", folder)


def test_the_wrong_folder_says_what_was_looked_for_and_found(folder: Path) -> None:
    write(folder / "notes.txt", "hello")
    with pytest.raises(DataError, match=r"looked for data/mc_task.json, data/v1/mc_task.json; found notes.txt"):
        import_source("truthfulqa", folder)
    with pytest.raises(DataError, match="is not a folder"):
        import_source("truthfulqa", folder / "nowhere")


def test_an_unknown_data_set_gets_a_near_match(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean truthfulqa\?"):
        import_source("truthfullqa", folder)


# --- verify -------------------------------------------------------------------------------------


def test_verify_names_both_digests(folder: Path) -> None:
    write_truthfulqa(folder, 790)
    (installed,) = import_source("truthfulqa", folder)
    (clean,) = verify()
    assert clean.faults == ()
    path = installed.folder / "TruthfulQA.csv"
    path.write_bytes(path.read_bytes().replace(b"Law", b"Tax", 1))
    (changed,) = verify()
    (fault,) = changed.faults
    assert installed.files[1].sha256 in fault
    assert "has changed: its sha256 is " in fault
    path.unlink()
    assert "is missing" in verify()[0].faults[0]


def test_a_broken_manifest_is_named(folder: Path, own_cache: Path) -> None:
    write_truthfulqa(folder, 790)
    import_source("truthfulqa", folder)
    (own_cache / "truthfulqa" / "790" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest.json cannot be read .* Import truthfulqa again"):
        list_installed()


# --- what a suite asks for ----------------------------------------------------------------------


@pytest.mark.parametrize("source", [name for name, source in SOURCES.items() if source.starter])
def test_without_data_there_are_the_starter_items(source: str) -> None:
    dataset = find_dataset((source,))
    assert dataset.is_starter == bool(SOURCES[source].editions)
    assert dataset.edition == ("starter" if dataset.is_starter else "builtin")
    assert dataset == find_dataset((source,), "starter")
    assert dataset.n_items == len(dataset.files[0].path.read_text(encoding="utf-8").splitlines())


def test_the_newest_edition_is_the_default(folder: Path) -> None:
    write_truthfulqa(folder, 790)
    write_truthfulqa(folder, 817, sub="data/v1", csv="data/v1/TruthfulQA.csv")
    import_source("truthfulqa", folder)
    assert find_dataset(("truthfulqa",)).edition == "790"
    assert find_dataset(("truthfulqa",), "truthfulqa").edition == "790"
    assert find_dataset(("truthfulqa",), "817").n_items == 817
    assert find_dataset(("truthfulqa",), "starter").is_starter


def test_preference_takes_all_that_is_there(folder: Path) -> None:
    write_hh(folder / "harmless-base" / "test.jsonl.gz", 2312)
    write_hh(folder / "helpful-online" / "test.jsonl.gz", 1137)
    write_hhh(folder / "hhh_alignment.jsonl")
    for name in PREFERENCE:
        import_source(name, folder)
    everything = find_dataset(PREFERENCE)
    assert everything.edition == "harmless-base+helpful-online+hhh"
    assert everything.n_items == 2312 + 1137 + 221
    assert everything.sources == PREFERENCE
    assert find_dataset(PREFERENCE, everything.edition) == everything
    assert find_dataset(PREFERENCE, "hhh").n_items == 221
    assert find_dataset(PREFERENCE, "hh-rlhf").edition == "harmless-base+helpful-online"
    assert find_dataset(PREFERENCE, "hhh+helpful-online").edition == "hhh+helpful-online"


def test_an_edition_that_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(DataError, match="817 is not imported.*`llamabench data import truthfulqa FOLDER`"):
        find_dataset(("truthfulqa",), "817")


def test_an_unknown_edition_gets_a_near_match() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean harmless-base\?.*starter"):
        find_dataset(PREFERENCE, "harmles-base")


def test_a_file_of_another_size_is_not_used(folder: Path) -> None:
    write_truthfulqa(folder, 790)
    (installed,) = import_source("truthfulqa", folder)
    path = installed.folder / "TruthfulQA.csv"
    n_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match=f"has {n_bytes + 1:,} bytes, {n_bytes:,} were imported"):
        find_dataset(("truthfulqa",))
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        find_dataset(("truthfulqa",))


@needs_shared
def test_the_published_files_are_imported() -> None:
    import_source("truthfulqa", SHARED / "truthfulqa")
    import_source("bbq", SHARED / "bbq")
    for name in PREFERENCE:
        import_source(name, SHARED / "preference")
    n_items = {f"{entry.source} {entry.edition}": entry.n_items for entry in list_installed()}
    assert n_items["truthfulqa 790"] == 790
    assert n_items["truthfulqa 817"] == 817
    assert n_items["hh-rlhf harmless-base"] == 2312
    assert n_items["hhh-alignment hhh"] == 221
    assert n_items["bbq 2022"] == sum(path.read_bytes().count(b"\n") for path in (SHARED / "bbq/data").glob("*"))


@pytest.mark.parametrize("wanted", [None, "builtin", "redteam", "starter"])
def test_own_targets_come_first_whatever_is_imported(tmp_path: Path, wanted: str | None) -> None:
    (tmp_path / "harmful_behaviors.csv").write_text("goal,target\n" + "Do it,Sure\n" * 520, encoding="utf-8")
    import_source("advbench", tmp_path)
    found = find_dataset(("redteam", "advbench"), wanted)
    assert (found.edition, found.is_starter, found.files[0].kind) == ("builtin", False, "attack-targets")
    assert find_dataset(("redteam", "advbench"), "advbench").edition == "advbench-520"
