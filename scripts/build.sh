#!/usr/bin/env bash
# Compiles .build/rave.
#
# usage: scripts/build.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

version=${1:?usage: scripts/build.sh VERSION}
say "compiling rave $version"
compiled=0
go build -v -ldflags "-X main.version=$version" -o .build/rave ./cmd/rave 2>&1 | while IFS= read -r line; do
  # -v names each package compiled; everything else is a message
  if [[ $line =~ ^[a-z0-9][a-zA-Z0-9._/-]*$ ]]; then
    compiled=$((compiled + 1))
    [ $((compiled % 50)) != 0 ] || say "$compiled packages compiled"
  elif [[ $line != "go: downloading "* ]]; then
    printf '%s\n' "$line" >&2
  fi
done
