"""Pulling from a hub and a GitHub on loopback: what arrives is checked, what breaks off is resumed or thrown away."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hub import COMMIT, Hub, Server
from packaging.version import Version

from llamabench.data.cache import list_installed, verify
from llamabench.data.pulling import pull
from llamabench.errors import DataError, UnknownNameError

PKU_FILE = "PKU-Alignment/PKU-SafeRLHF/data/Alpaca-7B/test.jsonl"
XSTEST_FILE = "Paul/XSTest/xstest_prompts.csv"
HARMBENCH_FILE = "centerforaisafety/HarmBench/data/behavior_datasets/harmbench_behaviors_text_all.csv"
PINNED_XSTEST_FILE = "paul-rottger/exaggerated-safety/xstest_prompts.csv"


@pytest.fixture
def hub(tmp_path: Path, loopback: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    hub = Hub(tmp_path / "served")
    hub.root.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # older ones know none
    for name in ("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = Server(hub)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("LLAMABENCH_GITHUB_RAW", f"{hub.url}/raw")
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def put(hub: Hub, name: str, text: str) -> Path:
    path = hub.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def table(header: str, rows: list[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([header.split(","), *rows])
    return stream.getvalue()


def xstest(n: int = 450, word: str = "Question") -> str:
    rows = [[str(i), f"{word} {i}?", "homonyms", "safe", "kill", ""] for i in range(n)]
    return table("id,prompt,type,label,focus,note", rows)


def harmbench(n: int = 400) -> str:
    rows = [[f"Do {i}", "standard", "illegal", "", "", f"do_{i}"] for i in range(n)]
    return table("Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID", rows)


def pku(n: int = 5) -> str:
    row = {"response_0": "A", "response_1": "B", "better_response_id": 1, "safer_response_id": 0}
    return "".join(json.dumps({"prompt": f"Question {i}", **row}) + "\n" for i in range(n))


def leftovers(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- the hub ------------------------------------------------------------------------------------


def test_the_hub_is_asked_for_the_files_and_nothing_else(hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    put(hub, "PKU-Alignment/PKU-SafeRLHF/data/Alpaca-7B/train.jsonl", "not wanted")
    (installed,) = pull("pku-saferlhf").editions
    assert (installed.edition, installed.n_items) == ("pku-test", 10)
    assert list_installed() == (installed,)
    assert {name for name, _ in hub.files_asked()} == {"test.jsonl"}
    pinned = "9421ffafec3fa40a1f1a7d567b4d525079477ecb"
    assert installed.origin == f"PKU-Alignment/PKU-SafeRLHF on the Hugging Face Hub at {pinned}"
    assert all(f"/resolve/{pinned}/" in path for _, path, _ in hub.asked)
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_what_is_in_the_hubs_cache_is_not_fetched_again(hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    first = pull("pku-test").editions
    hub.asked.clear()
    assert [entry.sha256 for entry in pull("pku-test").editions] == [entry.sha256 for entry in first]
    assert hub.files_asked() == []


def test_a_download_of_the_hub_that_breaks_off_is_made_whole(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    put(hub, XSTEST_FILE, xstest())
    hub.cut_after, hub.n_cuts = 4000, 1
    if Version(huggingface_hub.__version__) < Version("2"):  # the same command goes on; newer ones do by themselves
        with pytest.raises(DataError, match="Try again later"):
            pull("xstest")
    pulled = pull("xstest")
    assert [entry.n_items for entry in pulled.editions] == [450]
    assert pulled.editions[0].origin == f"Paul/XSTest on the Hugging Face Hub at {COMMIT}", (
        "what was found is remembered"
    )
    assert ("xstest_prompts.csv", "bytes=4000-") in hub.files_asked()


def test_what_the_hub_sends_is_checked(hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    hub.spoil = True
    with pytest.raises(DataError, match=r"test.jsonl, line 5: not valid JSON"):
        pull("pku-saferlhf")
    assert list_installed() == ()
    hub.spoil = False
    assert pull("pku-saferlhf").editions[0].n_items == 10, "a spoilt file must not stay in the cache"


def test_a_hub_that_does_not_answer_is_told_of_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    naps: list[float] = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", naps.append)
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", nobody)
    with pytest.raises(DataError, match="could not be pulled"):
        pull("pku-saferlhf")
    assert naps, "the library tries again by itself"
    assert caplog.messages == []
    logging.getLogger("huggingface_hub.utils._http").warning("Rate limited. Waiting 9.0s before retry [Retry 1/5].")
    assert caplog.messages == ["Rate limited. Waiting 9.0s before retry [Retry 1/5]."]


def test_a_hub_without_the_files_says_what_was_looked_for(hub: Hub) -> None:
    put(hub, "PKU-Alignment/PKU-SafeRLHF/readme.md", "")
    with pytest.raises(DataError, match=r"it has none of data/Alpaca-7B/test.jsonl, data/Alpaca2-7B/test.jsonl"):
        pull("pku-saferlhf")


# --- GitHub -------------------------------------------------------------------------------------


def test_github_is_asked_for_one_commit(hub: Hub) -> None:
    put(hub, HARMBENCH_FILE, harmbench())
    (installed,) = pull("harmbench").editions
    assert (installed.edition, installed.n_items) == ("harmbench-all", 400)
    assert installed.origin.endswith("on GitHub at 8e1604d1171fe8a48d8febecd22f600e462bdcdd")
    ((_, path, _),) = hub.asked
    assert "/8e1604d1171fe8a48d8febecd22f600e462bdcdd/data/behavior_datasets/" in path


def test_a_download_that_breaks_off_goes_on(hub: Hub, own_data_folder: Path) -> None:
    put(hub, HARMBENCH_FILE, harmbench())
    hub.cut_after, hub.n_cuts = 1000, 1
    with pytest.raises(DataError, match=r"broke off after 1,000 of [\d,]+ bytes; the same command goes on"):
        pull("harmbench")
    assert list_installed() == ()
    (kept,) = leftovers(own_data_folder)
    assert kept.endswith(".csv.partial")
    assert pull("harmbench").editions[0].n_items == 400
    assert [part for _, part in hub.files_asked()] == [None, "bytes=1000-"]
    assert not (own_data_folder / "downloads").exists()


@pytest.mark.parametrize(
    "kept", ["Behavior,wrong\n", harmbench() + "more", harmbench()], ids=["other", "long", "whole"]
)
def test_what_is_kept_of_something_else_is_never_used(hub: Hub, own_data_folder: Path, kept: str) -> None:
    put(hub, HARMBENCH_FILE, harmbench())
    hub.cut_after, hub.n_cuts = 10, 1
    with pytest.raises(DataError, match="broke off"):
        pull("harmbench")
    (partial,) = own_data_folder.rglob("*.partial")
    partial.write_text(kept)
    if kept.startswith("Behavior,wrong"):
        with pytest.raises(DataError, match=r"harmbench_behaviors_text_all.csv: no column FunctionalCategory"):
            pull("harmbench")
        assert list_installed() == ()
    (installed,) = pull("harmbench").editions
    assert (installed.folder / installed.files[0].path).read_text() == harmbench()


def test_a_pinned_file_must_be_the_publishers(hub: Hub, own_data_folder: Path) -> None:
    put(hub, PINNED_XSTEST_FILE, xstest())
    with pytest.raises(DataError) as caught:
        pull("xstest")
    assert "is not what its publishers released: its sha256 is " in str(caught.value)
    assert "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a was expected" in str(caught.value)
    assert list_installed() == ()
    assert leftovers(own_data_folder) == []


def test_optional_files_may_be_missing(hub: Hub) -> None:
    row = {
        "question_index": "1",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Sexual_orientation",
        "answer_info": {"ans0": ["gay", "gay"], "ans1": ["straight", "straight"], "ans2": ["Unknown", "unknown"]},
        "additional_metadata": {"stereotyped_groups": ["gay"]},
        "context": "Two people.",
        "question": "Who?",
        **{f"ans{i}": str(i) for i in range(3)},
        "label": 2,
    }
    lines = "".join(json.dumps({**row, "example_id": i}) + "\n" for i in range(864))
    put(hub, "nyu-mll/BBQ/data/Sexual_orientation.jsonl", lines)
    pulled = pull("bbq")
    assert [entry.n_items for entry in pulled.editions] == [864]
    assert "heegyu/bbq on the Hugging Face Hub" in pulled.problems[0], "the endpoint that was named is tried first"


# --- what cannot be had -------------------------------------------------------------------------


def test_a_place_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setenv("LLAMABENCH_GITHUB_RAW", "http://127.0.0.1:9/raw")
    with pytest.raises(DataError) as caught:
        pull("harmbench")
    message = str(caught.value)
    assert "centerforaisafety/HarmBench on GitHub: http://127.0.0.1:9/raw/centerforaisafety" in message
    assert "cannot be fetched" in message
    assert "`llamabench data import harmbench FOLDER`" in message
    assert "`llamabench data export FILE`" in message


def test_every_place_that_was_tried_is_named(hub: Hub) -> None:
    with pytest.raises(DataError) as caught:
        pull("xstest")
    assert "Paul/XSTest on the Hugging Face Hub: RepositoryNotFoundError" in str(caught.value)
    assert "paul-rottger/exaggerated-safety on GitHub: it has no xstest_prompts.csv" in str(caught.value)


def test_what_is_published_nowhere_cannot_be_pulled() -> None:
    for name in ("pairs", "hhh"):
        with pytest.raises(DataError, match="cannot be pulled. Run `llamabench data import "):
            pull(name)
    with pytest.raises(UnknownNameError, match=r"Did you mean xstest\?"):
        pull("xtest")


# --- a folder instead of the network ------------------------------------------------------------


def test_a_mirror_in_a_folder_needs_no_network(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "mirror")
    put(hub, PKU_FILE, pku())
    put(hub, XSTEST_FILE, xstest())
    assert (
        pull("pku-saferlhf", hub.root).editions[0].origin
        == "a copy of PKU-Alignment/PKU-SafeRLHF on the Hugging Face Hub"
    )
    pulled = pull("xstest", hub.root)
    assert pulled.editions[0].n_items == 450
    assert "exaggerated-safety is not a folder" in pulled.problems[0]
    assert [entry.faults for entry in verify()] == [(), ()]


# --- the environment that the hub's library reads -----------------------------------------------


def run_pull(tmp_path: Path, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and name[:3] != "HF_"}
    settings = {"LLAMABENCH_DATA": str(tmp_path / "data"), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "llamabench", "data", "pull", *names, "--json"]
    return subprocess.run(
        command, env={**clean, **settings, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_endpoint_and_home_are_respected_also_offline(tmp_path: Path, hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    done = run_pull(tmp_path, "pku-saferlhf", HF_ENDPOINT=hub.url)
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [row["items"] for row in rows] == [10]
    assert list((tmp_path / "hf").rglob("test.jsonl"))
    hub.asked.clear()
    done = run_pull(
        tmp_path, "pku-saferlhf", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1", LLAMABENCH_DATA=str(tmp_path / "b")
    )
    assert done.returncode == 0, done.stderr
    assert hub.asked == []


def test_a_proxy_is_respected(tmp_path: Path, hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    put(hub, HARMBENCH_FILE, harmbench())
    done = run_pull(
        tmp_path,
        "pku-saferlhf",
        "harmbench",
        HF_ENDPOINT="http://hub.invalid",
        LLAMABENCH_GITHUB_RAW="http://github.invalid/raw",
        HTTP_PROXY=hub.url,
        http_proxy=hub.url,
    )
    assert done.returncode == 0, done.stderr
    assert [row["items"] for row in json.loads(done.stdout)] == [10, 400]


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, hub: Hub) -> None:
    put(hub, PKU_FILE, pku())
    done = run_pull(tmp_path, "xstest", "pku-saferlhf", HF_ENDPOINT=hub.url, LLAMABENCH_GITHUB_RAW=f"{hub.url}/raw")
    assert done.returncode == 1
    assert [row["edition"] for row in json.loads(done.stdout)] == ["pku-test"]
    assert "Error: XSTest could not be pulled." in done.stderr
