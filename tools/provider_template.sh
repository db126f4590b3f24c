#!/usr/bin/env bash
# Installs the template of a provider into a folder of its own ($TARGET): as any other package, built from its
# pyproject.toml, and found by the connector through its entry point. Called by `make`.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf "$TARGET"
if [ -x .uv/bin/uv ] &&
  UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 .uv/bin/uv pip install -q --python "$VENV/bin/python" --no-deps --target "$TARGET" examples/provider_template
then :
else "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --target "$TARGET" ./examples/provider_template
fi
touch "$TARGET/.installed"
