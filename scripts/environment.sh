# Sourced by the other scripts: makes .venv and installs this project into it.
#
#   source scripts/environment.sh; prepare_environment [extra ...]
#
# PYTHON=python3.12 chooses another interpreter for a new .venv. An install
# that is up to date is not repeated.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$candidate" ] && "$candidate" - 2>/dev/null <<'PY'
import sys

raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PY
    then
      echo "$candidate"
      return
    fi
  done
  echo "Error: no Python 3.11, 3.12 or 3.13 found. Install one, or say where" \
    "it is: PYTHON=/path/to/python3.11 bash $0" >&2
  return 1
}

# What an installation is made of; a change of any of it makes it outdated.
installation_fingerprint() {
  { echo "$*"; cat setup.cfg pyproject.toml scripts/constraints.txt; \
    find tf_finetune -type f -not -path '*/__pycache__/*' -print0 \
      | sort -z | xargs -0 cat; } | cksum
}

prepare_environment() {
  local extras="cpu${1:+,$1}" python fingerprint
  fingerprint="$(installation_fingerprint "$extras")"
  if [ ! -x .venv/bin/python ]; then
    python="$(find_python)"
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  if [ "$(cat .venv/.installed 2>/dev/null)" != "$fingerprint" ]; then
    echo "Installing tf_finetune[$extras] into .venv (about 1.5 GB with" \
      "TensorFlow; minutes the first time)"
    rm -rf build .venv/.installed
    # pip would keep an installed package of the same version.
    .venv/bin/python -m pip uninstall --quiet --yes tf_finetune 2>/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
      --constraint scripts/constraints.txt ".[$extras]"
    case ",$extras," in *,dev,*)
      # It declares `tensorflow`, which would be put over `tensorflow-cpu`.
      .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --constraint scripts/constraints.txt tensorflow-serving-api ;;
    esac
    rm -rf build tf_finetune.egg-info
    echo "$fingerprint" > .venv/.installed
  fi
}
