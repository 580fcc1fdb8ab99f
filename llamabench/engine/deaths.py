"""What a process died of: memory or a server, by llama.cpp's words, and by the kernel's count; or why none began."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from multiprocessing import current_process
from pathlib import Path

from llamabench.engine.limits import LAST_TIME_S
from llamabench.errors import Death, EngineError

_WORDS = re.compile(
    r"out of memory|out_of_memory|OutOf(Device|Host|Pool)?Memory|insufficient memory|cannot allocate memory"
    r"|not enough (memory|space)|(failed|unable) to (re)?(alloc|reserve)|could not allocate|bad_alloc|MemoryError"
    r"|cudaMalloc failed|memory allocation|allocation .*failed|\(status -2\)",
    re.IGNORECASE,
)
"""How llama.cpp b0c1e57 (ggml-alloc.c, ggml-backend.cpp, ggml-cuda.cu, ggml-vulkan.cpp, ggml-metal) and the C++ library
say that there was no memory; status -2 is `llama_decode`'s for it."""

_WEIGHT_WORDS = re.compile(r"error loading model: .*(unable to|failed to|cannot) allocate", re.IGNORECASE)
"""How `llama_model_load` says that weights found no room."""

_SERVER_WORDS = re.compile(r"Remote RPC server crashed|Failed to connect to|RPC handshake failed")
"""How ggml-rpc.cpp ends the process when a server has left or refuses it; no server is named once it was connected."""

BUILD_ADVICE = "Whether this build of llama.cpp works on this machine: llamabench doctor"
"""What to do about a process that a signal of the processor ended."""

UNGUARDED = 91
"""Exit code of a process that met, in the script that it imports first, the engine that it is to be."""

UNGUARDED_ADVICE = (
    " Like every process of Python's multiprocessing it imports the script that starts it, and there it met the same "
    'call again. Put what the script does below `if __name__ == "__main__":`.'
)

_SIGNALS = {
    **dict.fromkeys(("SIGSEGV", "SIGILL", "SIGBUS"), BUILD_ADVICE),
    "SIGPROF": f"The model's chat template took more than {LAST_TIME_S:g} s of processor time. Run with --no-chat, or "
    "give another template.",
}

_KERNEL_COUNTS = Path("/proc/vmstat")


def leave_unguarded_script() -> None:
    """Ends the process, silently, where it is a new one of multiprocessing's that still imports its parent's script.

    Python itself would raise an error at the next process from there: a page of tracebacks that says the same.

    Raises:
        SystemExit: It is one, with the code `UNGUARDED`.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SystemExit(UNGUARDED)


def find_cause(words: str) -> Death:
    """What a last message says that a process died of."""
    if is_about_server(words):
        return "server"
    return "memory" if is_about_memory(words) else "failed"


def is_about_memory(words: str) -> bool:
    """Whether a last message says that memory ran out.

    >>> is_about_memory("ggml_gallocr_reserve_n_impl: failed to allocate CPU buffer of size 268435456")
    True
    >>> is_about_memory("GGML_ASSERT(n_tokens <= n_batch) failed")
    False
    """
    return _WORDS.search(words) is not None


def is_about_weights(words: str) -> bool:
    """Whether a last message says that weights found no room.

    >>> is_about_weights("llama_model_load: error loading model: unable to allocate CUDA0 buffer")
    True
    """
    return _WEIGHT_WORDS.search(words) is not None


def is_about_server(words: str) -> bool:
    """Whether a last message says that an RPC server left.

    >>> is_about_server("ggml-rpc.cpp:507: Remote RPC server crashed or returned malformed response")
    True
    """
    return _SERVER_WORDS.search(words) is not None


def explain_signal(name: str) -> str:
    """What a signal that ended the process tells, as a sentence after another; often nothing.

    >>> explain_signal("SIGSEGV")
    ' Whether this build of llama.cpp works on this machine: llamabench doctor'
    """
    return f" {_SIGNALS[name]}" if name in _SIGNALS else ""


def explain_abort(words: str, n_decodes: int) -> str:
    """What a failed assertion tells beside its words, as a sentence after another; often nothing.

    >>> explain_abort("GGML_ASSERT(a) failed", 0)
    ' It had decoded nothing yet: the file is damaged, or made for another version of llama.cpp.'
    """
    if n_decodes or is_about_memory(words) or is_about_server(words):
        return ""
    return " It had decoded nothing yet: the file is damaged, or made for another version of llama.cpp."


def count_memory_kills() -> int | None:
    """Processes that the kernel has killed for want of memory since it started; None where it does not tell."""
    try:
        lines = _KERNEL_COUNTS.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def read_last_words(path: Path) -> str:
    """What a process last wrote to its error stream, as a sentence after another; often nothing.

    Args:
        path: The file that received the stream.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f" It said: {' / '.join(said[-2:])}" if said else ""


@contextlib.contextmanager
def said_of_temporary_files() -> Iterator[None]:
    """Puts into words that what a process needs on the disk finds no room there.

    Raises:
        EngineError: So it is.
    """
    try:
        yield
    except OSError as exc:
        reason = (exc.strerror or str(exc)).rstrip(".")
        raise EngineError(
            f"Temporary files cannot be written: {reason}. Make room on the disk, or set TMPDIR to a folder with room."
        ) from exc
