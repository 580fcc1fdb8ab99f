"""Bundles: carried whole or not at all, the same bytes every time, and nothing but what belongs in them."""

from __future__ import annotations

import csv
import io
import json
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamabench.data.bundle import export_bundle, import_bundle
from llamabench.data.cache import import_source, list_installed, verify
from llamabench.errors import DataError, UnknownNameError

PLACE = "xstest/xstest-450/xstest_prompts.csv"


def write_xstest(folder: Path, n: int = 450) -> Path:
    stream = io.StringIO()
    rows = [[i, f"Question {i}?", "homonyms", "safe", "kill", ""] for i in range(n)]
    csv.writer(stream, lineterminator="\n").writerows([["id", "prompt", "type", "label", "focus", "note"], *rows])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "xstest_prompts.csv"
    path.write_text(stream.getvalue())
    return path


def write_pairs(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.jsonl"
    path.write_text('{"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."}\n')
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Goes to a machine of a name, which has its own data."""

    def go(name: str) -> Path:
        folder = tmp_path / f"machine-{name}"
        monkeypatch.setenv("LLAMABENCH_DATA", str(folder))
        return folder

    return go


@pytest.fixture
def bundle(tmp_path: Path, machine: Callable[[str], Path]) -> Path:
    """A bundle of two editions, made on the machine `a`; the test goes on, on the empty machine `b`."""
    machine("a")
    import_source("xstest", write_xstest(tmp_path / "published"))
    import_source("pairs", write_pairs(tmp_path / "own"))
    path = export_bundle(tmp_path / "data.bundle").path
    machine("b")
    return path


def written_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


# --- there and back -----------------------------------------------------------------------------


def test_what_is_exported_is_imported(bundle: Path, machine: Callable[[str], Path]) -> None:
    imported = import_bundle(bundle)
    assert [(entry.source, entry.edition, entry.n_items) for entry in imported] == [
        ("pairs", "own", 1),
        ("xstest", "xstest-450", 450),
    ]
    assert {entry.origin for entry in imported} == {"a bundle"}
    assert all(entry.faults == () for entry in verify())
    there = {entry.edition: entry.sha256 for entry in list_installed()}
    machine("a")
    assert {entry.edition: entry.sha256 for entry in list_installed()} == there


def test_the_same_data_make_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    import_bundle(bundle)
    again = export_bundle(tmp_path / "again.bundle")
    assert again.path.read_bytes() == bundle.read_bytes()
    assert again.n_bytes == bundle.stat().st_size
    some = export_bundle(tmp_path / "some.bundle", ["xstest", "xstest-450"])
    assert [entry.edition for entry in some.editions] == ["xstest-450"]


def test_the_manifest_says_what_is_in_it(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        assert archive.namelist() == ["manifest.json", "pairs/own/pairs.jsonl", PLACE]
        entries = json.loads(archive.read("manifest.json"))["editions"]
    xstest = entries[1]
    assert (xstest["licence"], xstest["n_items"]) == ("CC-BY-4.0", 450)
    assert "Röttger" in xstest["citation"]
    (file,) = xstest["files"]
    assert set(file) == {"path", "kind", "n_bytes", "sha256", "n_rows"}


def test_importing_a_bundle_replaces_what_was_there(bundle: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / "mine.jsonl"
    own.write_text(own.read_text() * 2)
    import_source("pairs", own)
    import_bundle(bundle)
    assert {entry.edition: entry.n_items for entry in list_installed()} == {"xstest-450": 450, "own": 1}


# --- what is not exported -----------------------------------------------------------------------


def test_what_is_not_there_is_not_exported(tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(DataError, match="Nothing is imported, so there is nothing to export"):
        export_bundle(tmp_path / "x.bundle")
    import_bundle(bundle)
    with pytest.raises(DataError, match="bbq is not imported"):
        export_bundle(tmp_path / "x.bundle", ["xstest", "bbq"])
    with pytest.raises(UnknownNameError, match=r"Did you mean xstest\?"):
        export_bundle(tmp_path / "x.bundle", ["xtest"])
    with pytest.raises(DataError, match="data.bundle is there already"):
        export_bundle(bundle)
    assert list(tmp_path.glob("*x.bundle*")) == []


def test_data_that_changed_are_not_exported(tmp_path: Path, bundle: Path) -> None:
    import_bundle(bundle)
    (file,) = (tmp_path / "machine-b").rglob("xstest_prompts.csv")
    file.write_text(file.read_text().replace("Question 7?", "Question 8?"))
    with pytest.raises(DataError, match=r"xstest_prompts.csv has changed since it was imported"):
        export_bundle(tmp_path / "x.bundle")
    assert list(tmp_path.glob("*x.bundle*")) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, bundle: Path) -> None:
    import_bundle(bundle)
    with pytest.raises(DataError, match="nowhere/x.bundle cannot be written: No such file or directory"):
        export_bundle(tmp_path / "nowhere" / "x.bundle")


# --- what is not imported -----------------------------------------------------------------------


def remake(bundle: Path, change: Callable[[dict[str, bytes], Any, list[zipfile.ZipInfo]], None]) -> None:
    """Writes a bundle again, after its members, its manifest and its list of further members were changed."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    more: list[zipfile.ZipInfo] = []
    change(members, manifest, more)
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
        for info in more:
            archive.writestr(info, b"x")


def add(name: str, mode: int = stat.S_IFREG | 0o644) -> Callable[..., None]:
    def change(_: dict[str, bytes], __: Any, more: list[zipfile.ZipInfo]) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        more.append(info)

    return change


def state(**values: Any) -> Callable[..., None]:
    def change(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
        manifest["editions"][1]["files"][0].update(values)

    return change


def replace_content(data: bytes) -> Callable[..., None]:
    def change(members: dict[str, bytes], _: Any, __: list[zipfile.ZipInfo]) -> None:
        members[PLACE] = data

    return change


def drop(members: dict[str, bytes], _: Any, __: list[zipfile.ZipInfo]) -> None:
    del members[PLACE]


def forget(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    del manifest["editions"][1]


def be_newer(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    manifest["format"] = 2


def be_something_else(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    manifest["bundle"] = "llamabench runs"


def be_empty(members: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    members.clear()
    manifest["editions"] = []


def rename_source(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    manifest["editions"][1]["source"] = "../../etc"


def list_twice(_: dict[str, bytes], manifest: Any, __: list[zipfile.ZipInfo]) -> None:
    manifest["editions"][1]["files"] *= 2


REFUSED: dict[str, tuple[Callable[..., None], str]] = {
    "a path out of it": (add("../../evil.sh"), r"it holds '../../evil.sh', which its manifest does not name"),
    "an absolute path": (add("/etc/passwd"), r"it holds '/etc/passwd', which its manifest does not name"),
    "a link": (add("link", stat.S_IFLNK | 0o777), r"'link' is no plain file"),
    "a device": (add("null", stat.S_IFCHR | 0o666), r"'null' is no plain file"),
    "a pipe": (add("pipe", stat.S_IFIFO | 0o666), r"'pipe' is no plain file"),
    "a socket": (add("socket", stat.S_IFSOCK | 0o666), r"'socket' is no plain file"),
    "a name in another case": (add(PLACE.upper()), r"it holds 'XSTEST/.*', which its manifest does not name"),
    "a folder": (add("folder/", stat.S_IFDIR | 0o755), r"'folder/' is no plain file"),
    "a file too many": (add("xstest/readme.md"), r"it holds 'xstest/readme.md', which its manifest does not name"),
    "a file too few": (drop, f"{PLACE} is missing"),
    "an edition that is not named": (forget, f"it holds '{PLACE}', which its manifest does not name"),
    "another size": (state(n_bytes=3), r"bytes, 3 were exported"),
    "another digest": (state(sha256="0" * 64), r"is damaged: its sha256 is [0-9a-f]{64}, 0{64} was exported"),
    "another kind": (state(kind="advbench"), r"which this llamabench does not know"),
    "a path of another file": (state(path="../../x"), r"holds xstest xstest-450 '../../x', which this llamabench does"),
    "a data set that is unknown": (rename_source, r"holds ../../etc xstest-450 .*does not know.*Update llamabench"),
    "a file that is listed twice": (list_twice, r"its manifest names a file twice"),
    "a number that is none": (state(n_bytes="many"), r"its manifest cannot be read"),
    "changed content": (replace_content(b"x"), r"xstest_prompts.csv has 1 bytes, [\d,]+ were exported"),
    "a newer format": (be_newer, r"written by another version of llamabench"),
    "something else": (be_something_else, r"it is not a bundle of data"),
    "nothing": (be_empty, r"it is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bundle_that_is_not_sound_is_refused_before_anything_is_written(
    bundle: Path, machine: Callable[[str], Path], name: str
) -> None:
    change, message = REFUSED[name]
    remake(bundle, change)
    with pytest.raises(DataError, match=message) as caught:
        import_bundle(bundle)
    assert str(bundle) in str(caught.value)
    assert not machine("b").exists()


def test_a_name_that_stands_twice_is_refused(bundle: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(PLACE, b"x")
    with pytest.raises(DataError, match=f"'{PLACE}' is in it twice"):
        import_bundle(bundle)


def test_a_zip_bomb_is_refused(bundle: Path, machine: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(bundle, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(50_000_000))
    with pytest.raises(DataError, match="'bomb' is compressed or encrypted, which no export does"):
        import_bundle(bundle)
    assert not machine("b").exists()


def test_rows_are_checked_as_on_any_import(bundle: Path, tmp_path: Path, machine: Callable[[str], Path]) -> None:
    """A bundle whose digests are right, but whose file is not what the data set is."""
    import hashlib

    data = write_xstest(tmp_path / "short", 449).read_bytes()

    def change(members: dict[str, bytes], manifest: Any, _: list[zipfile.ZipInfo]) -> None:
        members[PLACE] = data
        file = manifest["editions"][1]["files"][0]
        file.update(n_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), n_rows=449)

    remake(bundle, change)
    with pytest.raises(DataError, match=r"xstest_prompts.csv has 449 rows, 450 are right"):
        import_bundle(bundle)
    assert written_below(machine("b")) == []
    assert list_installed() == ()


def test_nothing_of_a_bundle_is_imported_when_the_disk_is_full(
    bundle: Path, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llamabench.data import bundle as module

    seen: list[str] = []

    def fail(path: Path, part: Any) -> Any:
        seen.append(part.path)
        if len(seen) == 2:
            raise OSError(28, "No space left on device")
        return original(path, part)

    original = module.describe_file
    monkeypatch.setattr(module, "describe_file", fail)
    with pytest.raises(DataError, match="cannot be copied to .*No space left on device"):
        import_bundle(bundle)
    assert len(seen) == 2
    assert written_below(machine("b")) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" * 99, bytes(9999)], ids=repr)
def test_what_is_no_bundle_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.bundle"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x.bundle is no bundle, or is damaged"):
        import_bundle(path)
    with pytest.raises(DataError, match="There is no bundle at "):
        import_bundle(tmp_path / "nowhere.bundle")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_bundle_cut_short_is_refused(bundle: Path, machine: Callable[[str], Path], share: float) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match="damaged"):
        import_bundle(bundle)
    assert not machine("b").exists()


def test_any_damage_is_refused_or_harmless(bundle: Path) -> None:
    """Bytes changed anywhere: the import fails with an error for people, or what it installs is what was exported."""
    good = bundle.read_bytes()
    expected = {entry.edition: entry.sha256 for entry in import_bundle(bundle)}
    rng = random.Random(5)
    n_refused = 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 1, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        bundle.write_bytes(data)
        try:
            assert {entry.edition: entry.sha256 for entry in import_bundle(bundle)} == expected
        except DataError:
            n_refused += 1
        assert {entry.edition: entry.sha256 for entry in list_installed()} == expected
    assert n_refused > 200


HOSTILE = st.one_of(
    st.text(min_size=1, max_size=40),
    st.lists(st.sampled_from(["..", ".", "", "a", "xstest", "~", "C:", "\\", "nul", "\u202e"]), min_size=1).map(
        "/".join
    ),
).filter(lambda name: name.strip("\x00") and "\x00" not in name)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE)
def test_no_name_writes_anything_outside(bundle: Path, tmp_path: Path, name: str) -> None:
    good = bundle.read_bytes()
    before = {path for path in tmp_path.rglob("*") if path != bundle}
    try:
        remake(bundle, add(name))
        with pytest.raises(DataError):
            import_bundle(bundle)
        assert {path for path in tmp_path.rglob("*") if path != bundle} == before
    finally:
        bundle.write_bytes(good)


MODES = st.sampled_from([stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, 0])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=HOSTILE, mode=MODES, field=st.sampled_from(["path", "edition", "source"]))
def test_no_manifest_writes_anything_outside(bundle: Path, tmp_path: Path, name: str, mode: int, field: str) -> None:
    """The manifest names what is in the bundle, of whatever kind, under the same evil name."""
    good = bundle.read_bytes()
    before = {path for path in tmp_path.rglob("*") if path != bundle}

    def change(members: dict[str, bytes], manifest: Any, more: list[zipfile.ZipInfo]) -> None:
        entry = manifest["editions"][1]
        (entry["files"][0] if field == "path" else entry)[field] = name
        stated = "/".join([entry["source"], entry["edition"], entry["files"][0]["path"]])
        add(stated, mode | 0o644)(members, manifest, more)
        del members[PLACE]

    try:
        remake(bundle, change)
        with pytest.raises(DataError):
            import_bundle(bundle)
        assert {path for path in tmp_path.rglob("*") if path != bundle} == before
    finally:
        bundle.write_bytes(good)
