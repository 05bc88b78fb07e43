#!/usr/bin/env bash
# Every command, server and block of Python of the documents, and the scripts of
# the benchmarks, at a small size.
exec bash "$(dirname "$0")/../check.sh" --campaign \
  tests/documents tests/benchmark_scripts_test.py "$@"
