#!/usr/bin/env bash
# Builds the wheel, the sdist and the list of runtime dependencies (SBOM) of a commit into $DIST; called by `make dist`.
# Two builds of one commit give the same bytes: the files come from the commit, the times in them are the commit's, and
# the tools are pinned. The wheel is built from the sdist.
set -euo pipefail
cd "$(dirname "$0")/.."

DIST="${DIST:-dist}"
TREE="${TREE:-HEAD}"
TOOLS="${TOOLS:-.release/tools}"
RUNTIME="${RUNTIME:-.release/runtime}"
PYTHON="$(cd "$TOOLS/bin" && pwd)/python"

say() { printf 'dist: %s\n' "$*" >&2; }

if ! SOURCE_DATE_EPOCH="$(git log -1 --format=%ct "$TREE" 2>/dev/null)"; then
  say "this is not a git checkout: clone the repository, then run make dist in the clone"
  exit 2
fi
export SOURCE_DATE_EPOCH
if [ "$TREE" = HEAD ] && [ -n "$(git status --porcelain)" ]; then
  say "changes that are not committed are left out"
fi

work="$(mktemp -d "${TMPDIR:-/tmp}/connector-dist.XXXXXX")"
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/built"
umask 022
git archive --format=tar "$TREE" | tar -xf - -C "$work/source"

"$PYTHON" -m build --no-isolation --outdir "$work/built" "$work/source" >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
(cd "$work/built" && "$PYTHON" -m twine --no-color check --strict ./*)
"$PYTHON" tools/sbom.py "$work"/built/*.whl --source "$work/source" --environment "$RUNTIME/bin/python"

mkdir -p "$DIST"
rm -f "$DIST"/crm_enrichment_connector-*
mv "$work"/built/* "$DIST/"
say "wrote $(cd "$DIST" && echo crm_enrichment_connector-*) into $DIST"
