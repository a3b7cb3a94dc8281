#!/usr/bin/env bash
# Puts what ONNX Runtime needs on an NVIDIA GPU into one folder: its build for GPUs (core and CUDA provider, of the same
# version as the CPU's, so that it serves both) and NVIDIA's own CUDA 13 and cuDNN 9, from the Python package index. Only
# the driver is not in it. Libraries that the system has (ldconfig -p) are left to the system; RAVE_SYSTEM_CUDA=no fetches them
# all the same. What is there already is not fetched again.
#
# usage: scripts/setup_gpu.sh [FOLDER]        (default .build/lib/gpu, in an unpacked release lib/gpu: where rave looks first)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

default=.build/lib/gpu
[ ! -x rave ] || default=lib/gpu # a release
folder=${1:-$default} folder=${folder%/}
ort=1.31.1

# package | version | sha256 of the wheel | MB to download | libraries taken from it
packages() {
  cat <<TABLE
onnxruntime-gpu|$ort|e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6|256|libonnxruntime.so.$ort libonnxruntime_providers_cuda.so libonnxruntime_providers_shared.so libonnxruntime_providers_tensorrt.so
nvidia-cuda-runtime|13.5.37|df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d|3|libcudart.so.13
nvidia-cublas|13.10.0.20|dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84|444|libcublas.so.13 libcublasLt.so.13
nvidia-cuda-nvrtc|13.5.37|86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc|58|libnvrtc.so.13 libnvrtc-builtins.so.13.5
nvidia-curand|10.4.5.25|22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529|77|libcurand.so.10
nvidia-cudnn-cu13|9.28.1.4|a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec|517|libcudnn.so.9 libcudnn_adv.so.9 libcudnn_cnn.so.9 libcudnn_engines_precompiled.so.9 libcudnn_engines_runtime_compiled.so.9 libcudnn_engines_tensor_ir.so.9 libcudnn_ext.so.9 libcudnn_graph.so.9 libcudnn_heuristic.so.9 libcudnn_ops.so.9
TABLE
}

known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
on_system() { # on_system LIBRARY…: whether the system's loader knows all of them; any nvrtc-builtins belongs to its nvrtc
  local library
  for library in "$@"; do
    case $library in libnvrtc-builtins.*) continue ;; esac
    grep -q "^[[:space:]]$library (.*x86-64" <<<"$known" || return 1
  done
}

say "CUDA 13 serves GPUs of the generation Turing (GTX 16, RTX 20, T4; compute capability 7.5) or newer, with driver 580 or newer"
on_system libcuda.so.1 || say "note: this machine has no NVIDIA driver (libcuda.so.1); install driver 580 or newer before using the GPU"

wanted=() total=0
while IFS='|' read -r name version sha256 megabytes libraries; do
  # shellcheck disable=SC2086 # a list of words
  if [ "${RAVE_SYSTEM_CUDA:-yes}" = yes ] && [[ $name = nvidia-* ]] && on_system $libraries; then
    say "$name: the system has it"
    continue
  fi
  wanted+=("$name|$version|$sha256|$libraries")
  [ -e "$rave_cache/$name-$version" ] || { total=$((total + megabytes)); say "$name $version: $megabytes MB to download"; }
done < <(packages)

stamp=$(printf '%s\n' "${wanted[@]}" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
  say "$folder is ready"
  exit
fi
if [ $total != 0 ]; then
  mkdir -p "$rave_cache"
  free=$(df --output=avail -BM "$rave_cache" | tail -1 | tr -dc 0-9)
  [ "$free" -ge $((3 * total)) ] || die "$rave_cache has $free MB free, and $((3 * total)) MB are needed; free some, or set RAVE_CACHE to a folder with more"
  say "$total MB in all; NVIDIA's own license holds for its packages ($folder/licenses)"
fi

mkdir -p "$(dirname "$folder")"
stage=$(mktemp -d "$folder.XXXXXX"); trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"; mkdir "$stage/licenses"
for package in "${wanted[@]}"; do
  IFS='|' read -r name version sha256 libraries <<<"$package"
  wheel=$rave_cache/$name-$version
  [ -e "$wheel" ] || fetch_wheel "$wheel" "$name" "$version" "$sha256" 3.11
  for library in $libraries; do
    file=$(find "$wheel/" -name "$library" -type f -print -quit)
    [ -n "$file" ] || die "$library is not in $wheel; remove that folder and try again"
    ln "$file" "$stage/$library" 2>/dev/null || cp "$file" "$stage/$library" # another file system
  done
  find "$wheel/" \( -iname 'license*' -o -iname 'thirdpartynotices*' \) -type f | while IFS= read -r text; do
    cp "$text" "$stage/licenses/$name-$(basename "$text")"
  done
done
ln -s "libonnxruntime.so.$ort" "$stage/libonnxruntime.so"
ln -s "libonnxruntime.so.$ort" "$stage/libonnxruntime.so.1"

# All of them must find each other, and nothing may be missing but the driver.
for library in "$stage"/*.so*; do
  case $library in *_tensorrt.so) continue ;; esac # TensorRT is not in this folder
  missing=$(LD_LIBRARY_PATH=$stage ldd "$library" | awk '/not found/ && $1 != "libcuda.so.1" { print $1 }' | sort -u | xargs)
  [ -z "$missing" ] || die "$(basename "$library") needs what neither this folder nor the system has: $missing (libz.so.1 is in Debian's zlib1g)"
done

echo "$stamp" >"$stage/stamp"
rm -rf "$folder.old"
[ ! -e "$folder" ] || mv -T "$folder" "$folder.old"
mv -T "$stage" "$folder"
rm -rf "$folder.old"; trap - EXIT
say "ONNX Runtime $ort for NVIDIA GPUs is in $folder ($(du -sLm "$folder" | cut -f 1) MB); rave doctor says whether it works"
