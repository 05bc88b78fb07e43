#!/usr/bin/env bash
# Every export format of the large networks.
exec bash "$(dirname "$0")/../check.sh" --campaign tests/contracts/exports_test.py "$@"
