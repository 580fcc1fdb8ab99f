#!/bin/sh
# Installs the oldest versions that setup.cfg allows into a fresh environment, runs the quick tests with them, and asks
# pip-audit which of them have known faults.
#
#     sh scripts/check_minimums.sh [PYTHON [PYTEST_OPTION...]]
#
# uv resolves, because pip cannot be asked for the oldest. llama-cpp-python is not built: the wheel that `make setup`
# keeps is taken. pip-audit needs a network; where it reaches no vulnerability service, it says so and nothing fails.
set -eu

cd "$(dirname "$0")/.."
WHEELS=${LLAMABENCH_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/llamabench/wheels}
[ -z "$(sh scripts/compiler_flags.sh)" ] || WHEELS="$WHEELS/no-amx"
PYTHON=${1:-python3}
[ $# -eq 0 ] || shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$PYTHON" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check uv pip-audit
"$PYTHON" -m venv "$work/venv"
uv() { "$work/tools/bin/uv" --quiet pip "$@" --find-links "$WHEELS" --only-binary llama-cpp-python; }

"$PYTHON" - >"$work/declared.txt" <<'PY'
import configparser

setup = configparser.ConfigParser()
setup.read("setup.cfg", encoding="utf-8")
print(setup["options"]["install_requires"].strip())
PY
uv compile "$work/declared.txt" --python "$work/venv/bin/python" --resolution lowest-direct -o "$work/oldest.txt"
uv install --python "$work/venv/bin/python" -r "$work/oldest.txt"
# what tests need is no part of the question, as long as it leaves the oldest versions alone
uv install --python "$work/venv/bin/python" -c "$work/oldest.txt" pytest hypothesis jsonschema junitparser mkdocs-material
uv install --python "$work/venv/bin/python" --no-deps -e .

"$PYTHON" --version
sed -n 's/^\([a-z].*==[^ ]*\).*/\1/p' "$work/oldest.txt" | tr '\n' ' '
echo
"$work/venv/bin/python" -m pytest -q -p no:cacheprovider -m "not slow" "$@"
"$work/tools/bin/pip-audit" --disable-pip --no-deps -r "$work/oldest.txt" || echo "pip-audit: see above"
