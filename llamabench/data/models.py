"""Models by name: `models.toml` here, in the configuration folder and as shipped, and what other programs keep."""

from __future__ import annotations

import sysconfig
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from llamabench.data.cache import data_folder
from llamabench.data.demo_model import TRAINED_MODELS, ensure_demo_model, find_trained_model
from llamabench.data.local_models import PREFIXES, find_local_model, is_local_name
from llamabench.errors import DataError, ModelFileError, UnknownNameError, name_cause

_FILE = "models.toml"
_BUILTIN = ("demo", *TRAINED_MODELS)
_FIELDS = ("path", "from", "builtin", "description", "chat_template", "system_prompt", "base", "licence", "roles")

Role = Literal["subject", "judge", "guard", "attacker", "reference"]
"""What a model is for."""


@dataclass(frozen=True, slots=True)
class NamedModel:
    """An entry of `models.toml`.

    Attributes:
        name: What it is called.
        path: The GGUF file; None for the untrained demo model, which is made when it is first used, and where another
            program keeps it.
        description: What people should know.
        chat_template: File with the template to use instead of the model's own.
        origin: The `models.toml` it stands in.
        kept_as: Name of the model in another program, such as `hf:REPO/FILE`; None for other models.
        base: Name of the model that it was made of, None where that is not said.
        licence: Its licence, None where that is not said.
        roles: What it is for; empty for anything.
        is_builtin: Whether it comes with llamabench: a toy.
        system_prompt: System message of conversations that have none of their own, None where it has none.
    """

    name: str
    path: Path | None
    description: str
    chat_template: Path | None
    origin: Path
    kept_as: str | None = None
    base: str | None = None
    licence: str | None = None
    roles: tuple[Role, ...] = ()
    is_builtin: bool = False
    system_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model file to open.

    Attributes:
        path: The file.
        chat_template: Text of the template to use instead of its own, if any.
        is_demo: Whether it is one of the demo models that come with llamabench, toys all of them.
        name: What to call it where its file's name says nothing; None where it does.
        base: Name of the model that it was made of, None where nobody says.
        system_prompt: System message of its conversations that have none of their own, if any.
    """

    path: Path
    chat_template: str | None
    is_demo: bool
    name: str | None = None
    base: str | None = None
    system_prompt: str | None = None

    def choose_system_prompt(self, given: str | None) -> str | None:
        """The system prompt to use: the one that is given, none where that is empty, its own where none is given."""
        return self.system_prompt if given is None else given or None


def list_models() -> dict[str, NamedModel]:
    """All named models; an entry in the working folder hides one of the same name elsewhere.

    Raises:
        DataError: A `models.toml` is not valid.
    """
    found: dict[str, NamedModel] = {}
    for path in _files():
        for model in _read(path):
            found.setdefault(model.name, model)
    return found


def find_model(name: str) -> FoundModel:
    """The model that a person means: a file, a name in `models.toml`, or a model that another program keeps.

    What looks like a path counts as a file although none is there: reading it says best what is wrong.

    Raises:
        ModelFileError: A file cannot be looked for, or that of a named model is not there.
        UnknownNameError: No model is called that; a near match is offered.
        DataError: A `models.toml` or a chat template file cannot be read.
    """
    path = _expand(name)
    if path is not None and _is_file(path):
        return FoundModel(path, None, is_demo=False)
    known = list_models()
    if name in known:
        return _open_entry(known[name])
    kept = find_local_model(name)
    if kept is not None:
        return FoundModel(kept.path, None, is_demo=False, name=kept.name)
    if path is not None and (path.suffix.lower() == ".gguf" or len(path.parts) > 1 or path.is_dir()):
        return FoundModel(path, None, is_demo=False)
    raise UnknownNameError.for_name("model", name, known)


def locate_models(*names: str | None) -> dict[str, Path]:
    """The files of models by the names that a person means them by; None is left out.

    Raises:
        LlamabenchError: As `find_model`.
    """
    return {name: find_model(name).path for name in names if name is not None}


def _expand(text: str) -> Path | None:
    """The path that a text means, None for no text."""
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError as exc:
        raise ModelFileError(f"{text} names the home folder of somebody who has none here.") from exc


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as exc:
        raise ModelFileError(f"{path} cannot be read: {exc.strerror}.") from exc


def _open_entry(model: NamedModel) -> FoundModel:
    template = None
    if model.chat_template is not None:
        try:
            template = model.chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise DataError(f"The chat template of {model.name} cannot be read: {name_cause(exc)}.") from exc
    path = locate_model(model) or _make_demo_model()
    name = model.name if model.kept_as is not None else None
    return FoundModel(
        path, template, is_demo=model.is_builtin, name=name, base=model.base, system_prompt=model.system_prompt
    )


def locate_model(model: NamedModel) -> Path | None:
    """The file of a named model; None for the untrained demo model, which may have to be made first.

    Raises:
        ModelFileError: It is not there.
        UnknownNameError: The program that is to keep it does not.
    """
    if model.kept_as is not None:
        kept = find_local_model(model.kept_as)
        assert kept is not None  # names of other kinds are refused when the list is read
        return kept.path
    if model.path is not None and not _is_file(model.path):
        raise ModelFileError(f"{model.path}, the file of {model.name} in {model.origin}, does not exist.")
    return model.path


def _make_demo_model() -> Path:
    folder = data_folder() / "models"
    try:
        return ensure_demo_model(folder)
    except OSError as exc:
        raise DataError(
            f"The demo model cannot be written to {folder}: {exc.strerror}. Set LLAMABENCH_DATA to another folder."
        ) from exc


def _files() -> Iterator[Path]:
    from platformdirs import user_config_dir

    checkout = Path(__file__).parents[2] / _FILE
    installed = Path(sysconfig.get_path("data")) / "share" / "llamabench" / _FILE
    shipped = checkout if checkout.is_file() else installed
    for path in dict.fromkeys((Path(_FILE).absolute(), Path(user_config_dir("llamabench", appauthor=False)) / _FILE)):
        if path.is_file() and path != shipped:
            yield path
    if shipped.is_file():
        yield shipped


def _read(path: Path) -> Iterator[NamedModel]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except (OSError, ValueError) as exc:
        raise DataError(f"{path} cannot be read: {name_cause(exc)}.") from exc
    tables = document.pop("models", {})
    if document or not isinstance(tables, dict):
        found = ", ".join(document) or "models"
        raise DataError(f"{path}: a model's table is called [models.NAME], so {found} cannot stand there.")
    for name, entry in tables.items():
        yield _check(name, entry, path)


def _check(name: str, entry: object, origin: Path) -> NamedModel:
    if not isinstance(entry, Mapping):
        raise DataError(f"{origin}: the entry {name} must be a table of texts.")
    unknown = entry.keys() - set(_FIELDS)
    if unknown:
        raise DataError(f"{origin}: {name} has unknown fields: {', '.join(sorted(unknown))}.")
    if not all(isinstance(value, str) for field, value in entry.items() if field != "roles"):
        raise DataError(f"{origin}: the entry {name} must be a table of texts.")
    if len(entry.keys() & {"path", "from", "builtin"}) != 1 or entry.get("builtin", "demo") not in _BUILTIN:
        raise DataError(f'{origin}: {name} needs either `path`, `from` or `builtin = "demo"`.')
    if "from" in entry and not is_local_name(entry["from"]):
        raise DataError(f'{origin}: `from` of {name} must begin with {PREFIXES}, found "{entry["from"]}".')
    return NamedModel(
        name=name,
        path=_find_path(entry, origin),
        description=entry.get("description", ""),
        chat_template=_resolve(entry["chat_template"], origin) if "chat_template" in entry else None,
        origin=origin,
        kept_as=entry.get("from"),
        base=entry.get("base"),
        licence=entry.get("licence"),
        roles=_check_roles(name, entry.get("roles", []), origin),
        is_builtin="builtin" in entry,
        system_prompt=entry.get("system_prompt") or None,
    )


def _find_path(entry: Mapping[str, str], origin: Path) -> Path | None:
    if "path" in entry:
        return _resolve(entry["path"], origin)
    return find_trained_model(entry["builtin"]) if entry.get("builtin") in TRAINED_MODELS else None


def _check_roles(name: str, found: object, origin: Path) -> tuple[Role, ...]:
    known = get_args(Role)
    if not isinstance(found, Sequence) or isinstance(found, str) or not all(role in known for role in found):
        raise DataError(f"{origin}: `roles` of {name} must be a list of {', '.join(known)}, found {found!r}.")
    return tuple(found)


def _resolve(text: str, origin: Path) -> Path:
    return origin.parent / (_expand(text) or "")
