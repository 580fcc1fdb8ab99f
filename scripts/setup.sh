#!/bin/sh
# Makes the virtual environment. Building llama.cpp takes 6 to 10 minutes on two cores, so its wheel is built once per
# machine and kept in the user's cache.
#
# pip keeps wheels by version alone: one that was built without the RPC backend would be taken although the setting is
# given here. So the wheel is kept in a folder of its own, and one without RPC is built again, past pip's cache.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
WHEELS=${LLAMABENCH_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/llamabench/wheels}
FLAGS=$(sh scripts/compiler_flags.sh)

"$PYTHON" - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit("llamabench needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12 demo" % sys.version.split()[0])
PY

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

# A wheel that was built before these flags were known does not do, nor does one from pip's cache.
NO_CACHE=
if [ -n "$FLAGS" ]; then
    WHEELS="$WHEELS/no-amx"
    NO_CACHE=--no-cache-dir
    export CFLAGS="${CFLAGS:-} $FLAGS" CXXFLAGS="${CXXFLAGS:-} $FLAGS"
fi

has_rpc() {
    "$VENV/bin/python" - "$1" <<'PY'
import glob, os, sys, zipfile
wheels = glob.glob(os.path.join(sys.argv[1], "llama_cpp_python-0.3.36-*.whl"))
sys.exit(not any("ggml-rpc" in name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()))
PY
}

if ! has_rpc "$WHEELS"; then
    mkdir -p "$WHEELS"
    echo "Getting llama-cpp-python; where it must be built, that takes 6 to 10 minutes, once."
    # shellcheck disable=SC2086
    pip wheel --quiet --no-deps $NO_CACHE --wheel-dir "$WHEELS" -r requirements.txt
    if ! has_rpc "$WHEELS"; then
        echo "pip's cache holds a llama-cpp-python without the RPC backend; building one with it."
        rm -f "$WHEELS"/llama_cpp_python-*.whl
        pip wheel --quiet --no-deps --no-cache-dir --wheel-dir "$WHEELS" -r requirements.txt
    fi
fi

# one of the same version that is there may be built otherwise
if [ -n "$FLAGS" ] && ! [ -e "$VENV/.no-amx" ]; then
    pip install --quiet --force-reinstall --no-deps "$WHEELS"/llama_cpp_python-0.3.36-*.whl
    touch "$VENV/.no-amx"
fi
pip install --quiet --find-links "$WHEELS" --only-binary llama-cpp-python "llama-cpp-python==0.3.36" -e ".[dev]"
