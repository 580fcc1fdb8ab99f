"""`llamabench models`: models that have a name here, how large they are, and whether they fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from llamabench.cli.screen import open_console, say
from llamabench.errors import ModelFileError, UnknownNameError

if TYPE_CHECKING:
    from rich.text import Text

    from llamabench.records import Machine, ModelFacts
    from llamabench.records.outlook import Verdict

_USES = {
    "subject": "being tested",
    "judge": "judging answers (--judge)",
    "guard": "judging harm (--judge)",
    "attacker": "writing attacks (--attacker)",
    "reference": "being compared with (--reference)",
}
ROLES = tuple(_USES)


class _Listed(NamedTuple):
    """A model with a name, and what its file says; `problem` is why it says nothing."""

    name: str
    path: Path | None
    description: str = ""
    base: str | None = None
    licence: str | None = None
    roles: tuple[str, ...] = ()
    model: ModelFacts | None = None
    verdict: Verdict | None = None
    problem: str | None = None


@click.command(short_help="List the models that have a name here, how large they are, and whether they fit.")
@click.option("--role", type=click.Choice(ROLES), help="Only those for this, and those for anything.")
@click.option("--fits", "only_fitting", is_flag=True, help="Only those that fit on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
def command(*, role: str | None, only_fitting: bool, as_json: bool) -> int:
    """List the models of models.toml, and those that Hugging Face's cache, Ollama and LM Studio keep here.

    A models.toml in the working folder, or in the configuration folder, adds to the shipped one.

    Example: llamabench models --role judge --fits
    """
    from llamabench.hardware.machine import read_machine

    machine = read_machine()
    models = [
        listed
        for listed in map(lambda one: _look_at(one, machine), _find_models())
        if (role is None or not listed.roles or role in listed.roles)
        and (not only_fitting or listed.verdict not in (None, "does_not_fit"))
    ]
    if as_json:
        say(json.dumps(list(map(_document, models)), indent=2))
        return 0

    _show(models)
    return 0


def _find_models() -> Iterator[_Listed]:
    from llamabench.data.local_models import list_local_models
    from llamabench.data.models import list_models, locate_model

    for named in list_models().values():
        listed = _Listed(named.name, None, named.description, named.base, named.licence, named.roles)
        try:
            yield listed._replace(path=locate_model(named))
        except (ModelFileError, UnknownNameError) as exc:
            yield listed._replace(path=named.path, problem=str(exc))
    for kept in list_local_models():
        yield _Listed(kept.name, kept.path)


def _look_at(listed: _Listed, machine: Machine) -> _Listed:
    from llamabench.hardware.gguf import read_model
    from llamabench.outlook import judge_fit

    if listed.problem is not None or listed.path is None:
        return listed
    try:
        model = read_model(listed.path)
    except ModelFileError as exc:
        return listed._replace(problem=str(exc))
    return listed._replace(model=model, verdict=judge_fit(model, machine))


def _document(listed: _Listed) -> dict[str, object]:
    model = listed.model
    return {
        "name": listed.name,
        "path": str(listed.path) if listed.path else None,
        "description": listed.description,
        "base": listed.base,
        "licence": listed.licence,
        "roles": list(listed.roles),
        "quant": model.quant if model else None,
        "size_bytes": model.size_bytes if model else None,
        "n_params": model.n_params if model else None,
        "fits": None if listed.verdict is None else listed.verdict != "does_not_fit",
        "where": listed.verdict,
        "problem": listed.problem,
    }


def _describe(listed: _Listed) -> Iterator[tuple[Text, bool]]:
    """The lines about a model, and whether each is for copying, so that it must not be broken."""
    from rich.text import Text

    from llamabench.report.format import format_bytes
    from llamabench.report.plan_picture import STYLES, WHERE

    where = Text("not on disk" if listed.problem else "", style="red")
    if listed.verdict is not None:
        where = Text(WHERE[listed.verdict], style=STYLES[listed.verdict].removeprefix("bold "))
    elif listed.path is not None and listed.path.exists():
        where = Text("cannot be read", style="red")
    model = listed.model
    facts = [format_bytes(model.size_bytes), model.quant] if model else []
    yield Text("  ").join([Text(listed.name, style="bold"), *map(Text, facts), where]), True
    origin = [f"made of {listed.base}" if listed.base else "", f"licence {listed.licence}" if listed.licence else ""]
    uses = ", ".join(_USES[role] for role in listed.roles)
    for fact in (listed.description, ", ".join(filter(None, origin)), f"Good for: {uses}" if uses else ""):
        if fact:
            yield Text(fact), False
    if listed.path or listed.problem:
        yield Text(str(listed.path or listed.problem)), True


def _show(models: list[_Listed]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = open_console()
    for listed in models:
        (head, _), *more = _describe(listed)
        console.print(head, soft_wrap=True)
        for line, is_copied in more:
            if is_copied:
                console.print(Text("    ").append_text(line), soft_wrap=True)
            else:
                console.print(Padding(line, (0, 0, 0, 4), expand=False))
        console.print()
