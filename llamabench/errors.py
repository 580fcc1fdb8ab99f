"""Every error that llamabench shows to a person; `LlamabenchError` is caught once, in the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, Self


def name_cause(error: Exception) -> str:
    r"""What went wrong below, in words: without the system's number, or Python's names of codecs.

    >>> name_cause(FileNotFoundError(2, "No such file or directory", "prompt.txt"))
    'No such file or directory'
    >>> name_cause(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    'it is no UTF-8 text, at byte 0'
    """
    if isinstance(error, UnicodeDecodeError):
        return f"it is no {error.encoding.upper()} text, at byte {error.start:,}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class LlamabenchError(Exception):
    """Something a person can understand and act on: what failed, what was found, what to do."""


class ModelFileError(LlamabenchError):
    """The model file is missing, unreadable, not a GGUF file, damaged, or of a kind that cannot be scored."""


class EngineError(LlamabenchError):
    """llama.cpp refused a request or ended its process; the message carries its last words."""


class RunawayTemplateError(EngineError):
    """A chat template goes on without end, or writes without end, and would do so with every conversation."""


class OutOfMemoryError(EngineError):
    """Memory ran out for a model, a context or a decode, and llama.cpp lived to say so."""


class ServerError(EngineError):
    """An RPC server does not answer, or not as it should.

    Args:
        message: What to tell a person.
        address: The server, None where several may be meant.
    """

    def __init__(self, message: str, address: str | None = None):
        super().__init__(message)
        self.address = address


Death = Literal["failed", "memory", "hung", "killed", "server"]
"""Why the engine's process ended: by itself, for want of memory, held up for too long, by somebody's signal, or because
an RPC server left it."""


class EngineDiedError(EngineError):
    """The process that owns the model ended; `Engine.restart` starts another.

    Args:
        message: What to tell a person.
        cause: Why it ended.
    """

    def __init__(self, message: str, cause: Death = "failed"):
        super().__init__(message)
        self.cause: Death = cause

    @property
    def is_out_of_memory(self) -> bool:
        """Whether memory ran out, as far as can be told."""
        return self.cause == "memory"


class PlanError(LlamabenchError):
    """The model cannot run on this machine with what was asked for."""


class DataError(LlamabenchError):
    """A data set is missing, is not what its publisher released, or cannot be read."""


class StoreError(LlamabenchError):
    """A run folder cannot be created, read or written."""


class DamagedError(StoreError):
    """A run's file is not what was written.

    Args:
        message: What to tell a person.
        reason: What is wrong with the file, in a few words.
    """

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class MissingPackageError(LlamabenchError):
    """An optional package is asked for and is not installed."""

    @classmethod
    def for_package(cls, package: str, command: str) -> Self:
        """The error for a package, with the command that installs it."""
        return cls(f"The package {package} is not installed. Install it: {command}")


class UnknownNameError(LlamabenchError):
    """A suite, edition, data set or model was asked for by a name that nothing has."""

    @classmethod
    def for_name(cls, kind: str, name: str, known: Iterable[str]) -> Self:
        """The error for a name of some kind, with a near match if there is one and the names that there are."""
        names = list(known)
        near = difflib.get_close_matches(name, names, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        return cls(f'No {kind} is called "{name}".{guess} There are: {", ".join(names)}.')
