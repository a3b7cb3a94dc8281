#!/usr/bin/env bash
# Builds FFmpeg 7.1 as static archives with only the parts that RAVE uses, once per machine, and writes .build/env.sh,
# which makes `go build` find them. The last line printed is the folder it is installed in.
#
# usage: scripts/ffmpeg.sh            uses what the cache has, else builds (about 3 minutes on 2 cores)
#        scripts/ffmpeg.sh --update   asks Debian for a newer 7.1.x first
#
# Source: Debian trixie's signed source package, by a private apt configuration that leaves the machine's own alone.
#   DEBIAN_URI  archive to use (default: the one that this machine's apt uses)
#   RAVE_CACHE       cache folder (default: $XDG_CACHE_HOME/rave or ~/.cache/rave)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

series=7.1
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Linked as archives. libstdc++ stays shared: ONNX Runtime loads it anyway, and one process wants one C++ runtime.
archives=(x264 x265 numa opus aom zimg z)
archive_packages=(libx264-dev libx265-dev libnuma-dev libopus-dev libaom-dev libzimg-dev zlib1g-dev)

join() { local IFS=,; echo "$*"; }

decoders=(h264 hevc mjpeg mpeg2video mpeg4 vp8 vp9 av1 libaom_av1 prores png rawvideo wrapped_avframe
  aac aac_latm libopus mp2 mp3 ac3 eac3 flac adpcm_g722 adpcm_g726 adpcm_g726le 'pcm_*')
encoders=(libx264 libx265 h264_nvenc hevc_nvenc mjpeg png rawvideo wrapped_avframe aac libopus 'pcm_*')
hwaccels=(h264_nvdec hevc_nvdec av1_nvdec vp8_nvdec vp9_nvdec mjpeg_nvdec mpeg2_nvdec mpeg4_nvdec)
demuxers=(mov matroska mpegts mpegps avi flv h264 hevc m4v mjpeg image2 image2pipe rawvideo yuv4mpegpipe wav)
muxers=(mp4 mov matroska webm mpegts image2 image2pipe h264 hevc mjpeg rawvideo yuv4mpegpipe wav null)
parsers=(h264 hevc mjpeg mpegvideo mpeg4video vp8 vp9 av1 png aac aac_latm ac3 mpegaudio opus flac)
bsfs=(h264_mp4toannexb hevc_mp4toannexb h264_metadata hevc_metadata av1_metadata extract_extradata dump_extradata
  aac_adtstoasc noise filter_units null setts vp9_superframe vp9_superframe_split av1_frame_merge av1_frame_split
  mpeg4_unpack_bframes mjpeg2jpeg pcm_rechunk)
filters=(buffer buffersink abuffer abuffersink scale zscale format bwdif yadif crop transpose hflip vflip null anull
  aresample aformat atempo asetpts setpts setsar fps testsrc2 color sine anullsrc drawbox overlay pad)

# shellcheck disable=SC2054 # the comma belongs to the flag
flags=(
  --disable-everything --disable-autodetect --disable-network --disable-programs --disable-doc --disable-debug
  --disable-postproc --disable-shared --enable-static --enable-pic --enable-pthreads --enable-gpl --enable-zlib
  --enable-libx264 --enable-libx265 --enable-libopus --enable-libaom --enable-libzimg
  --enable-ffnvcodec --enable-cuda --enable-cuvid --enable-nvdec --enable-nvenc
  --enable-decoder="$(join "${decoders[@]}")" --enable-encoder="$(join "${encoders[@]}")"
  --enable-hwaccel="$(join "${hwaccels[@]}")" --enable-demuxer="$(join "${demuxers[@]}")"
  --enable-muxer="$(join "${muxers[@]}")" --enable-parser="$(join "${parsers[@]}")"
  --enable-bsf="$(join "${bsfs[@]}")" --enable-filter="$(join "${filters[@]}")"
  --enable-protocol=file,pipe
  --extra-cflags="-fstack-protector-strong -D_FORTIFY_SOURCE=2" --extra-libs=-lstdc++
)

# A private apt: its own source list, package lists and cache, under $1.
private_apt() {
  local root=$1; shift
  local tool=$1; shift
  "$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$root/sources" -o Dir::State::Lists="$root/lists" \
    -o Dir::Cache="$root/cache" -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none "$@"
}

open_apt() {
  local root=$1 uri=${DEBIAN_URI:-}
  # shellcheck disable=SC2016 # apt expands it
  [ -n "$uri" ] || uri=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 '/debian/*$' || true)
  [ -n "$uri" ] || die "no Debian archive among this machine's apt sources; set DEBIAN_URI to one"
  [ -r "$keyring" ] || die "$keyring is missing: install the package debian-archive-keyring"
  mkdir -p "$root/sources" "$root/lists/partial" "$root/cache/archives/partial"
  printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suite" "$keyring" >"$root/sources/debian.sources"
  say "reading Debian $suite's package lists (private apt, signatures checked)"
  private_apt "$root" apt-get update >"$root/log" 2>&1 || { cat "$root/log" >&2; die "apt cannot read Debian $suite"; }
}

source_version() { # the newest 7.1.x that the private apt under $1 knows
  private_apt "$1" apt-cache showsrc --only-source ffmpeg 2>/dev/null | sed -n 's/^Version: //p' | grep -E "^([0-9]+:)?${series//./\\.}\." | sort -V | tail -n 1
}

