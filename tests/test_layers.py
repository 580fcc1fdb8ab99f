"""The floors of the house: imports point down only, and what is slow to import is imported where it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "llamabench"

FLOORS: tuple[set[str], ...] = (
    {"__init__", "__main__"},
    {"cli"},
    {"evaluating"},
    {"comparing", "readers"},
    {"attacking", "judging", "outlook", "rating", "recovering", "report", "runner"},
    {"run_options"},
    {"cluster"},
    {"auditing", "demand", "diverging", "opening", "resuming", "suite_runs"},
    {"budget"},
    {"audit", "benching", "reference", "selection"},
    {"arranging", "asking"},
    {"suites", "hardware", "raters", "results"},
    {"engine", "measures", "repeats", "scorers"},
    {"stats"},
    {"data"},
    {"records"},
    {"errors", "extras", "hidden", "units"},
)
"""The parts of llamabench from the roof down; none knows its neighbours or what stands above it."""

FORBIDDEN = {
    ("report", "runner"): "a report reads only the store",
    ("report", "engine"): "a report reads only the store",
    ("report", "suites"): "the command line hands a report the suites",
    ("report", "hardware"): "a report reads only the store",
    ("suites", "engine"): "suites make requests, the runner asks",
    ("results", "engine"): "the store knows records only",
    ("results", "data"): "the store knows records only",
    ("engine", "data"): "the engine is handed a path and a plan",
    ("stats", "data"): "statistics are arithmetic",
    ("stats", "records"): "statistics are arithmetic",
}
"""Imports that point down and are wrong all the same."""

SLOW = {
    "dask",
    "distributed",
    "gguf",
    "huggingface_hub",
    "jinja2",
    "llama_cpp",
    "pyarrow",
    "rich",
    "rouge_score",
    "sacrebleu",
    "scipy",
    "tqdm",
    "vaderSentiment",
}
"""Packages that take longer to import than the command line may take to answer."""

SLOW_OF_PYTHON = {"asyncio", "concurrent", "email", "http", "multiprocessing", "sqlite3", "ssl", "tomllib", "xml"}
"""What of Python itself no help needs."""

SLOW_WHERE_NEEDED = {
    "jinja2": {"engine/chat.py", "report/render.py"},
    "llama_cpp": {
        "engine/llama/context.py",
        "engine/llama/dry_run.py",
        "engine/llama/library.py",
        "engine/llama/model.py",
    },
}
"""Files that cannot do without one, and are imported only by what needs it."""


class Import(NamedTuple):
    """One import of one module."""

    file: str
    line: int
    module: str
    is_at_top: bool
    is_for_types: bool


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[Import]:
    tree = parse(path)
    inside = {id(node) for parent in ast.walk(tree) if is_function(parent) for node in ast.walk(parent)}
    typing = {id(node) for parent in ast.walk(tree) if is_type_checking(parent) for node in ast.walk(parent)}
    name = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports by a relative name"
            module = node.module or ""
            modules = [f"{module}.{alias.name}" for alias in node.names] if module == "llamabench" else [module]
        for module in modules:
            yield Import(name, node.lineno, module, id(node) not in inside, id(node) in typing)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def all_imports() -> list[Import]:
    return [found for path in python_files() for found in imports_of(path)]


def part_of(name: str) -> str:
    """The part of llamabench that a file or module belongs to."""
    return name.removesuffix(".py").replace("/", ".").removeprefix("llamabench.").split(".")[0]


def floor_of(part: str) -> int:
    (floor,) = [number for number, parts in enumerate(FLOORS) if part in parts]
    return floor


def own_imports() -> list[Import]:
    own = [found for found in all_imports() if found.module.split(".")[0] == "llamabench"]
    return [found for found in own if part_of(found.module) not in ("llamabench", "__version__", part_of(found.file))]


# --- floors -------------------------------------------------------------------------------------


def test_every_part_has_a_floor() -> None:
    known = set().union(*FLOORS)
    assert {part_of(path.relative_to(PACKAGE).as_posix()) for path in python_files()} <= known


def test_imports_point_down() -> None:
    wrong = [
        f"{found.file}:{found.line} imports {found.module}"
        for found in own_imports()
        if floor_of(part_of(found.file)) >= floor_of(part_of(found.module))
    ]
    assert wrong == []


def test_what_may_not_know_each_other_does_not() -> None:
    wrong = [
        f"{found.file}:{found.line} imports {found.module}: {FORBIDDEN[pair]}"
        for found in own_imports()
        if (pair := (part_of(found.file), part_of(found.module))) in FORBIDDEN
    ]
    assert wrong == []


def test_errors_import_nothing_of_llamabench() -> None:
    assert [found for found in own_imports() if part_of(found.file) == "errors"] == []


def test_only_pulled_data_and_named_servers_and_schedulers_could_ever_use_the_network() -> None:
    network = {"socket", "ssl", "http", "urllib", "requests", "httpx", "huggingface_hub", "datasets", "ftplib"}
    network |= {"dask", "distributed"}
    used = {found.file for found in all_imports() if found.module.split(".")[0] in network}
    assert used == {
        "cluster/connecting.py",
        "cluster/serving.py",
        "data/perspective.py",
        "data/pulling.py",
        "engine/servers.py",
    }


def test_only_the_engine_touches_llama_cpp() -> None:
    users = {found.file for found in all_imports() if found.module.split(".")[0] == "llama_cpp"}
    assert {str(Path(file).parent) for file in users} == {"engine/llama"}


def test_suites_are_not_known_by_name() -> None:
    names = {
        "bbq",
        "bbq_letters",
        "truthfulqa",
        "truthfulqa_mc",
        "preference",
        "xstest",
        "realtoxicity",
    }  # "bold" is a style, too
    for path in [*PACKAGE.glob("*.py"), *(PACKAGE / "results").glob("*.py"), *(PACKAGE / "cli").glob("*.py")]:
        texts = {node.value for node in ast.walk(parse(path)) if isinstance(node, ast.Constant)}
        assert not texts & names, path.name


# --- who may end the process or speak -----------------------------------------------------------


def test_only_the_command_line_prints_and_ends_the_process() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in python_files()
        if part_of(path.relative_to(PACKAGE).as_posix()) != "cli"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "exit", "quit", "sys.exit", "click.echo")
    ]
    assert wrong == []


def test_the_command_line_ends_the_process_in_one_place() -> None:
    exits = [
        path.name
        for path in (PACKAGE / "cli").glob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit"
    ]
    assert exits == ["main.py"]


def test_no_error_is_swallowed_whole() -> None:
    allowed = {"cli/main.py"}  # the one place where any error becomes a message
    wrong = [
        f"{name}:{node.lineno}"
        for path in python_files()
        if (name := path.relative_to(PACKAGE).as_posix()) not in allowed
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert wrong == []


def test_chance_is_handed_over() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in python_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node).startswith(("np.random.", "numpy.random.", "random."))
        and node.attr not in ("Generator", "default_rng")
    ]
    assert wrong == []


# --- what is slow to import ---------------------------------------------------------------------


def test_slow_packages_are_imported_where_they_are_needed() -> None:
    wrong = [
        f"{found.file}:{found.line} imports {package}"
        for found in all_imports()
        if (package := found.module.split(".")[0]) in SLOW
        and found.is_at_top
        and not found.is_for_types
        and found.file not in SLOW_WHERE_NEEDED.get(package, set())
    ]
    assert wrong == []


def modules_after(statement: str) -> set[str]:
    """Packages that are imported, and the parts of llamabench by their whole names."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    names = done.stdout.splitlines()[-1].split()
    return {name if name.startswith("llamabench.") else name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["redteam", "--help"],
        ["compare", "--help"],
        ["--version"],
        ["rnu"],
        ["data", "--help"],
    ],
    ids=str,
)
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    found = modules_after(f"from llamabench.cli.main import run_command_line\nrun_command_line({arguments})")
    assert found & (SLOW | SLOW_OF_PYTHON | {"numpy", "psutil", "datasets", "sklearn", "yaml"}) == set()
    assert {name for name in found if name.startswith("llamabench.")} <= {
        name
        for name in found
        if name.startswith(("llamabench.cli", "llamabench.errors", "llamabench.hidden", "llamabench.units"))
    }


def test_the_parent_process_never_loads_llama_cpp() -> None:
    found = modules_after("import llamabench.runner, llamabench.cli.run, llamabench.hardware.machine")
    assert found & {"llama_cpp", "gguf", "scipy", "rich"} == set()


def test_the_package_imports_nothing_until_it_is_used() -> None:
    found = modules_after("import llamabench")
    assert found & (SLOW | {"click", "numpy", "psutil", "sqlite3"}) == set()
    assert {name for name in found if name.startswith("llamabench.")} == set()
