#!/usr/bin/env bash
# Measures this package beside others and writes docs/benchmarks.md.
#   bash scripts/benchmark/run.sh [--rounds=3] [--quick] [NAME ...]
#   bash scripts/benchmark/run.sh distillation [--seeds=5] [NAME ...]
#   bash scripts/benchmark/run.sh accuracy [--seeds=3] [--data=FOLDER ...] [NAME ...]
# The peers that are no TensorFlow get an environment of their own; another one:
#   .venv-peers/bin/python scripts/benchmark/peers/peft_adapter.py --help
source "$(dirname "$0")/../environment.sh"
prepare_environment
if [ "${1:-}" = distillation ]; then
  shift
  exec .venv/bin/python scripts/benchmark/distillation.py "$@"
fi
peers="$(cksum scripts/benchmark/constraints.txt)"
if [ "$(cat .venv-peers/.installed 2>/dev/null)" != "$peers" ]; then
  "$(find_python)" -m venv .venv-peers
  .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint scripts/benchmark/constraints.txt torch torchvision fastai timm peft \
    h5py numpy pillow
  echo "$peers" > .venv-peers/.installed
fi
export PEERS_PYTHON="$PWD/.venv-peers/bin/python"
if [ "${1:-}" = accuracy ]; then
  shift
  .venv/bin/python scripts/benchmark/accuracy.py "$@"
else
  .venv/bin/python scripts/benchmark/suite.py "$@"
fi
