#!/usr/bin/env bash
# Puts what the end-to-end tests talk to into .build/peers: FFmpeg 9 (camera, reader, quality meter), MediaMTX (RTSP
# and WebRTC server) and Debian's Chromium. None is part of RAVE. MediaMTX takes about 2 minutes to build, once per machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

ffmpeg_wheel=0.8.1
ffmpeg_sha256=050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda
mediamtx=v1.12.3

mkdir -p .build/peers
wheel=$rave_cache/imageio-ffmpeg-$ffmpeg_wheel
[ -e "$wheel" ] || fetch_wheel "$wheel" imageio-ffmpeg "$ffmpeg_wheel" "$ffmpeg_sha256" 3.11
chmod +x "$wheel"/imageio_ffmpeg/binaries/ffmpeg-*
ln -sfn "$(echo "$wheel"/imageio_ffmpeg/binaries/ffmpeg-*)" .build/peers/ffmpeg

binary=$rave_cache/mediamtx-$mediamtx
if [ ! -e "$binary" ]; then
  say "building MediaMTX $mediamtx (about 2 minutes)"
  work=$(mktemp -d "$rave_cache/mediamtx.XXXXXX"); trap 'rm -rf "$work"' EXIT
  # Its go install does not work: two files are generated. The checksum database vouches for the module.
  source=$(cd "$work" && go mod download -json "github.com/bluenviron/mediamtx@$mediamtx" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
  [ -n "$source" ] || die "cannot download MediaMTX $mediamtx"
  cp -r "$source" "$work/source"; chmod -R u+w "$work/source"
  printf '%s' "$mediamtx" >"$work/source/internal/core/VERSION"
  echo '// HLS playback in a browser is not tested.' >"$work/source/internal/servers/hls/hls.min.js"
  (cd "$work/source" && CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w' -o "$work/mediamtx" .)
  mv "$work/mediamtx" "$binary"
fi
ln -sfn "$binary" .build/peers/mediamtx
browser=$(command -v chromium) || die "Chromium is missing: run scripts/deps.sh test"
ln -sfn "$browser" .build/peers/chromium
say "FFmpeg, MediaMTX and Chromium for tests are in .build/peers"
