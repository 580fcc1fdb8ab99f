"""Every example runs, as its first lines say, on the demo model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

EXPECTED = {
    "attack_a_model.py": " of 2 attacks got through",
    "compare_two_models.py": "agreement_sum",
    "read_a_run.py": "'outcome': 'scored'",
    "score_a_model.py": "Report: llamabench-runs/",
    "score_tokens.py": "[10, 11, 12, 17] [14, 15]",
}
"""What each of them prints, in part."""


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.model
@pytest.mark.parametrize("name", EXPECTED)
def test_examples_run(name: str, tmp_path: Path, demo_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert EXPECTED[name] in done.stdout
