"""A machine without a network: data come over in a bundle, and everything runs there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from llamabench.cli.main import group
from llamabench.data.bundle import export_bundle
from llamabench.data.cache import import_source
from llamabench.suites import SUITES

pytestmark = [pytest.mark.model, pytest.mark.slow]

PUBLISHED = {
    "truthfulqa": "truthfulqa",
    "bbq": "bbq/data/Age.jsonl",
    "hh-rlhf": "preference/hh-rlhf",
    "hhh-alignment": "preference/hhh_alignment",
    "bold": "bold",
    "realtoxicityprompts": "realtoxicityprompts",
    "xstest": "redteam/xstest",
    "advbench": "redteam/advbench",
    "harmbench": "redteam/harmbench",
    "jailbreakbench": "redteam/jailbreakbench",
    "strongreject": "redteam/strongreject",
    "do-not-answer": "redteam/do-not-answer",
}
"""The data sets that suites use, and where a developer has them beside the checkout."""

_INTERFACES = "print(*(line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]))"


def without_network() -> list[str]:
    """A command that runs another where there is no network interface; skips the test where that is not allowed."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        probe = [*command, sys.executable, "-c", _INTERFACES]
        if shutil.which(command[0]) and subprocess.run(probe, capture_output=True, check=False).stdout == b"lo\n":
            return command
    pytest.skip("this system allows no network namespaces")


