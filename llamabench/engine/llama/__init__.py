"""The only place that imports llama_cpp: thin, typed handles on its low-level functions."""

from llamabench.engine.llama.context import MAX_SEQUENCES, Batch, Context
from llamabench.engine.llama.dry_run import DryModel
from llamabench.engine.llama.library import BackendFacts, initialise, read_backend
from llamabench.engine.llama.model import Model, Tokens
from llamabench.engine.llama.remote import server_devices
from llamabench.engine.llama.server import serve
from llamabench.engine.llama.virtual import why_unusable

__all__ = [
    "MAX_SEQUENCES",
    "BackendFacts",
    "Batch",
    "Context",
    "DryModel",
    "Model",
    "Tokens",
    "initialise",
    "read_backend",
    "serve",
    "server_devices",
    "why_unusable",
]
