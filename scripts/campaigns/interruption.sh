#!/usr/bin/env bash
# Runs killed at further moments.
exec bash "$(dirname "$0")/../check.sh" --campaign tests/end_to_end/interruption_test.py "$@"
