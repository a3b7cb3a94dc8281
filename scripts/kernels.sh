#!/usr/bin/env bash
# Compiles the CUDA kernels (gpu/kernels/*.cu) to PTX with Debian's clang, which needs no CUDA toolkit. The PTX is committed, so
# that a build of rave needs no clang.
#
# usage: scripts/kernels.sh [check]    check: compile, and fail if the committed PTX differs
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

compiler=clang-14 # another one makes other PTX of the same sources
command -v $compiler >/dev/null || die "$compiler is missing: run scripts/deps.sh kernels"

# sm_75 is Turing, the oldest that CUDA 13 knows. The driver compiles PTX for the chip.
compile() {
  $compiler -x cuda --cuda-device-only --cuda-gpu-arch=sm_75 -Xclang -target-feature -Xclang +ptx65 -nocudainc -nocudalib \
    -std=c++17 -O3 -Wall -Werror -S -o "$2" "$1"
}

out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
say "compiling the kernels with $($compiler --version | head -n 1)"
jobs=()
for source in gpu/kernels/*.cu; do
  compile "$source" "$out/$(basename "$source" .cu).ptx" & jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || die "a kernel does not compile"; done

if [ "${1:-}" = check ]; then
  for ptx in "$out"/*.ptx gpu/kernels/*.ptx; do
    name=$(basename "$ptx")
    cmp -s "$out/$name" "gpu/kernels/$name" || die "gpu/kernels/$name is not what the sources give: run make kernels and commit it"
  done
  say "the committed PTX is what the sources give"
else
  rm -f gpu/kernels/*.ptx
  cp "$out"/*.ptx gpu/kernels/
  ls -l gpu/kernels/*.ptx
fi
