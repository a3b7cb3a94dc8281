#!/usr/bin/env bash
# Packs what tests and measures RAVE on a machine with an NVIDIA GPU that has nothing else: no Go, no compiler, no network.
# Unpack it there and run gpu-test. Tests that need ONNX Runtime find it by RAVE_ORT_LIBRARY or LD_LIBRARY_PATH.
#
# usage: scripts/gpu_bundle.sh      gives .build/gpu/rave-gpu.tar.xz
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

stage=.build/gpu/rave-gpu
rm -rf .build/gpu; mkdir -p "$stage/tests" "$stage/networks" "$stage/clips"

say "compiling rave"
go build -trimpath -ldflags '-s -w' -o "$stage/rave" ./cmd/rave
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./gpu/...); do
  name=${package#rave/gpu/}
  say "compiling the tests of gpu/$name"
  go test -trimpath -ldflags '-s -w' -c -o "$stage/tests/${name//\//-}.test" "$package"
done

cp scripts/gpu_test.sh "$stage/gpu-test"
cp engine/model/*.onnx engine/model/train/gpu/*.onnx "$stage/networks/"
cp ingest/testsrc/clips/*.mp4 ingest/testsrc/clips/ATTRIBUTION.md "$stage/clips/"

say "packing"
tar -C .build/gpu -cf - rave-gpu | xz -T0 -2 >.build/gpu/rave-gpu.tar.xz
rm -rf "$stage"
ls -l .build/gpu/rave-gpu.tar.xz
