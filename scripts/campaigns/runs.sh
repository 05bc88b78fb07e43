#!/usr/bin/env bash
# Further whole runs: killed at other moments, other recipes, a searched batch,
# processes on one study; further settings of training on several replicas.
exec bash "$(dirname "$0")/../check.sh" --campaign \
  tests/end_to_end tests/training --ignore=tests/end_to_end/notebooks_test.py \
  --ignore=tests/end_to_end/namespaces_test.py "$@"
