"""`plan`: from a header alone, on hardware that is not there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import headers
import pytest

pytestmark = pytest.mark.model

Command = Callable[..., Any]
CARD = ("--gpu", "rtx 3060 12gb", "--ram", "16G")


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The header of an 8B model with its vocabulary, and not a byte of its weights."""
    path = tmp_path_factory.mktemp("models") / "llama-8b.gguf"
    headers.write_header(headers.LLAMA_8B, path)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - sum(_weights(headers.LLAMA_8B)) // 32 * 32)
    return path


def _weights(model: headers.Dimensions) -> list[int]:
    return [headers.tensor_bytes(shape, kind) for _, shape, kind in headers._tensors(model)]


def test_a_header_is_planned_onto_a_card_that_is_not_there(llamabench: Command, header: Path) -> None:
    started = time.monotonic()
    done = llamabench("plan", str(header), *CARD, "--suite", "bbq:starter", "--json")
    elapsed_s = time.monotonic() - started
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["verdict"] == "devices"
    assert document["is_imagined"] is True
    assert document["plan"]["n_gpu_layers"] == 33
    assert document["plan"]["is_exact_layout"] is True
    assert document["model"]["size_bytes"] > 4 << 30 > header.stat().st_size
    (card, host) = document["plan"]["layout"]
    assert (card["device"], host["device"]) == ("CUDA0", "CPU")
    # 4403.49 MiB stand in published logs
    assert card["weight_bytes"] / (1 << 20) == pytest.approx(4403.49, abs=0.01)
    speed = document["speed"]["generation_1"]
    assert 40 < speed["low"] < speed["expected"] < speed["high"] < 100
    (suite,) = document["suites"]
    assert suite["suite"]["suite"] == "bbq"
    assert 0 < suite["seconds"]["low"] < suite["seconds"]["expected"] < suite["seconds"]["high"]
    assert {other["quant"] for other in document["quants"]} >= {"Q2_K", "Q8_0", "F16"}
    assert document["flags"].startswith("--gpu-layers 33 --batch ")
    assert elapsed_s < 30


def test_the_picture_says_where_how_fast_and_how_long(llamabench: Command, header: Path) -> None:
    done = llamabench("plan", str(header), *CARD)
    assert (done.code, done.err) == (0, "")
    picture, command = done.out.split("\nThe same plan:\n")
    assert max(map(len, picture.splitlines())) <= 80
    for words in ("All 33 layers on the GPU.", "CUDA0  RTX 3060 12 GB", "writing one text", "bbq (starter)", "Q4_K_M"):
        assert words in picture
    assert command.startswith(f"llamabench run {header} --gpu-layers 33 ")
    # what is printed is taken back
    again = llamabench("plan", str(header), *CARD, *command.split()[3:], "--json")
    assert json.loads(again.out)["plan"]["n_gpu_layers"] == 33


def test_what_does_not_fit_says_what_would(llamabench: Command, header: Path) -> None:
    done = llamabench("plan", str(header), "--vram", "2G", "--ram", "3G")
    assert done.code == 1
    assert "Does not fit." in done.out
    assert "2.0 GiB on CUDA0" in done.out
    assert "Q2_K" in done.out
    document = json.loads(llamabench("plan", str(header), "--vram", "2G", "--ram", "3G", "--json").out)
    assert (document["verdict"], document["plan"], document["suites"]) == ("does_not_fit", None, [])


def test_what_a_person_decided_and_cannot_be_names_what_can(llamabench: Command, header: Path) -> None:
    done = llamabench("plan", str(header), "--vram", "4G", "--ram", "16G", "--gpu-layers", "33")
    assert done.code == 1
    assert "What fits: --gpu-layers" in " ".join(done.out.split())


def test_times_of_suites_add_up(llamabench: Command, header: Path) -> None:
    chosen = ("--suite", "bbq:starter", "--suite", "xstest:starter")
    document = json.loads(llamabench("plan", str(header), *CARD, *chosen, "--json").out)
    times = [one["seconds"] for one in document["suites"]]
    for end in ("low", "expected", "high"):
        assert document["total"][end] == pytest.approx(sum(time[end] for time in times))
    total = next(line for line in llamabench("plan", str(header), *CARD, *chosen).out.splitlines() if "total" in line)
    assert total.split()[1] == str(sum(one["suite"]["n_items"] for one in document["suites"]))
    assert re.search(r"\d+\ss\s+\d+\ss to \d+\ss", total)
    assert "total " not in llamabench("plan", str(header), *CARD, *chosen[:2]).out


def test_times_too_short_to_tell_are_said_so(llamabench: Command) -> None:
    done = llamabench("plan", "demo", "--suite", "bbq:starter", "--limit", "1")
    row = next(line for line in done.out.splitlines() if line.startswith("bbq"))
    assert row.count("<\xa00.1\xa0s") == 2
    assert "0.0" not in row


def test_more_layers_than_there_are_means_all(llamabench: Command, header: Path) -> None:
    every = [
        json.loads(llamabench("plan", str(header), *CARD, "--gpu-layers", n, "--json").out)["plan"]
        for n in ("33", "99", "all")
    ]
    assert every[0]["n_gpu_layers"] == 33
    assert every[0] == every[1] == every[2]
    done = llamabench("plan", str(header), "--vram", "4G", "--ram", "16G", "--gpu-layers", "99")
    assert (done.code, "with 33 layers on devices" in " ".join(done.out.split())) == (1, True)


def test_two_cards_share_a_model(llamabench: Command, tmp_path: Path) -> None:
    path = headers.write_header(headers.LLAMA_70B, tmp_path / "70b.gguf", has_tokens=False)
    done = llamabench("plan", str(path), "--gpu", "RTX 3090", "--gpu", "RTX 4090", "--ram", "64G", "--json")
    document = json.loads(done.out)
    assert [part["device"] for part in document["plan"]["layout"]] == ["CUDA0", "CUDA1", "CPU"]
    assert document["verdict"] == "devices"


def test_a_split_model_is_planned_from_its_headers(llamabench: Command, tmp_path: Path) -> None:
    whole = headers.write_header(headers.QWEN25_3B, tmp_path / "whole.gguf", has_tokens=False)
    headers.split_header(headers.QWEN25_3B, tmp_path / "part", n_parts=3)
    first = tmp_path / "part-00001-of-00003.gguf"
    plans = []
    for path in (whole, first):
        document = json.loads(llamabench("plan", str(path), "--vram", "8G", "--ram", "16G", "--json").out)
        plans.append(document["plan"]["layout"])
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpu", "RTX 9999"), 'No graphics card called "RTX 9999" is in the catalogue.'),
        (("--gpu", "3060"), "may be any of these: RTX 3060 12 GB, RTX 3060 8 GB"),
        (("--suite", "bqb"), "Did you mean bbq?"),
    ],
)
def test_unknown_names_are_refused(llamabench: Command, header: Path, arguments: tuple[str, ...], message: str) -> None:
    done = llamabench("plan", str(header), *arguments)
    assert done.code == 1
    assert message in done.err


def test_a_size_that_is_none_is_refused(llamabench: Command, header: Path) -> None:
    done = llamabench("plan", str(header), "--vram", "lots")
    assert done.code == 2
    assert "'lots' is no size" in done.err
