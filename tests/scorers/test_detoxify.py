from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from llamabench.errors import DataError, MissingPackageError
from llamabench.scorers.toxicity_detoxify import DetoxifyScorer


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    checkpoint = tmp_path / "unbiased.ckpt"
    checkpoint.write_bytes(b"weights")
    return checkpoint, tmp_path


class FakeDetoxify:
    """Answers as the package does: lists for several texts, bare numbers for one."""

    def __init__(self, **options: str):
        self.options = options

    def predict(self, text: list[str]) -> dict[str, list[float]]:
        assert len(text) > 1
        return {"toxicity": [len(part) / 100 for part in text], "insult": [0.5] * len(text)}


def install(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "detoxify", module)


def test_without_the_package_its_command_is_named(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, None)
    with pytest.raises(MissingPackageError, match=r"-m pip install 'detoxify>=0\.5\.2'$"):
        DetoxifyScorer(*files)


def test_texts_are_scored_in_order(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("detoxify")
    module.Detoxify = FakeDetoxify  # type: ignore[attr-defined]
    install(monkeypatch, module)
    texts = ["x" * (n % 90) for n in range(70)]
    rows = DetoxifyScorer(*files).score(texts)
    assert [row["toxicity"] for row in rows] == [len(text) / 100 for text in texts]
    assert DetoxifyScorer(*files).score(["four"]) == [{"toxicity": 0.04, "insult": 0.5}]
    assert DetoxifyScorer(*files).score([]) == []


def test_nothing_is_downloaded_for_what_is_missing(files: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="no Detoxify checkpoint"):
        DetoxifyScorer(files[1] / "other.ckpt", files[1])
    with pytest.raises(DataError, match="no folder"):
        DetoxifyScorer(files[0], files[1] / "config")
