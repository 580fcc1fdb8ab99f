#!/bin/sh
# Makes every kind of page, and looks at each in headless Chromium, light, dark, on a phone and printed: no complaint,
# no request, nothing wider than its window, no serious fault that axe-core finds. Needs npm and chromium; minutes.
#
#     sh scripts/check_pages.sh [FOLDER]    # keeps runs, pages and pictures of them below FOLDER
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "${1:-$work/kept}"
kept=$(cd "${1:-$work/kept}" && pwd)

cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}

cp benchmarks/package.json "$work/"
npm install --prefix "$work" --no-package-lock --no-audit --no-fund --silent
LLAMABENCH_DATA="$work/data" "$PYTHON" benchmarks/make_pages.py "$kept/pages" >"$work/list"
tr '\n' '\0' <"$work/list" | xargs -0 "$PYTHON" benchmarks/check_pages.py \
    --axe "$work/node_modules/axe-core/axe.min.js" --pictures "$kept/pictures"
