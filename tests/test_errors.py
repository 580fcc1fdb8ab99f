"""Causes of errors, in words."""

from __future__ import annotations

import ast
from pathlib import Path

from llamabench.errors import name_cause

PACKAGE = Path(__file__).parents[1] / "llamabench"


def read(path: Path) -> Exception:
    try:
        path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        return exc
    raise AssertionError(f"{path} can be read")


def test_causes_are_words(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Gr\xfc\xdfe".encode("latin-1"))
    assert name_cause(read(tmp_path / "none")) == "No such file or directory"
    assert name_cause(read(tmp_path / "latin")) == "it is no UTF-8 text, at byte 2"
    assert name_cause(OSError("GPU is lost")) == "GPU is lost"
    assert name_cause(ValueError("not a number")) == "not a number"


def test_no_message_shows_the_number_of_a_system_error() -> None:
    """Where an OSError is caught, no f-string writes the bare exception."""
    found = [
        f"{path.relative_to(PACKAGE)}:{handler.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(handler, ast.ExceptHandler)
        and handler.type is not None
        and "OSError" in {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}
        for part in ast.walk(handler)
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id == handler.name
    ]
    assert found == []
