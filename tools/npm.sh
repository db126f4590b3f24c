#!/usr/bin/env bash
# Installs into $PACKAGES what tests need from npm, where node and npm are: jsforce, which drives the simulated Salesforce,
# and axe-core, which checks the pages. The versions are exact. There is no lock file: it would record where packages were downloaded from.
set -euo pipefail

say() { printf 'npm: %s\n' "$*" >&2; }

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  if [ "${CI:-}" = true ]; then
    say "CI needs node and npm: the tests with jsforce and axe-core must run there"
    exit 1
  fi
  say "node or npm is missing, so the tests with jsforce and axe-core are skipped"
  exit 0
fi

mkdir -p "$PACKAGES"
npm install --prefix "$PACKAGES" --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
  jsforce@3.8.2 axe-core@4.14.1 >/dev/null
touch "$PACKAGES/.installed"
