#!/usr/bin/env bash
# Measures the whole loop from outside, beside FFmpeg doing the same, and what the stages cost alone.
#
# usage: scripts/bench.sh [OPTIONS OF .build/bench]     e.g. -clips cockatoo25 -length 20s
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

say 'compiling the measuring programs'
go build -o .build/bench ./bench/cmd/bench
go build -o .build/stages ./bench/cmd/stages
say 'preparing the numbered clip'
clip=$(.build/bench clip | tail -1)
say 'decode, enhance and encode alone, at 25 pictures a second (1 minute)'
.build/stages -clips "cockatoo25=$clip" -systems lanczos,copy,live-x2 -o .build/stages.json
say 'the loop, from outside'
.build/bench -stages-alone .build/stages.json -json .build/bench.json "$@"
say 'viewers of WebRTC, beside MediaMTX (4 minutes)'
.build/bench viewers -json .build/viewers.json
