"""How aligned, how safe and how fast a GGUF model is on your own machine.

What is public stands in `__all__`; each name is imported when it is first used, so that `import llamabench` is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamabench.engine.process import Engine
    from llamabench.errors import LlamabenchError
    from llamabench.evaluating import Evaluation, Settings, compare, evaluate

__all__ = ["Engine", "Evaluation", "LlamabenchError", "Settings", "__version__", "compare", "evaluate"]

__version__ = "0.1.0"

_MODULES = {
    "Engine": "llamabench.engine.process",
    "Evaluation": "llamabench.evaluating",
    "LlamabenchError": "llamabench.errors",
    "Settings": "llamabench.evaluating",
    "compare": "llamabench.evaluating",
    "evaluate": "llamabench.evaluating",
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first used."""
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module 'llamabench' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names the public parts too, imported or not."""
    return sorted({*globals(), *__all__})
