#!/usr/bin/env bash
# Unpacks the release in minimal Debian 12 and 13 systems without a single extra package and without a network, and runs
# it there. Needs root and debootstrap; the systems are made once and cached.
#
# usage: scripts/dist_test.sh [SUITE…]        (after make dist; default: bookworm trixie)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

archive=$(echo .build/dist/rave-*-linux-amd64.tar.gz)
[ -e "$archive" ] || die "no release: run make dist"
[ "$(id -u)" = 0 ] || die "needs root for chroot"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
(cd .build/dist && sha256sum --quiet -c SHA256SUMS)

base() { # a tarball of the suite's minimal system
  local suite=$1 tarball=$rave_cache/debian-$1.tar uri=${DEBIAN_URI:-} root
  [ ! -e "$tarball" ] || { echo "$tarball"; return; }
  # shellcheck disable=SC2016 # apt expands it
  [ -n "$uri" ] || uri=$(apt-get indextargets --format '$(SITE)' | grep -m 1 '/debian/*$') || die "set DEBIAN_URI to a Debian archive"
  say "making a minimal Debian $suite" >&2
  root=$(mktemp -d); chmod 755 "$root"
  debootstrap --variant=minbase "$suite" "$root" "$uri" >"$root.log" 2>&1 || { tail "$root.log" >&2; die "debootstrap failed"; }
  tar -C "$root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -cf "$tarball.tmp" . && mv "$tarball.tmp" "$tarball"
  rm -rf --one-file-system "$root" "$root.log"
  echo "$tarball"
}

try() { # try ROOT COMMAND: in the system, in process, mount and network namespaces of its own (only loopback)
  # shellcheck disable=SC2016 # the inner shell expands it
  unshare --mount --pid --net --fork --kill-child bash -euc '
    mount -t proc proc "$1/proc"; mount -t tmpfs tmpfs "$1/dev/shm" 2>/dev/null || true
    ip link set lo up 2>/dev/null || true
    exec chroot "$1" /bin/sh -ec "cd /opt/rave && $2"' bash "$1" "$2"
}

work=$(mktemp -d); chmod 755 "$work"; trap 'rm -rf --one-file-system "$work"' EXIT
for suite in "${@:-bookworm trixie}"; do
  for name in $suite; do
    tarball=$(base "$name")
    root=$work/$name; mkdir "$root"
    tar -C "$root" -xf "$tarball"; mkdir -p "$root/opt/rave" "$root/dev/shm"
    tar -C "$root/opt/rave" --strip-components=1 -xzf "$archive"
    for command in './rave version' './rave doctor' 'RUN_FOR=10s ./rave demo'; do
      say "Debian $name: $command"
      try "$root" "$command" || die "Debian $name: '$command' failed"
    done
    rm -rf --one-file-system "$root"
  done
done
say "the release runs on Debian ${*:-bookworm and trixie}"
