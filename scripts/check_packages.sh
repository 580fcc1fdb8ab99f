#!/bin/sh
# Builds the wheel and the source archive, installs each into a fresh environment, and runs it there.
#
#     sh scripts/check_packages.sh [PYTHON...]
#
# llama-cpp-python is not built: the wheel that `make setup` keeps is taken. Packages come from pip's index or cache.
set -eu

cd "$(dirname "$0")/.."
WHEELS=${LLAMABENCH_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/llamabench/wheels}
[ -z "$(sh scripts/compiler_flags.sh)" ] || WHEELS="$WHEELS/no-amx"
set -- "${@:-python3}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$1" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --disable-pip-version-check build
# built of what git knows, so that nothing else of the checkout can slip in
git archive HEAD | (mkdir "$work/source" && tar -x -C "$work/source")
"$work/build/bin/python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 ||
    { tail -20 "$work/build.log"; exit 1; }

# runs llamabench as a person does: every suite in a list, a model scored, its report there, the public functions
try() {
    cd "$work" && rm -rf runs && mkdir runs
    export LLAMABENCH_DATA="$work/data"
    "$1/bin/llamabench" suites >/dev/null
    "$1/bin/llamabench" models >/dev/null
    "$1/bin/llamabench" run demo --suite bbq --suite xstest --limit 6 --quiet --out runs >/dev/null
    ls runs/*/score.html >/dev/null
    "$1/bin/python" -c 'from llamabench import Engine, Evaluation, evaluate; import llamabench; print(llamabench.__version__)'
    cd - >/dev/null
}

for python in "$@"; do
    for package in "$work"/dist/*.whl "$work"/dist/*.tar.gz; do
        venv="$work/venv"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --find-links "$WHEELS" \
            --only-binary llama-cpp-python "$package"
        found=$(try "$venv")
        printf '%s\t%s\t%s\tok\n' "$("$python" --version)" "$(basename "$package")" "$found"
    done
done
