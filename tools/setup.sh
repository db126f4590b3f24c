#!/usr/bin/env bash
# Creates $VENV with the pinned versions of requirements-dev.txt and the connector itself; called by `make`.
# With $REQUIREMENTS, it installs the versions of that file instead, and nothing else.
# Both installers refuse a file whose hash does not stand there.
#
# uv installs a hundred packages in seconds. Where uv cannot do the job (a company CA that it does not trust, a package
# index that only pip is configured for), pip installs from the same pinned files, and one line names uv's reason.
# The script uses bash 3.2 and POSIX tools only: macOS has nothing newer.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
REQUIREMENTS="${REQUIREMENTS:-}"
PINS="${REQUIREMENTS:-requirements-dev.txt}"
UV_HOME=.uv
STAMP="$VENV/.installed"
OLDEST='import sys; sys.exit(sys.version_info < (3, 11))'

# uv then trusts the certificates of the system, a company's own CA among them; the second name is for older versions.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}" UV_NATIVE_TLS="${UV_NATIVE_TLS:-1}"
export PIP_DISABLE_PIP_VERSION_CHECK=1

exec 3>&2  # messages reach the user even where a step's own output goes into a file
say() { printf 'setup: %s\n' "$*" >&3; }

# The root cause of a failure is the last line of its output. Login data of an index address are left out.
reason_in() {
  tr -d '\r' < "$1" | sed -e "s/$(printf '\033')\[[0-9;]*m//g" -e 's#//[^/@ ]*@#//#g' -e 's/^[^[:alnum:]]*//' |
    grep -v '^$' | tail -n 1 | cut -c 1-200
}

refuse_windows() {
  case "$(uname -s)" in
    MINGW* | MSYS* | CYGWIN*)
      say "the connector does not run on Windows itself: install WSL (wsl --install), then run make inside it"
      exit 2
      ;;
  esac
}

# The system's python3 may be too old where a newer one stands beside it (macOS); a named Python is never replaced.
find_python() {
  local candidate others=""
  [ "$PYTHON" != python3 ] || others="python3.14 python3.13 python3.12 python3.11"
  for candidate in "$PYTHON" $others; do
    if "$candidate" -c "$OLDEST" >/dev/null 2>&1; then
      PYTHON="$candidate"
      return
    fi
  done
  say "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3"
  exit 2
}

require_venv() {
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "this Python lacks venv: installing Debian's python3-venv"
    if apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null &&
      "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
      return
    fi
  fi
  say "this Python lacks venv: run 'sudo apt-get install python3-venv' (on Debian and Ubuntu), then make again"
  exit 2
}

# pip before 24.2 trusts its own list of authorities; point it to the system's, unless pip is told already.
trust_system_in_pip() {
  [ -z "${PIP_CERT:-}${REQUESTS_CA_BUNDLE:-}" ] || return 0
  local python="$1" found
  ! "$python" -m pip config list 2>/dev/null | grep -q '\.cert=' || return 0
  found="$("$python" - <<'FIND'
import os, ssl
import pip

if tuple(int(part) for part in pip.__version__.split(".")[:2] if part.isdigit()) < (24, 2):
    paths = ssl.get_default_verify_paths()
    usual = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
    print(next((path for path in (os.environ.get("SSL_CERT_FILE"), paths.cafile, *usual) if path and os.path.isfile(path)), ""))
FIND
)"
  [ -z "$found" ] || export PIP_CERT="$found"
}

# A uv of our own, beside the environment. One that does not start, or was left half installed, is made again.
get_uv() {
  "$UV_HOME/bin/uv" --version >/dev/null 2>&1 && return
  "$PYTHON" -m venv --clear "$UV_HOME" || return
  trust_system_in_pip "$UV_HOME/bin/python"
  "$UV_HOME/bin/python" -m pip install -q uv || return
  "$UV_HOME/bin/uv" --version
}

# The arguments are the installer's command.
install_connector() {
  [ -n "$REQUIREMENTS" ] || "$@" --no-deps -e .
}

install_with_uv() {
  get_uv &&
    "$UV_HOME/bin/uv" venv -q --clear --python "$PYTHON" "$VENV" &&
    "$UV_HOME/bin/uv" pip sync -q --require-hashes --compile-bytecode --python "$VENV/bin/python" "$PINS" &&
    install_connector "$UV_HOME/bin/uv" pip install -q --python "$VENV/bin/python"
}

install_with_pip() {
  "$PYTHON" -m venv --clear "$VENV" &&
    trust_system_in_pip "$VENV/bin/python" &&
    "$VENV/bin/python" -m pip install -q --require-hashes -r "$PINS" &&
    install_connector "$VENV/bin/python" -m pip install -q
}

refuse_windows
find_python
require_venv

rm -f "$STAMP"  # first: whatever interrupts the rest, no stamp says that the environment is complete
log="$(mktemp "${TMPDIR:-/tmp}/connector-setup.XXXXXX")"
trap 'rm -f "$log"' EXIT
trap 'say "interrupted; run make again"; exit 130' INT TERM

say "installing the versions of $PINS into $VENV (once)"
if ! install_with_uv >"$log" 2>&1; then
  reason="$(reason_in "$log" || true)"
  say "uv cannot install here (${reason:-it gave no reason}): using pip instead, about half a minute"
  if ! install_with_pip; then
    say "pip cannot install either: see its message above; behind a proxy or a company CA, set HTTPS_PROXY and SSL_CERT_FILE"
    exit 1
  fi
fi
touch "$STAMP"
