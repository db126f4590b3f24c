#!/usr/bin/env bash
# Sees to it that the tests find a PostgreSQL to start: one that is given, one that is here, or Debian's.
set -euo pipefail

say() { printf 'postgres: %s\n' "$*" >&2; }

if [ -n "${CONNECTOR_TEST_DATABASE_URL:-}" ]; then
  say "using the server of CONNECTOR_TEST_DATABASE_URL"
elif command -v initdb >/dev/null || ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1; then
  :
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  say "installing Debian's postgresql (once)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  mkdir -p /etc/postgresql-common
  # The tests start servers of their own; the package must not start one.
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  apt-get install -y -qq postgresql >/dev/null
elif [ "${CONNECTOR_TEST_POSTGRES:-}" = required ]; then
  say "there is none: install it (sudo apt-get install postgresql), or set CONNECTOR_TEST_DATABASE_URL"
  exit 1
else
  say "there is none, so what needs it is skipped: install it (sudo apt-get install postgresql), or set CONNECTOR_TEST_DATABASE_URL"
fi