def test_data_are_carried_over_and_every_suite_runs_without_a_network(
    tmp_path: Path, shared_data: Path, own_data_folder: Path
) -> None:
    isolated = without_network()
    for source, place in PUBLISHED.items():
        import_source(source, shared_data / place)
    bundle = export_bundle(tmp_path / "carried.bundle")
    environment = {**os.environ, "HOME": str(tmp_path), "LLAMABENCH_DATA": str(tmp_path / "there")}

    def call(*arguments: str) -> str:
        command = [*isolated, sys.executable, "-m", "llamabench", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    imported = json.loads(call("data", "import", str(bundle.path), "--json"))
    assert [row["sha256"] for row in imported] == [entry.sha256 for entry in bundle.editions]
    assert "damaged" not in call("data", "verify")
    document = json.loads(call("run", "demo", "--limit", "6", "--quiet", "--json"))
    suites = {choice["name"]: choice for choice in document["run"]["suites"]}
    assert set(suites) == set(SUITES)
    for name, suite in SUITES.items():
        if set(suite.DATA_SOURCES) & set(PUBLISHED):
            assert suites[name]["edition"] != "starter"
        assert suites[name]["n_items"] == 6
    assert {score["suite"] for score in document["scores"] if score["errored"] == 0} == set(SUITES)


def test_a_pull_without_a_network_says_so(tmp_path: Path) -> None:
    command = [*without_network(), sys.executable, "-m", "llamabench", "data", "pull", "harmbench"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: HarmBench, text behaviours could not be pulled.")
    assert "llamabench data export FILE" in done.stderr
    assert "Traceback" not in done.stderr


# --- every command ------------------------------------------------------------------------------

ARGUMENTS: dict[str, list[str]] = {
    "model": ["demo"],
    "run": ["{run}"],
    "results": ["{attacks}"],
    "base": ["{run}"],
    "others": ["{other}"],
    "folder": ["runs"],
    "files": ["tests.toml"],
    "file": ["out.bundle"],
    "what": ["in.bundle"],
}
"""What to give for an argument, by its name, whichever command it belongs to."""

OPTIONS: dict[tuple[str, ...], list[str]] = {
    ("run",): ["--suite", "preference", "--limit", "2"],
    ("redteam",): ["--attack-count", "2", "--max-tokens", "4"],
    ("score",): ["--judge", "demo", "--format", "rubric", "--ask", "refused"],
    ("export",): ["--format", "json"],
    ("bench",): ["--prompt", "16", "--generate", "4", "--repetitions", "1", "--sustain", "0"],
}
"""What makes a command quick, or is required."""

NETWORKED = {
    ("data", "pull"): "fetches what is published",
    ("rpc-server",): "serves others",
    ("worker",): "serves others",
}
"""Commands that are for the network, and why."""

_RECORD = """
import os, sys
def note(event, arguments):
    if event.startswith("socket."):
        with open(os.environ["SOCKET_LOG"], "a") as log:
            log.write(f"{event} {arguments!r} in {sys.argv}\\n")
sys.addaudithook(note)
"""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands that do something, with what to type for them."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from walk(inner, (*path, name))


LOCAL = {path: command for path, command in walk(group) if path not in NETWORKED}


class Place(NamedTuple):
    """A folder to work in, what to call llamabench with there, and where sockets are recorded."""

    folder: Path
    environment: dict[str, str]
    log: Path

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*isolation(), sys.executable, "-m", "llamabench", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@cache
def isolation() -> tuple[str, ...]:
    """What takes the network away from a command, nothing where the system does not allow that."""
    try:
        return tuple(without_network())
    except pytest.skip.Exception:
        return ()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("offline")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(_RECORD)
    log = folder / "sockets.txt"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "LLAMABENCH_DATA": str(folder / "data"),
        "PYTHONPATH": str(folder / "hook"),
        "SOCKET_LOG": str(log),
    }
    there = Place(folder, environment, log)
    (folder / "pairs.jsonl").write_text('{"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."}\n')
    (folder / "tests.toml").write_text(
        '[[test]]\nid = "a"\ncategory = "safety"\nkind = "contains"\nprompt = "Hi"\nany = ["Hi"]\nexpected = "Hi"\n'
    )
    for arguments in (
        ("data", "import", "pairs", "pairs.jsonl"),
        ("data", "export", "in.bundle"),
        ("run", "demo", "--suite", "xstest:starter", "--limit", "2", "--out", "runs", "--quiet"),
        ("run", "demo", "--suite", "xstest:starter", "--limit", "2", "--exact", "--out", "others", "--quiet"),
        ("redteam", "demo", "--attack-count", "2", "--max-tokens", "4", "--out", "attacked", "--quiet"),
    ):
        done = there.call(*arguments)
        assert done.returncode == 0, done.stderr
    return there


def test_sockets_would_be_recorded(place: Place, tmp_path: Path) -> None:
    environment = {**place.environment, "SOCKET_LOG": str(tmp_path / "log")}
    command = "import multiprocessing as m, socket\nif __name__ == '__main__': socket.socket()"
    subprocess.run([sys.executable, "-c", command], env=environment, check=True)
    assert "socket.__new__" in (tmp_path / "log").read_text()


def find_run(folder: Path) -> Path:
    (database, *_) = sorted(folder.rglob("run.sqlite"))
    return database.parent


@pytest.mark.parametrize("path", LOCAL, ids=" ".join)
def test_a_command_on_local_files_opens_no_socket(path: tuple[str, ...], place: Place) -> None:
    places = {"run": "runs", "other": "others", "attacks": "attacked"}
    folders = {name: find_run(place.folder / folder) for name, folder in places.items()}
    arguments = []
    for parameter in LOCAL[path].params:
        if isinstance(parameter, click.Argument) and (parameter.required or parameter.name == "model"):
            assert parameter.name in ARGUMENTS, f"say in ARGUMENTS what to give for {parameter.name}"
            arguments += [text.format(**folders) for text in ARGUMENTS[parameter.name]]
    done = place.call(*path, *arguments, *OPTIONS.get(path, []))
    assert done.returncode == 0 or path == ("doctor",), done.stderr  # which may find something to complain of here
    assert "Traceback" not in done.stderr
    assert not place.log.exists(), place.log.read_text()


def test_what_is_for_the_network_exists() -> None:
    assert set(NETWORKED) <= {path for path, _ in walk(group)}


def test_libraries_are_told_to_keep_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    script = (
        "import sys\nsys.argv = ['llamabench', '--version']\nfrom llamabench.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "from huggingface_hub import constants\nprint(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True\n")
