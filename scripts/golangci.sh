#!/usr/bin/env bash
# Builds golangci-lint into the cache, once per machine and Go version, as .build/bin/golangci-lint.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

version=v2.12.2
tool=$rave_cache/golangci-lint-$version-$(go env GOVERSION)
if [ ! -e "$tool/golangci-lint" ]; then
  say "building golangci-lint $version (a few minutes)"
  log=$(mktemp); trap 'rm -f "$log"' EXIT
  # Outside the module, and without its flags: nothing of ours is in this build.
  (cd / && GOFLAGS='' CGO_ENABLED=0 GOBIN="$tool" go install -trimpath -ldflags '-s -w' "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version") >"$log" 2>&1 ||
    { grep -v '^go: downloading' "$log" >&2; die "golangci-lint does not build"; }
fi
mkdir -p .build/bin
ln -sfn "$tool/golangci-lint" .build/bin/golangci-lint
say "golangci-lint $version is ready"
