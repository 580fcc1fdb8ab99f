"""llama.cpp's own command-line tools, built from the very source that the installed llama-cpp-python was built from.

    python benchmarks/llama_tools.py [--cache FOLDER]

The source archive of the binding holds llama.cpp in `vendor/llama.cpp`; pip fetches it once. Options that the wheel
was built with are given as they were given then, in the variable CMAKE_ARGS.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

BINDING = "llama-cpp-python"
VARIABLE = "LLAMABENCH_LLAMA_BIN"
TARGETS = ("llama-perplexity", "llama-bench", "llama-batched-bench")

_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "ON",
    "LLAMA_BUILD_COMMON": "ON",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_BUILD_MTMD": "OFF",
}


def default_cache() -> Path:
    """Folder for source, tools and models that measurements need."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("llamabench", appauthor=False)) / "benchmarks"


def binding_version() -> str:
    """Version of the installed llama-cpp-python."""
    return importlib.metadata.version(BINDING)


def ensure_source(cache: Path) -> Path:
    """The folder of llama.cpp in the binding's source archive, fetched through pip when it is not in the cache."""
    name = f"{BINDING.replace('-', '_')}-{binding_version()}"
    folder = cache / "source" / name
    if not folder.is_dir():
        downloads = cache / "downloads"
        pip = [sys.executable, "-m", "pip", "download", "--no-binary", BINDING, "--no-deps", "--dest", str(downloads)]
        subprocess.run([*pip, f"{BINDING}=={binding_version()}"], check=True, stdout=sys.stderr)
        (archive,) = downloads.glob(f"*{binding_version()}.tar.gz")
        unfinished = cache / "source.part"
        with tarfile.open(archive) as files:
            files.extractall(unfinished, filter="data")
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unfinished / name, folder)
        unfinished.rmdir()
    return folder / "vendor" / "llama.cpp"


def build_tools(cache: Path) -> Path:
    """Builds the tools unless they are in the cache; the folder they lie in. Takes some minutes the first time."""
    options = [f"-D{name}={value}" for name, value in _OPTIONS.items()]
    options += shlex.split(os.environ.get("CMAKE_ARGS", ""))
    build = cache / "build" / binding_version()
    tools = build / "bin"
    if not has_tools(tools):
        source = ensure_source(cache)
        configure = ["cmake", "-S", str(source), "-B", str(build), *options]
        make = ["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1), "--target", *TARGETS]
        for command in (configure, make):
            subprocess.run(command, check=True, stdout=sys.stderr, env=_environment())
    return tools


def _environment() -> dict[str, str]:
    """The environment with the compiler flags that the wheel is built with (`scripts/compiler_flags.sh`)."""
    script = Path(__file__).resolve().parents[1] / "scripts" / "compiler_flags.sh"
    flags = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=True).stdout.strip()
    return {**os.environ, **{name: f"{os.environ.get(name, '')} {flags}".strip() for name in ("CFLAGS", "CXXFLAGS")}}


def has_tools(folder: Path) -> bool:
    """Whether a folder holds all the tools."""
    return all((folder / name).is_file() for name in TARGETS)


def find_tools(folder: Path | None, *, cache: Path, may_build: bool) -> Path:
    """The folder of the tools: the one named, else the one in the environment, else the cache's own.

    Args:
        folder: A folder that holds the tools, None to look for one.
        cache: Where they are built.
        may_build: Whether to build them when they are nowhere.
    """
    named = folder or os.environ.get(VARIABLE)
    tools = Path(named) if named else cache / "build" / binding_version() / "bin"
    if has_tools(tools):
        return tools
    if named or not may_build:
        raise SystemExit(
            f"{', '.join(TARGETS)} are not in {tools}. "
            f"Name their folder by --llama-bin or {VARIABLE}, or let --build build them."
        )
    return build_tools(cache)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=default_cache())
    print(build_tools(parser.parse_args().cache))


if __name__ == "__main__":
    main()
