#!/usr/bin/env bash
# Installs the Debian packages that are missing, says which and why, and touches nothing when none is.
#
# usage: scripts/deps.sh build|lint|test|kernels …
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# group | command that shows it is there, or - to ask dpkg | package | what for
packages() {
  cat <<'TABLE'
build|gcc|gcc|C compiler for cgo and FFmpeg
build|g++|g++|C++ runtime that x265 is linked with
build|make|make|FFmpeg's build
build|git|git|version of the build
build|nasm|nasm|FFmpeg's assembler code
build|pkg-config|pkg-config|finds FFmpeg's parts for cgo
build|dpkg-source|dpkg-dev|unpacks Debian's FFmpeg source package
build|-|libc6-dev|C library headers
build|-|libx264-dev|H.264 encoder, linked statically
build|-|libx265-dev|HEVC encoder, linked statically
build|-|libnuma-dev|needed by x265
build|-|libopus-dev|Opus sound, linked statically
build|-|libaom-dev|AV1 decoder, linked statically
build|-|libzimg-dev|colour conversion, linked statically
build|-|zlib1g-dev|PNG and MP4 headers, linked statically
build|-|ca-certificates|downloads over TLS
build|pip3|python3-pip|downloads ONNX Runtime (and FFmpeg 9 for tests)
lint|shellcheck|shellcheck|checks the shell scripts
test|chromium|chromium|shows the page, for tests of it
test|node|nodejs|runs the tests of the page's logic
kernels|clang-14|clang-14|compiles the CUDA kernels to PTX
TABLE
}

[ $# -gt 0 ] || die "usage: scripts/deps.sh build|lint|test|kernels …"
command -v dpkg-query >/dev/null || die "this is not a Debian system; the packages it would need are: $(packages | cut -d '|' -f 3 | xargs)"

missing=()
while IFS='|' read -r group command package reason; do
  case " $* " in *" $group "*) ;; *) continue ;; esac
  if [ "$command" != - ] && command -v "$command" >/dev/null; then continue; fi
  [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" != "install ok installed" ] || continue
  say "missing: $package ($reason)"
  missing+=("$package")
done < <(packages)

if [ ${#missing[@]} -gt 0 ]; then
  root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "run as root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
  log=$(mktemp); trap 'rm -f "$log"' EXIT
  install() {
    local total
    total=$("${apt[@]}" install --no-install-recommends --simulate "${missing[@]}" 2>/dev/null | grep -c '^Inst ' || true)
    "${apt[@]}" install --no-install-recommends "${missing[@]}" 2>&1 | tee "$log" | progress "packages set up" "$total" '^Setting up '
  }
  say "installing ${#missing[@]} packages and what they need"
  if ! apt-cache policy "${missing[@]}" | grep -q 'Candidate: [^(]' || ! install; then
    say "reading the package lists"
    "${apt[@]}" update >"$log" 2>&1 || { cat "$log" >&2; die "apt-get update failed"; }
    install || { cat "$log" >&2; die "apt-get install failed"; }
  fi
fi

command -v go >/dev/null || die "Go is missing: install the version that go.mod names, or newer"
say "packages for $* are there"
