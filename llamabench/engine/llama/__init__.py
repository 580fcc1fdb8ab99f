"""The only place that imports llama_cpp: thin, typed handles on its low-level functions."""

from llamabench.engine.llama.context import MAX_SEQUENCES, Batch, Context
from llamabench.engine.llama.library import BackendFacts, initialise, read_backend
from llamabench.engine.llama.model import Model, Tokens

__all__ = [
    "MAX_SEQUENCES",
    "BackendFacts",
    "Batch",
    "Context",
    "Model",
    "Tokens",
    "initialise",
    "read_backend",
]
