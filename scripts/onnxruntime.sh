#!/usr/bin/env bash
# Puts ONNX Runtime's shared library into .build/lib, from the wheel on the Python package index (24 MB, once per machine).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

version=1.31.1
sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f # the wheel for CPython 3.11; the library is the same in all

wheel=$rave_cache/onnxruntime-$version
[ -e "$wheel" ] || fetch_wheel "$wheel" onnxruntime "$version" "$sha256" 3.11

mkdir -p .build/lib
for file in "capi/libonnxruntime.so.$version" LICENSE ThirdPartyNotices.txt; do
  target=.build/lib/$(basename "$file")
  case $file in LICENSE | *.txt) target=.build/lib/onnxruntime-$(basename "$file") ;; esac
  cmp -s "$wheel/onnxruntime/$file" "$target" || { cp "$wheel/onnxruntime/$file" "$target.tmp" && mv "$target.tmp" "$target"; }
done
ln -sfn "libonnxruntime.so.$version" .build/lib/libonnxruntime.so
say "ONNX Runtime $version is ready"
