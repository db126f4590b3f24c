#!/usr/bin/env bash
# Sees to it that the tests of the pages find a browser: Debian's chromium. Without one they are skipped.
set -euo pipefail

say() { printf 'browser: %s\n' "$*" >&2; }

if command -v chromium >/dev/null; then
  :
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "installing Debian's chromium (once)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
  say "there is none, so the tests that need it are skipped: install it (sudo apt-get install chromium)"
fi
