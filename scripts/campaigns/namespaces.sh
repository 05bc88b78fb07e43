#!/usr/bin/env bash
# Two workers in two network namespaces; needs root and iproute2.
exec bash "$(dirname "$0")/../check.sh" --campaign tests/end_to_end/namespaces_test.py "$@"
