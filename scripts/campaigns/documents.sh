#!/usr/bin/env bash
# Every command, server and block of Python of the documents, at a small size.
exec bash "$(dirname "$0")/../check.sh" --campaign tests/documents "$@"
