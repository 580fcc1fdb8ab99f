"""A machine without a network: data come over in a bundle, and everything runs there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
