#!/usr/bin/env bash
# Installs jsforce into $JSFORCE, for the test that drives the simulated Salesforce with it; only where node and npm are.
# The version is exact. There is no lock file: it would record where packages were downloaded from.
set -euo pipefail

say() { printf 'jsforce: %s\n' "$*" >&2; }

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  if [ "${CI:-}" = true ]; then
    say "CI needs node and npm: the test with jsforce must run there"
    exit 1
  fi
  say "node or npm is missing, so the test with jsforce is skipped"
  exit 0
fi

mkdir -p "$JSFORCE"
npm install --prefix "$JSFORCE" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
  jsforce@3.8.2 >/dev/null
touch "$JSFORCE/.installed"
