#!/usr/bin/env bash
# Lets RAVE serve for an hour while things go wrong around it, and writes what that left behind to docs/soak.
#
# usage: scripts/soak.sh [OPTIONS OF .build/soak]     e.g. -length 10m -o .build/soak-report, or -scenario slow -length 10m
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

say 'compiling the soak'
go build -o .build/soak ./bench/cmd/soak
# A copy: workers are started from the file, and somebody may build meanwhile.
cp --remove-destination .build/rave .build/rave-soak
.build/soak -rave .build/rave-soak -commit "$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" "$@"
