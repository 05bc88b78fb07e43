#!/usr/bin/env bash
# Measures this package beside others and writes docs/benchmarks.md.
#   bash scripts/benchmark/run.sh [--rounds=3] [--quick] [NAME ...]
# The peers that are no TensorFlow get an environment of their own.
source "$(dirname "$0")/../environment.sh"
prepare_environment
if [ ! -e .venv-peers/.installed ]; then
  "$(find_python)" -m venv .venv-peers
  .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint scripts/benchmark/constraints.txt torch h5py numpy pillow
  touch .venv-peers/.installed
fi
PEERS_PYTHON="$PWD/.venv-peers/bin/python" \
  .venv/bin/python scripts/benchmark/suite.py "$@"
