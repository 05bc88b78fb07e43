#!/usr/bin/env bash
# All but campaigns with TensorFlow's graph optimizer on, as users have it.
TF_FINETUNE_OPTIMIZE_GRAPHS=1 exec bash "$(dirname "$0")/../check.sh" --full "$@"
