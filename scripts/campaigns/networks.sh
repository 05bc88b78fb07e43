#!/usr/bin/env bash
# Surgery on large networks, their export in every format, the largest backbones,
# also with the features of torchvision.
exec bash "$(dirname "$0")/../check.sh" --campaign \
  tests/backbones tests/contracts tests/exports tests/weights "$@"
