#!/usr/bin/env bash
# Surgery on large networks, and their export in every format.
exec bash "$(dirname "$0")/../check.sh" --campaign \
  tests/backbones tests/contracts tests/exports "$@"