make_with_progress() {
  local log=$1 total
  total=$(make -n 2>/dev/null | grep -cE '^printf "(CC|X86ASM|AR)' || true)
  make -j"$(nproc)" 2>"$log" | progress "files compiled" "$total" '^(CC|X86ASM|AR)[[:space:]]' ||
    { tail -n 20 "$log" >&2; die "FFmpeg does not compile"; }
}

compile() { # compile WORK VERSION DESTINATION
  local work=$1 version=$2 destination=$3
  say "downloading FFmpeg $version and NVIDIA's codec headers"
  (cd "$work" && private_apt "$work/apt" apt-get source --download-only "ffmpeg=$version" && private_apt "$work/apt" apt-get download libffmpeg-nvenc-dev) \
    >"$work/log" 2>&1 || { cat "$work/log" >&2; die "download failed"; }
  say "unpacking" # no second check of signatures: apt has checked them
  (cd "$work" && dpkg-source --no-check -x ffmpeg_*.dsc source >"$work/log" 2>&1) || { cat "$work/log" >&2; die "dpkg-source failed"; }
  dpkg -x "$work"/libffmpeg-nvenc-dev_*.deb "$work/nv"
  local pc; pc=$(find "$work/nv" -name ffnvcodec.pc)
  sed -i "s|^prefix *=.*|prefix=$work/nv/usr|" "$pc"

  mkdir "$work/build"; cd "$work/build"
  say "configuring"
  PKG_CONFIG_PATH=$(dirname "$pc") ../source/configure --prefix=/rave-ffmpeg --pkg-config-flags=--static "${flags[@]}" >"$work/log" 2>&1 ||
    { tail -n 30 "$work/log" ffbuild/config.log >&2; die "configure failed"; }
  grep WARNING "$work/log" | grep -v audiotoolbox || true # what pcm_* matches on other systems
  make_with_progress "$work/make.log"
  say "installing"
  make install DESTDIR="$work/root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; die "make install failed"; }
  cd "$OLDPWD"

  # A folder of archives only, first on the -L path, keeps the linker from taking the shared libraries.
  local installed=$work/root/rave-ffmpeg name file
  mkdir "$installed/archives"
  for name in "${archives[@]}"; do
    file=$(gcc -print-file-name="lib$name.a"); [ -e "$file" ] || die "lib$name.a is missing"
    cp -L "$file" "$installed/archives/"
  done
  # The prefix given to configure ends up in the binary, so that one is the same everywhere; here comes the true one.
  sed -i -e "s|/rave-ffmpeg|$destination|" -e "s|^Libs:|Libs: -L$destination/archives|" "$installed"/lib/pkgconfig/*.pc
  cp "$work/source/debian/copyright" "$installed/COPYRIGHT"
  printf '%s\n' "$version" >"$installed/VERSION"
  mkdir -p "$(dirname "$destination")"
  mv -T "$installed" "$destination" 2>/dev/null || [ -e "$destination/VERSION" ] # another build may have been first
}

write_env() {
  local prefix=$1
  mkdir -p .build/bin
  printf '#!/bin/sh\n# cgo links FFmpeg statically, so it needs the private libraries too.\nexec pkg-config --static "$@"\n' >.build/bin/pkg-config-static
  chmod +x .build/bin/pkg-config-static
  cat >.build/env.sh.tmp <<EOF
# Written by scripts/ffmpeg.sh. Usage: . .build/env.sh && go build ./...
export CGO_ENABLED=1
export PKG_CONFIG='$PWD/.build/bin/pkg-config-static'
export PKG_CONFIG_PATH='$prefix/lib/pkgconfig'
export CGO_CFLAGS='-O2 -g -Wno-deprecated-declarations'
export ORT_DISABLE_TELEMETRY=1
EOF
  if ! cmp -s .build/env.sh.tmp .build/env.sh; then mv .build/env.sh.tmp .build/env.sh; else rm .build/env.sh.tmp; fi
}

for tool in gcc nasm pkg-config dpkg-source; do command -v "$tool" >/dev/null || die "$tool is missing: run scripts/deps.sh build"; done
key=$( { printf '%s\n' "${flags[@]}"; gcc -dumpfullversion; dpkg-query -W -f '${Package} ${Version}\n' "${archive_packages[@]}"; } | sha256sum | cut -c 1-12) ||
  die "development packages are missing: run scripts/deps.sh build"

mkdir -p "$rave_cache"
prefix=$(find "$rave_cache" -maxdepth 1 -name "ffmpeg-$series.*-$key" | sort -V | tail -n 1)
if [ -z "$prefix" ] || [ "${1:-}" = --update ]; then
  work=$(mktemp -d "$rave_cache/ffmpeg-build.XXXXXX"); trap 'rm -rf "$work"' EXIT
  open_apt "$work/apt"
  version=$(source_version "$work/apt")
  [ -n "$version" ] || die "Debian $suite offers no FFmpeg $series.x source package; this script and go-astiav need that series"
  upstream=${version#*:}; upstream=${upstream%%-*}
  prefix=$rave_cache/ffmpeg-$upstream-$key
  [ -e "$prefix/VERSION" ] || compile "$work" "$version" "$prefix"
fi
write_env "$prefix"
say "FFmpeg $(cat "$prefix/VERSION") is ready; . .build/env.sh makes go build use it"
