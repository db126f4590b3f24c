#!/usr/bin/env bash
# Makes $VENV with the versions of requirements-dev.txt. Debian's python3 comes without venv: then it is installed first.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

"$PYTHON" - <<'CHECK' || { say "Python 3.11 or newer is needed; name one with 'make PYTHON=/path/to/python3 ...'."; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
CHECK

if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
  say "this Python lacks venv; installing Debian's python3-venv"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
  else
    say "please run: sudo apt-get install python3-venv"
    exit 1
  fi
fi

say "installing the pinned versions into $VENV (once)"
rm -rf "$VENV"
[ -x .uv/bin/uv ] || { "$PYTHON" -m venv .uv && .uv/bin/pip install -q --disable-pip-version-check uv; } || true
if [ -x .uv/bin/uv ]; then
  .uv/bin/uv venv -q --python "$PYTHON" "$VENV"
  .uv/bin/uv pip sync -q --compile-bytecode --python "$VENV/bin/python" requirements-dev.txt
  .uv/bin/uv pip install -q --python "$VENV/bin/python" --no-deps -e .
else
  say "uv cannot be had here; using pip (about half a minute)"
  "$PYTHON" -m venv "$VENV"
  "$VENV/bin/pip" install -q --disable-pip-version-check -r requirements-dev.txt
  "$VENV/bin/pip" install -q --disable-pip-version-check --no-deps -e .
fi
