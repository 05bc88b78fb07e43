#!/usr/bin/env bash
# The main job on embedded data: makes .venv, installs, and fine-tunes a small
# backbone, pretrained on the handwritten digits 0-4, to the digits 5-9. Needs
# Python 3.11-3.13 and a package registry, and downloads nothing else.
source "$(dirname "$0")/environment.sh"
prepare_environment

python=.venv/bin/python
scratch=runs/quickstart_from_scratch

echo "== The same net without pretrained weights, for comparison"
"$python" -m tf_finetune.train --flagfile=configs/quickstart.flags \
  --weights=none --workdir="$scratch" --overwrite
echo
echo "== Fine-tuning the pretrained net"
"$python" -m tf_finetune.train --flagfile=configs/quickstart.flags --overwrite
echo
"$python" scripts/quickstart_summary.py runs/quickstart "$scratch"
