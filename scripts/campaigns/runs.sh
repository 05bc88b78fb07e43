#!/usr/bin/env bash
# Further whole runs: killed at other moments, other recipes, a searched batch,
# processes on one study.
exec bash "$(dirname "$0")/../check.sh" --campaign \
  tests/end_to_end --ignore=tests/end_to_end/notebooks_test.py \
  --ignore=tests/end_to_end/namespaces_test.py "$@"
