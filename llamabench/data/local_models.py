"""Models that other programs keep on this machine: Hugging Face's cache, Ollama, LM Studio. Nothing is fetched.

Layouts: huggingface_hub keeps `models--ORG--REPO/snapshots/REVISION/FILE`, and `refs/main` names a revision;
ollama/ollama, `types/model/name.go` and `server/manifest.go`: a manifest names the layers of a model, the GGUF file is
the one of type `application/vnd.ollama.image.model`; LM Studio keeps `PUBLISHER/REPO/FILE.gguf` below the folder that
its settings name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from llamabench.errors import ModelFileError, UnknownNameError

_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_OLLAMA_HOST, _OLLAMA_LIBRARY, _OLLAMA_TAG = "registry.ollama.ai", "library", "latest"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}$")
_PROJECTOR = "mmproj"


class LocalModel(NamedTuple):
    """A GGUF file that another program keeps, and the name that it is asked for by, such as `ollama:llama3.2:1b`."""

    name: str
    path: Path


def list_local_models() -> Iterator[LocalModel]:
    """Finds the models of all these programs, in order of their names within each.

    Later parts of split models are left out, and so are projectors for pictures, which are no language models.
    """
    for find in _PROGRAMS.values():
        yield from sorted(find())


def is_local_name(name: str) -> bool:
    """Whether a name is of the kind that these programs' models have."""
    return name.partition(":")[0] in _PROGRAMS and ":" in name


def find_local_model(name: str) -> LocalModel | None:
    """The model that a name of this kind means; None for a name of another kind.

    Raises:
        UnknownNameError: The program has no model of that name; a near match is offered.
        ModelFileError: The program keeps no model at all.
    """
    if not is_local_name(name):
        return None
    program, _, rest = name.partition(":")
    models = {model.name: model for model in _PROGRAMS[program]()}
    for wanted in (name, f"{name}:{_OLLAMA_TAG}"):
        if wanted in models:
            return models[wanted]
    if not models:
        raise ModelFileError(f"{_TITLES[program]} keeps no model on this machine, so there is no {rest or 'model'}.")
    raise UnknownNameError.for_name("model", name, models)


# --- Hugging Face -------------------------------------------------------------------------------


def _find_in_hugging_face() -> Iterator[LocalModel]:
    """`hf:REPO/FILE`; of several revisions the one that `main` stands for, or else the newest."""
    for snapshots in sorted(_hub_folder().glob("models--*/snapshots")):
        repo = snapshots.parent.name.removeprefix("models--").replace("--", "/")
        found: dict[str, Path] = {}
        for revision in _revisions(snapshots):
            for path in _walk(revision, "**/*"):
                if _is_model(path):
                    found.setdefault(path.relative_to(revision).as_posix(), path)
        for place, path in found.items():
            yield LocalModel(f"hf:{repo}/{place}", path)


def _hub_folder() -> Path:
    """Where huggingface_hub keeps its cache; asking it would load what opens connections."""
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"]).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser() / "hub"


def _revisions(snapshots: Path) -> list[Path]:
    try:
        main = (snapshots.parent / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        main = ""
    folders = (folder for folder in snapshots.iterdir() if folder.is_dir())
    return sorted(folders, key=lambda one: (one.name == main, one.stat().st_mtime, one.name), reverse=True)


# --- Ollama -------------------------------------------------------------------------------------


def _find_in_ollama() -> Iterator[LocalModel]:
    """`ollama:NAME:TAG`, written as `ollama list` does."""
    for root in _ollama_folders():
        manifests = root / "manifests"
        for path in _walk(manifests, "*/*/*/*"):
            blob = _read_manifest(path, root / "blobs")
            if blob is not None:
                yield LocalModel(f"ollama:{_ollama_name(path.relative_to(manifests).parts)}", blob)


def _ollama_folders() -> list[Path]:
    if os.environ.get("OLLAMA_MODELS"):
        return [Path(os.environ["OLLAMA_MODELS"])]
    # the Linux installer runs Ollama as a user of its own
    return [Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _ollama_name(parts: tuple[str, ...]) -> str:
    host, namespace, model, tag = parts
    if (host, namespace) == (_OLLAMA_HOST, _OLLAMA_LIBRARY):
        return f"{model}:{tag}"
    prefix = namespace if host == _OLLAMA_HOST else f"{host}/{namespace}"
    return f"{prefix}/{model}:{tag}"


def _read_manifest(path: Path, blobs: Path) -> Path | None:
    """The GGUF file of a manifest; None where it has none, or cannot be read."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    layers = manifest.get("layers") if isinstance(manifest, Mapping) else None
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, Mapping) and layer.get("mediaType") == _OLLAMA_MODEL:
            digest = _DIGEST.fullmatch(str(layer.get("digest")))
            blob = blobs / f"sha256-{digest[1]}" if digest else None
            return blob if blob is not None and blob.is_file() else None
    return None


# --- LM Studio ----------------------------------------------------------------------------------


def _find_in_lm_studio() -> Iterator[LocalModel]:
    """`lmstudio:PUBLISHER/REPO/FILE`."""
    found: dict[str, Path] = {}
    for root in _lm_studio_folders():
        for path in _walk(root, "*/*/*.gguf"):
            if _is_model(path):
                found.setdefault(path.relative_to(root).as_posix(), path)
    for place, path in found.items():
        yield LocalModel(f"lmstudio:{place}", path)


def _lm_studio_folders() -> Iterator[Path]:
    for home in (Path.home() / ".lmstudio", Path.home() / ".cache" / "lm-studio"):
        try:
            settings = json.loads((home / "settings.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = None
        chosen = settings.get("downloadsFolder") if isinstance(settings, Mapping) else None
        if isinstance(chosen, str) and chosen:
            yield Path(chosen)
        yield home / "models"


# --- all of them --------------------------------------------------------------------------------


def _walk(folder: Path, pattern: str) -> list[Path]:
    try:
        return [path for path in sorted(folder.glob(pattern)) if path.is_file()]
    except OSError:
        return []


def _is_model(path: Path) -> bool:
    name = path.name.lower()
    is_gguf = name.endswith(".gguf") and not _LATER_PART.search(path.stem)
    return is_gguf and _PROJECTOR not in name


_PROGRAMS: dict[str, Callable[[], Iterator[LocalModel]]] = {
    "hf": _find_in_hugging_face,
    "ollama": _find_in_ollama,
    "lmstudio": _find_in_lm_studio,
}
PREFIXES = ", ".join(f"{program}:" for program in _PROGRAMS)
"""What names of these kinds begin with, as people are told."""

_TITLES = {"hf": "Hugging Face's cache", "ollama": "Ollama", "lmstudio": "LM Studio"}
