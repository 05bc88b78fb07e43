#!/usr/bin/env bash
# Lint and tests, against the installed package:
#   bash scripts/check.sh          the quick ones
#   bash scripts/check.sh --full   all of them; what CI runs
# Further arguments are passed on to pytest: bash scripts/check.sh -k splits
source "$(dirname "$0")/environment.sh"
prepare_environment dev,litert,onnx,serve

.venv/bin/ruff check .
.venv/bin/ruff format --check .
# The installed package is tested: pytest's own program does not put this
# folder on the path, and the tests run commands from folders of their own.
selection=(-m "not slow")
if [ "${1:-}" = "--full" ]; then
  selection=()
  shift
fi
.venv/bin/pytest -n 2 --dist worksteal ${selection[@]+"${selection[@]}"} "$@"
