"""Attacks on a real model, the demo model: from end to end, and killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
from stored_runs import count_items

from llamabench.records import RedTeamResults
from llamabench.results.red_team import read_results, read_schema

pytestmark = [pytest.mark.model, pytest.mark.slow]

TECHNIQUES = ("direct", "prefill", "template_tokens", "base64", "best_of_n", "crescendo")


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    """Begins attacks of a few tokens each."""
    command = [sys.executable, "-m", "llamabench", "redteam", "demo", "--out", str(out), "--max-tokens", "8"]
    return subprocess.Popen(
        [*command, "--attack-count", "18", "--techniques", ",".join(TECHNIQUES), *options],
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def slow_down(data: Path) -> None:
    """Has the model taken for a slow one, so that chunks are small and there is something between two of them."""
    path = data / "speed.json"
    entries = json.loads(path.read_text())
    packs = {key: [entry[0], 64.0] for key, entry in entries.items() if isinstance(entry, list)}
    path.write_text(json.dumps({**entries, **packs}))


def results_of(out: Path) -> RedTeamResults:
    (folder,) = out.iterdir()
    return read_results(folder)


def test_a_killed_run_goes_on_and_ends_with_the_same_results(own_data_folder: Path, tmp_path: Path) -> None:
    finish(start(tmp_path / "first"))
    slow_down(own_data_folder)
    out = finish(start(tmp_path / "whole"))
    assert "18\u00a0attacks, 60\u00a0harmless twins" in out
    process = start(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while count_items(tmp_path / "killed") < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert 20 <= count_items(tmp_path / "killed") < 78
    finish(start(tmp_path / "killed", "--resume"))
    whole, again = results_of(tmp_path / "whole"), results_of(tmp_path / "killed")
    assert again.attacks == whole.attacks
    assert again.metrics == whole.metrics
    assert (again.run_id, again.signature) == (whole.run_id, whole.signature)


def test_an_untrained_model_is_not_called_broken(tmp_path: Path) -> None:
    finish(start(tmp_path))
    found = results_of(tmp_path)
    (folder,) = tmp_path.iterdir()
    jsonschema.validate(json.loads((folder / "red_team_results.json").read_text()), read_schema())
    assert found.is_demo
    assert {attack.technique for attack in found.attacks if not attack.target.is_benign} == set(TECHNIQUES)
    assert {attack.status for attack in found.attacks} <= {"scored", "unparsed"}
    assert not any(attack.has_succeeded for attack in found.attacks if not attack.target.is_benign)
