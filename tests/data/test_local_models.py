from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llamabench.data.local_models import find_local_model, list_local_models
from llamabench.data.models import find_model
from llamabench.errors import ModelFileError, UnknownNameError

_DIGEST = "a" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def keep(path: Path, content: bytes = b"GGUF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def keep_on_hub(home: Path, repo: str, file: str, *, revision: str = "1" * 40, is_main: bool = True) -> Path:
    folder = home / ".cache" / "huggingface" / "hub" / f"models--{repo.replace('/', '--')}"
    blob = keep(folder / "blobs" / (revision + file.replace("/", "-")))
    link = folder / "snapshots" / revision / file
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    if is_main:
        keep(folder / "refs" / "main", revision.encode())
    return link


def keep_in_ollama(root: Path, name: str, digest: str | None = _DIGEST, media: str = "model") -> Path:
    layer = {"mediaType": f"application/vnd.ollama.image.{media}", "digest": f"sha256:{digest}"}
    keep(root / "manifests" / name, json.dumps({"schemaVersion": 2, "layers": [layer]}).encode())
    return keep(root / "blobs" / f"sha256-{digest}")


def names() -> list[str]:
    return [model.name for model in list_local_models()]


def test_nothing_is_kept_here() -> None:
    assert names() == []


def test_hugging_faces_cache(home: Path) -> None:
    link = keep_on_hub(home, "org/tiny-GGUF", "Q4/tiny-Q4_K_M.gguf")
    keep_on_hub(home, "org/tiny-GGUF", "README.md")
    assert names() == ["hf:org/tiny-GGUF/Q4/tiny-Q4_K_M.gguf"]
    assert find_local_model("hf:org/tiny-GGUF/Q4/tiny-Q4_K_M.gguf") == (names()[0], link)


@pytest.mark.parametrize(("name", "value"), [("HF_HOME", "elsewhere"), ("HF_HUB_CACHE", "elsewhere/hub")])
def test_hugging_faces_cache_can_be_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    keep_on_hub(home, "org/x", "x.gguf")
    (home / "elsewhere").mkdir()
    (home / ".cache" / "huggingface" / "hub").rename(home / "elsewhere" / "hub")
    assert names() == []
    monkeypatch.setenv(name, str(home / value))
    assert names() == ["hf:org/x/x.gguf"]


def test_of_several_revisions_main_counts(home: Path) -> None:
    main = keep_on_hub(home, "org/x", "x.gguf", revision="1" * 40)
    keep_on_hub(home, "org/x", "x.gguf", revision="2" * 40, is_main=False)
    found = find_local_model("hf:org/x/x.gguf")
    assert found is not None
    assert found.path == main


def test_parts_and_projectors_are_no_models_of_their_own(home: Path) -> None:
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "mmproj-m-f16.gguf"):
        keep(home / ".lmstudio" / "models" / "org" / "repo" / name)
    assert names() == ["lmstudio:org/repo/m-00001-of-00002.gguf"]


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ("registry.ollama.ai/library/llama3.2/1b", "ollama:llama3.2:1b"),
        ("registry.ollama.ai/somebody/own/latest", "ollama:somebody/own:latest"),
        ("hf.co/org/repo-GGUF/Q4_K_M", "ollama:hf.co/org/repo-GGUF:Q4_K_M"),
    ],
)
def test_ollama(home: Path, manifest: str, name: str) -> None:
    blob = keep_in_ollama(home / ".ollama" / "models", manifest)
    assert find_local_model(name) == (name, blob)
    assert names() == [name]


def test_ollamas_latest_needs_no_tag(home: Path) -> None:
    keep_in_ollama(home / ".ollama" / "models", "registry.ollama.ai/library/llama3.2/latest")
    found = find_local_model("ollama:llama3.2")
    assert found is not None
    assert found.name == "ollama:llama3.2:latest"


def test_ollamas_folder_can_be_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_in_ollama(home / "elsewhere", "registry.ollama.ai/library/m/latest")
    monkeypatch.setenv("OLLAMA_MODELS", str(home / "elsewhere"))
    assert names() == ["ollama:m:latest"]


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "abc", None])
def test_a_manifest_leads_nowhere_else(home: Path, digest: str | None) -> None:
    root = home / ".ollama" / "models"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    keep(root / "manifests" / "registry.ollama.ai" / "library" / "m" / "x", json.dumps({"layers": [layer]}).encode())
    assert names() == []


@pytest.mark.parametrize("content", [b"", b"[]", b'{"layers": 5}', b'{"layers": [5]}', b"\xff"])
def test_a_damaged_manifest_is_passed_over(home: Path, content: bytes) -> None:
    keep(home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "m" / "x", content)
    assert names() == []


def test_a_model_whose_file_is_gone_is_passed_over(home: Path) -> None:
    keep_in_ollama(home / ".ollama" / "models", "registry.ollama.ai/library/m/latest").unlink()
    assert names() == []


def test_a_manifest_without_a_model_is_passed_over(home: Path) -> None:
    keep_in_ollama(home / ".ollama" / "models", "registry.ollama.ai/library/m/latest", media="adapter")
    assert names() == []


def test_lm_studios_folder_can_be_elsewhere(home: Path) -> None:
    path = keep(home / "big disk" / "org" / "repo" / "m.gguf")
    keep(home / ".lmstudio" / "settings.json", json.dumps({"downloadsFolder": str(home / "big disk")}).encode())
    assert find_local_model("lmstudio:org/repo/m.gguf") == ("lmstudio:org/repo/m.gguf", path)


def test_a_name_of_another_kind_is_not_for_these() -> None:
    assert find_local_model("demo") is None
    assert find_local_model("c:model.gguf") is None


def test_an_unknown_name_offers_a_near_one(home: Path) -> None:
    keep_in_ollama(home / ".ollama" / "models", "registry.ollama.ai/library/llama3.2/1b")
    with pytest.raises(UnknownNameError, match=r"Did you mean ollama:llama3\.2:1b"):
        find_local_model("ollama:llama3.2:1")


def test_a_program_without_models_says_so() -> None:
    with pytest.raises(ModelFileError, match="Ollama keeps no model on this machine"):
        find_local_model("ollama:llama3.2")


def test_such_a_name_is_a_model(home: Path) -> None:
    blob = keep_in_ollama(home / ".ollama" / "models", "registry.ollama.ai/library/llama3.2/1b")
    found = find_model("ollama:llama3.2:1b")
    assert (found.path, found.name) == (blob, "ollama:llama3.2:1b")
