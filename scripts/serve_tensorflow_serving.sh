#!/usr/bin/env bash
# Serves an export with TensorFlow Serving itself, in its container.
#
#   bash scripts/serve_tensorflow_serving.sh runs/flowers/export
#
# PORT (8501) and GRPC_PORT (8500) choose the ports, on this machine alone;
# IMAGE another image than tensorflow/serving:2.19.1, MODEL_NAME the model's name; DOCKER=echo shows the
# command instead of running it. What lies beside the versions is used:
# model.config, and batching_parameters.txt.
set -euo pipefail

fail() {
  echo "Error: $1" >&2
  exit 2
}

[ $# -eq 1 ] || fail "one argument is needed: the folder of exported versions."
[ -d "$1" ] || fail "$1 is no folder. Export first: python -m tf_finetune.export"
exports="$(cd "$1" && pwd)"
compgen -G "$exports/[0-9]*/saved_model.pb" > /dev/null \
  || fail "$1 holds no version of a SavedModel (1/saved_model.pb)."
case "$exports" in *,* | *\"*) fail "the path of $1 may have no comma or quote." ;; esac

docker="${DOCKER:-docker}"
command -v "$docker" > /dev/null || fail "$docker is not installed. Without a \
container: python -m tf_finetune.serve"

name="${MODEL_NAME:-}"
server=()
if [ -f "$exports/model.config" ] && [ -z "$name" ]; then
  name="$(sed -n 's/^[[:space:]]*name:[[:space:]]*"\([^"]*\)".*/\1/p' \
    "$exports/model.config" | head -n 1)"
  [ -n "$name" ] || fail "$exports/model.config names no model."
  server+=("--model_config_file=/models/$name/model.config")
fi
name="${name:-model}"
if [ -f "$exports/batching_parameters.txt" ]; then
  server+=(--enable_batching
    "--batching_parameters_file=/models/$name/batching_parameters.txt")
fi

exec "$docker" run --rm \
  --publish "127.0.0.1:${PORT:-8501}:8501" \
  --publish "127.0.0.1:${GRPC_PORT:-8500}:8500" \
  --mount "type=bind,source=$exports,target=/models/$name,readonly" \
  --env "MODEL_NAME=$name" \
  "${IMAGE:-tensorflow/serving:2.19.1}" ${server[@]+"${server[@]}"}
