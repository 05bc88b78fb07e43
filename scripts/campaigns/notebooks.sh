#!/usr/bin/env bash
# Every notebook, from its first cell to its last.
exec bash "$(dirname "$0")/../check.sh" --campaign tests/end_to_end/notebooks_test.py "$@"
