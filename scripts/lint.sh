#!/usr/bin/env bash
# Formatting, go vet, the cgo fence, import rules and linters (.golangci.yml), shell scripts. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

say "formatting"
unformatted=$(find . -name '*.go' -not -path './.*' -exec gofmt -l {} +) || die "gofmt cannot read the code"
[ -z "$unformatted" ] || die "run make fmt; gofmt would change: $unformatted"

say "cgo and unsafe stay behind their fence"
# shellcheck disable=SC2016 # go list expands it
go list -test -f '{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}' ./... | awk '
  { package = $1; sub(/_test$/, "", package) }
  $1 ~ /\.test$/ { next } # the test binary that go makes
  $NF == "C" && package !~ /^rave\/(gpu\/cuda|gpu\/ort|engine\/ffmpeg)$/ { print $1 " imports C: only gpu/cuda, gpu/ort and engine/ffmpeg may"; bad = 1 }
  $NF == "unsafe" && package !~ /^rave\/(gpu(\/.*)?|engine\/ffmpeg)$/ { print $1 " imports unsafe: only gpu and engine/ffmpeg may"; bad = 1 }
  END { exit bad }' >&2 || die "move that code"

say "go vet"
go vet ./...
say "golangci-lint"
# A cache of its own: a shared one answers with another checkout's paths, which the exclusions do not match.
GOLANGCI_LINT_CACHE=$PWD/.build/golangci-lint .build/bin/golangci-lint run --allow-parallel-runners ./...
if command -v shellcheck >/dev/null; then
  say "shellcheck"
  shellcheck -x scripts/*.sh .ci/run
fi
