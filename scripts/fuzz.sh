#!/usr/bin/env bash
# Runs every fuzz target for a while. A failing input lands in the package's testdata/fuzz: commit it with the fix.
#
# usage: scripts/fuzz.sh [TIME]        for each target, as in 5s or 10m (default 5s)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

targets=$(grep -roE --include='*_test.go' --exclude-dir='.?*' '^func Fuzz[A-Za-z0-9_]*' . | sort || true)
[ -n "$targets" ] || die "found no fuzz targets"
log=$(mktemp); trap 'rm -f "$log"' EXIT
while IFS=: read -r file target; do
  target=${target#func }
  say "$(dirname "$file") $target for ${1:-5s}"
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-5s}" -fuzzminimizetime 20x "./$(dirname "$file")" 2>&1 | tee "$log"; then
    # Go reports its own deadline as a failure now and then: one without a failing input is none.
    if grep -qE 'Failing input|panic|_test\.go:[0-9]+:' "$log" || ! grep -q '^ *context deadline exceeded$' "$log"; then
      die "$target failed"
    fi
    say "only the deadline; nothing was found"
  fi
done <<<"$targets"
