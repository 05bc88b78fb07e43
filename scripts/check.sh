#!/usr/bin/env bash
# Lint and tests, against the installed package:
#   bash scripts/check.sh          the quick ones
#   bash scripts/check.sh --full   all but campaigns; what CI runs
#   bash scripts/check.sh --campaign tests/FILE   what scripts/campaigns/ runs
# Further arguments are passed on to pytest: bash scripts/check.sh -k splits
source "$(dirname "$0")/environment.sh"
prepare_environment dev,lite,litert,onnx,serve,tune

.venv/bin/ruff check .
.venv/bin/ruff format --check .
# The installed package is tested: pytest's own program does not put this
# folder on the path, and the tests run commands from folders of their own.
selection="not slow and not campaign"
case "${1:-}" in
  --full) selection="not campaign"; shift ;;
  --campaign) selection="campaign"; shift ;;
esac
# What took longest is told: the first place to look when checks grow slow.
.venv/bin/pytest -n 2 --dist worksteal --durations=40 -m "$selection" "$@"
